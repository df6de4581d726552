// A coordinator process of its own, and sockets that say what no client of ours would say.
#pragma once

#include <string>
#include <vector>

#include "command.hpp"
#include "coordinator/service/client.hpp"
#include "coordinator/wire/frame.hpp"

namespace railwright::test {

template <class Condition>
bool within(double seconds, Condition&& holds);
void sleep_a_moment();

class RunningCoordinator {
 public:
  // On the data of a folder, with options beside --cluster, --data and --listen.
  explicit RunningCoordinator(const Folder& folder, std::vector<std::string> options = {});
  ~RunningCoordinator();
  RunningCoordinator(const RunningCoordinator&) = delete;
  RunningCoordinator& operator=(const RunningCoordinator&) = delete;

  coordinator::HttpAnswer ask(const std::string& method, const std::string& target,
                              const std::string& body = {}) const;
  bool counts(const std::string& metric, int value) const;  // of /metrics, sooner or later
  std::string log() const;
  std::int64_t resident_bytes() const;

  coordinator::Access access;  // of ask(): an admin's
  int port = 0;

 private:
  std::string log_path_;
  int pid_ = -1;
};

// A blocking connection over plain TCP.
class Socket {
 public:
  explicit Socket(int port);
  ~Socket();
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  void send(const std::string& bytes) const;
  // How many bytes were taken; none when nobody reads any more.
  std::size_t send_some(std::string_view bytes, int timeout_ms) const;
  std::string receive_all(int timeout_s) const;  // until the other end hangs up
  // The next frame; fails the test when there is none.
  coordinator::wire::Message receive() const;
  bool is_closed_within(int timeout_s) const;

 private:
  int socket_ = -1;
};

template <class Condition>
bool within(double seconds, Condition&& holds) {
  for (int tries = 0; tries < 20 * seconds; ++tries, sleep_a_moment())
    if (holds()) return true;
  return false;
}

}  // namespace railwright::test
