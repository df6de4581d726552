#include "running_coordinator.hpp"

#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <chrono>
#include <fstream>
#include <thread>

#include "coordinator/service/access.hpp"
#include "coordinator/service/children.hpp"
#include "coordinator/service/files.hpp"

namespace railwright::test {

using namespace coordinator;

void sleep_a_moment() { std::this_thread::sleep_for(std::chrono::milliseconds(50)); }

RunningCoordinator::RunningCoordinator(const Folder& folder, std::vector<std::string> options)
    : log_path_(folder.file("coordinator.log")) {
  const std::string data = folder.file("data");
  unlink((data + "/address").c_str());
  Child child;
  child.arguments = {std::string(RAILWRIGHT_BINARY_DIR) + "/bin/railwright", "coordinator",
                     "--cluster=localhost", "--data=" + data, "--listen=127.0.0.1:0"};
  for (std::string& option : options) child.arguments.push_back(std::move(option));
  child.error_path = log_path_;
  const auto pid = start_child(child);
  REQUIRE(pid);
  pid_ = *pid;
  INFO(read_file(log_path_).value_or(""));
  REQUIRE(within(60, [&] { return read_file(data + "/address").has_value(); }));
  access.address = *read_file(data + "/address");
  port = parse_address(access.address)->port;
}

RunningCoordinator::~RunningCoordinator() {
  if (pid_ <= 0) return;
  kill(pid_, SIGTERM);
  waitpid(pid_, nullptr, 0);
}

HttpAnswer RunningCoordinator::ask(const std::string& method, const std::string& target,
                                   const std::string& body) const {
  const auto answer = ask_coordinator(access, method, target, body);
  INFO((answer ? "" : to_string(answer.error())));
  REQUIRE(answer);
  return *answer;
}

bool RunningCoordinator::counts(const std::string& metric, int value) const {
  const std::string line = "railwright_" + metric + " " + std::to_string(value) + "\n";
  return within(5, [&] { return ask("GET", "/metrics").body.find(line) != std::string::npos; });
}

std::string RunningCoordinator::log() const { return read_file(log_path_).value_or(""); }

std::int64_t RunningCoordinator::resident_bytes() const {
  std::ifstream file("/proc/" + std::to_string(pid_) + "/statm");
  std::int64_t total = 0, resident = 0;
  file >> total >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

Socket::Socket(int port) : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in place{};
  place.sin_family = AF_INET;
  place.sin_port = htons(static_cast<std::uint16_t>(port));
  place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(connect(socket_, reinterpret_cast<const sockaddr*>(&place), sizeof place) == 0);
}

Socket::~Socket() { close(socket_); }

void Socket::send(const std::string& bytes) const {
  ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
}

std::size_t Socket::send_some(std::string_view bytes, int timeout_ms) const {
  pollfd poll_of{socket_, POLLOUT, 0};
  if (poll(&poll_of, 1, timeout_ms) != 1) return 0;
  const ssize_t count = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  return count > 0 ? static_cast<std::size_t>(count) : 0;
}

std::string Socket::receive_all(int timeout_s) const {
  std::string bytes;
  std::array<char, 4096> some;
  for (;;) {
    pollfd poll_of{socket_, POLLIN, 0};
    if (poll(&poll_of, 1, 1000 * timeout_s) != 1) return bytes;
    const ssize_t count = recv(socket_, some.data(), some.size(), 0);
    if (count <= 0) return bytes;
    bytes.append(some.data(), static_cast<std::size_t>(count));
  }
}

wire::Message Socket::receive() const {
  std::string bytes;
  for (;;) {
    const wire::Decoded decoded = wire::decode(bytes);
    REQUIRE_FALSE(decoded.fault);
    if (decoded.message) return *decoded.message;
    pollfd poll_of{socket_, POLLIN, 0};
    REQUIRE(poll(&poll_of, 1, 10'000) == 1);
    char byte = 0;
    REQUIRE(recv(socket_, &byte, 1, 0) == 1);
    bytes += byte;
  }
}

bool Socket::is_closed_within(int timeout_s) const {
  pollfd poll_of{socket_, POLLIN, 0};
  char byte = 0;
  return poll(&poll_of, 1, 1000 * timeout_s) == 1 && recv(socket_, &byte, 1, 0) <= 0;
}

}  // namespace railwright::test
