#include "topology/files/write_text_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

namespace railwright::topology {
namespace {

Result<void> write_failure(const std::string& path) {
  return failure({path}, fmt::format("cannot write: {}", std::strerror(errno)));
}

bool write_all(int file, const std::string& text) {
  std::size_t done = 0;
  while (done < text.size()) {
    const ssize_t written = write(file, text.data() + done, text.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) break;
    done += static_cast<std::size_t>(written);
  }
  return done == text.size();
}

bool write_and_sync(const std::string& path, const std::string& text) {
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file < 0) return false;
  const bool synced = write_all(file, text) && fsync(file) == 0;
  return close(file) == 0 && synced;
}

// A rename would put a file in the place of a device or a pipe.
bool write_into(const std::string& path, const std::string& text) {
  const int file = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (file < 0) return false;
  const bool written = write_all(file, text);
  return close(file) == 0 && written;
}

bool write_beside_and_rename(const std::string& path, const std::string& text) {
  // The process id keeps two runs that write the same file apart.
  const std::string temporary = fmt::format("{}.{}.tmp", path, getpid());
  if (write_and_sync(temporary, text) && std::rename(temporary.c_str(), path.c_str()) == 0)
    return true;
  const int failed = errno;
  unlink(temporary.c_str());
  errno = failed;
  return false;
}

}  // namespace

Result<void> write_text_file(const std::string& path, const std::string& text) {
  namespace fs = std::filesystem;
  std::error_code missing;
  const fs::file_status status = fs::status(path, missing);
  const bool is_stream = fs::exists(status) && !fs::is_regular_file(status);
  const fs::path target = is_stream ? fs::path() : fs::canonical(path, missing);
  const bool written = is_stream
                           ? write_into(path, text)
                           : write_beside_and_rename(target.empty() ? path : target.string(), text);
  return written ? Result<void>{} : write_failure(path);
}

}  // namespace railwright::topology
