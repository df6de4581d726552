// A file that is written whole or not at all.
#pragma once

#include <string>

#include "topology/result.hpp"

namespace railwright::topology {

// Beside its target and renamed, so that no reader sees a part of it; what a symbolic link points
// to is replaced, not the link. A device or a pipe is written into. Errors name the path.
Result<void> write_text_file(const std::string& path, const std::string& text);

}  // namespace railwright::topology
