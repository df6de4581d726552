// A coordinator in a process of its own, on this machine.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "command.hpp"
#include "coordinator/service/client.hpp"

namespace railwright::test {

inline const std::string binaries = std::string(RAILWRIGHT_BINARY_DIR) + "/bin/";

template <class Condition>
bool within(int seconds, Condition&& holds) {
  for (int tries = 0; tries < 50 * seconds; ++tries) {
    if (holds()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return false;
}

// Processes of `program` whose command line holds a text.
std::vector<pid_t> processes_with(const std::string& program, const std::string& text);
bool can_run();  // mpirun and the worker are there; else says so

class LiveService {
 public:
  // `more`: further options of `railwright coordinator`. `cluster`: of four nodes that are all this
  // machine, where none is named.
  explicit LiveService(const Folder& folder, std::vector<std::string> more = {},
                       std::string cluster = {});
  ~LiveService();
  LiveService(const LiveService&) = delete;
  LiveService& operator=(const LiveService&) = delete;

  void start();            // again on the same data and the same port
  void start_elsewhere();  // on another port
  int kill_with(int signal);
  coordinator::HttpAnswer ask(const std::string& method, const std::string& target,
                              const std::string& body = {}) const;
  nlohmann::json job(const std::string& id) const;
  bool reaches(const std::string& id, const std::string& state, int seconds = 180) const;
  Outcome client(const std::string& arguments) const;
  std::vector<pid_t> workers(const std::string& text = {}) const;  // of jobs of this service
  bool has_no_processes() const;                                   // but the coordinator
  const std::string& data() const { return data_; }
  std::string said() const;  // by the coordinator

 private:
  std::string data_, cluster_, address_ = "127.0.0.1:0";
  std::vector<std::string> more_;
  pid_t pid_ = -1;
};

}  // namespace railwright::test
