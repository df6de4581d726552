#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "topology/document.hpp"

namespace railwright::topology {
namespace {

constexpr std::uintmax_t max_file_size = std::uintmax_t{64} << 20;

}  // namespace

Result<std::string> read_text_file(const std::string& path) {
  const Place place{path, 0, 0};
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status)) return failure(place, "no such file", "check the path");
  if (std::filesystem::is_directory(status)) return failure(place, "this is a folder, not a file");
  const std::uintmax_t size = std::filesystem::file_size(path, error);
  if (!error && size > max_file_size) return failure(place, "larger than 64 MiB");
  errno = 0;
  std::ifstream stream(path, std::ios::binary);
  if (!stream) return failure(place, std::string("cannot be opened: ") + std::strerror(errno));
  std::string text;
  // Pipes have no size, so the limit is kept while reading too.
  for (char block[1 << 16]; stream.read(block, sizeof block), stream.gcount() > 0;) {
    text.append(block, static_cast<std::size_t>(stream.gcount()));
    if (text.size() > max_file_size) return failure(place, "larger than 64 MiB");
  }
  if (stream.bad()) return failure(place, std::string("cannot be read: ") + std::strerror(errno));
  return text;
}

}  // namespace railwright::topology
