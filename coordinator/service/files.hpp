// Small files of the coordinator: read whole, written whole, for its user only.
#pragma once

#include <optional>
#include <string>

namespace railwright::coordinator {

std::optional<std::string> read_file(const std::string& path);
// Written beside the target with mode 0600, flushed to the disk, then renamed.
bool write_file(const std::string& path, const std::string& text);

// Why nothing new should be begun on this disk; empty: there is room.
std::string why_no_room(const std::string& folder);

// Takes as long wherever two secrets of equal length differ.
bool same_secret(const std::string& a, const std::string& b);

}  // namespace railwright::coordinator
