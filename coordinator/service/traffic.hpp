// What came in over the listener, counted and logged.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace railwright::coordinator {

enum class Protocol : std::uint8_t { http, frames };

class Traffic {
 public:
  // Counts it, and logs it: each reason once a second, or who sends garbage fills our disk.
  void refuse(Protocol protocol, std::string_view reason, const std::string& from);
  void answered(int status) { ++answered_[status]; }
  void heartbeat(std::chrono::nanoseconds handling);

  std::string metrics() const;

  int connections = 0;  // whose clients have not said who they are
  int leaders = 0;      // connected

 private:
  struct Refusals {
    std::int64_t count = 0, unlogged = 0;
    std::chrono::steady_clock::time_point logged;
  };
  static constexpr std::array<double, 6> bounds_s = {0.0001, 0.001, 0.005, 0.01, 0.05, 0.5};
  std::map<std::string, Refusals, std::less<>> http_, frames_;
  std::map<int, std::int64_t> answered_;
  std::array<std::int64_t, bounds_s.size() + 1> heartbeats_{};  // the last: longer than all bounds
  double handling_s_ = 0;
};

}  // namespace railwright::coordinator
