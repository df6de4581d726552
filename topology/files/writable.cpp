#include "topology/files/writable.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

namespace railwright::topology {
namespace {

namespace fs = std::filesystem;

ConfigError refusal(const std::string& path, const std::string& why) {
  return {{path}, "cannot be written: " + why, "choose a file in a folder that can be written"};
}

// Files are written beside their target and renamed, so it is the folder that must take them.
fs::path folder_of(const fs::path& path) {
  std::error_code missing;
  const fs::path target = fs::canonical(path, missing);  // behind a symbolic link
  const fs::path folder = (missing ? path : target).parent_path();
  return folder.empty() ? fs::path(".") : folder;
}

}  // namespace

std::optional<ConfigError> why_not_writable(const std::string& path) {
  if (path.empty()) return std::nullopt;
  std::error_code ignored;
  const fs::file_status status = fs::status(path, ignored);
  if (fs::is_directory(status)) return refusal(path, "it is a folder");
  const bool stream = fs::exists(status) && !fs::is_regular_file(status);
  if (stream && access(path.c_str(), W_OK) == 0) return std::nullopt;
  if (stream) return refusal(path, std::strerror(errno));
  const fs::path folder = folder_of(path);
  if (access(folder.c_str(), F_OK) == 0 && !fs::is_directory(folder, ignored))
    return refusal(path, folder.string() + " is not a folder");
  if (access(folder.c_str(), W_OK | X_OK) == 0) return std::nullopt;
  return refusal(path, fmt::format("{}: {}", folder.string(), std::strerror(errno)));
}

}  // namespace railwright::topology
