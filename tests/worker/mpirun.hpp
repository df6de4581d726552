// Real processes under a real mpirun.
#pragma once

#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>
#include <vector>

namespace railwright::worker {

namespace fs = std::filesystem;

// A folder of its own for each test.
struct Folder {
  fs::path path = fs::temp_directory_path() / fmt::format("railwright_mpirun_{}", getpid());
  Folder() { fs::create_directories(path); }
  ~Folder() { fs::remove_all(path); }
  std::string file(const std::string& name) const { return path / name; }
};

inline std::string text_of(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// How messages between ranks go.
inline constexpr const char* in_memory = "self,vader --mca btl_vader_single_copy_mechanism none";
inline constexpr const char* over_sockets = "self,tcp --mca btl_tcp_if_include lo";

inline std::string command_line(int ranks, const std::string& arguments, const std::string& btl) {
  // As root, with more ranks than cores, quiet about networks that are not there. Open MPI keeps
  // memory to the end: not our leaks.
  return fmt::format(
      "OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 "
      "ASAN_OPTIONS=detect_leaks=0:verify_asan_link_order=0 exec "
      "mpirun --oversubscribe --bind-to none --mca btl {} -n {} {}/bin/railwright-worker {}",
      btl, ranks, RAILWRIGHT_BINARY_DIR, arguments);
}

struct Ended {
  int status = -1;
  std::string output, errors;
};

// mpirun in the background, its output in files.
class Started {
 public:
  Started(const Folder& folder, int ranks, const std::string& arguments,
          const std::string& btl = in_memory)
      : output_(folder.file("stdout")), errors_(folder.file("stderr")) {
    const std::string command =
        command_line(ranks, arguments, btl) + " >" + output_ + " 2>" + errors_ + " </dev/null";
    process_ = fork();
    if (process_ == 0) {
      execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
      _exit(127);
    }
  }
  Ended wait() {
    int status = 0;
    waitpid(process_, &status, 0);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), text_of(output_),
            text_of(errors_)};
  }
  std::string errors() const { return text_of(errors_); }
  // The workers that mpirun has started, in the order of their ids.
  std::vector<pid_t> workers() const {
    std::vector<pid_t> found;
    for (const auto& entry : fs::directory_iterator("/proc")) {
      const std::string name = entry.path().filename();
      if (name.find_first_not_of("0123456789") != std::string::npos) continue;
      const std::string stat = text_of(entry.path() / "stat");
      const std::size_t end = stat.rfind(')');
      if (end == std::string::npos) continue;
      std::istringstream fields(stat.substr(end + 2));
      char state = 0;
      pid_t parent = 0;
      fields >> state >> parent;
      if (parent == process_) found.push_back(static_cast<pid_t>(std::stol(name)));
    }
    std::sort(found.begin(), found.end());
    return found;
  }
  // Until `text` stands in stderr; false after twenty seconds.
  bool says(const std::string& text) const {
    for (int i = 0; i < 400; ++i) {
      if (errors().find(text) != std::string::npos) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    return false;
  }

 private:
  std::string output_, errors_;
  pid_t process_ = -1;
};

inline Ended run(const Folder& folder, int ranks, const std::string& arguments,
                 const std::string& btl = in_memory) {
  return Started(folder, ranks, arguments, btl).wait();
}

}  // namespace railwright::worker
