// Whether a file could be written, asked before a long run rather than found out after it.
#pragma once

#include <optional>
#include <string>

#include "topology/result.hpp"

namespace railwright::topology {

// Changes nothing on disk. What can still fail then is the write itself, on a full disk for one.
// "" names no file and is fine.
std::optional<ConfigError> why_not_writable(const std::string& path);

}  // namespace railwright::topology
