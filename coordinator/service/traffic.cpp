#include "coordinator/service/traffic.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <utility>

namespace railwright::coordinator {

namespace {

std::string family(const char* name, const char* type, const char* help) {
  return fmt::format("# HELP railwright_{0} {2}\n# TYPE railwright_{0} {1}\n", name, type, help);
}

}  // namespace

void Traffic::refuse(Protocol protocol, std::string_view reason, const std::string& from) {
  auto& reasons = protocol == Protocol::http ? http_ : frames_;
  Refusals& refusals = reasons[std::string(reason)];
  ++refusals.count;
  const auto now = std::chrono::steady_clock::now();
  if (refusals.count > 1 && now - refusals.logged < std::chrono::seconds(1)) {
    ++refusals.unlogged;
    return;
  }
  refusals.logged = now;
  const std::int64_t others = std::exchange(refusals.unlogged, 0);
  std::cerr << fmt::format("coordinator: refused {} of {}: {}{}\n",
                           protocol == Protocol::http ? "HTTP" : "frames", from, reason,
                           others > 0 ? fmt::format(" (and {} before it)", others) : "");
}

void Traffic::heartbeat(std::chrono::nanoseconds handling) {
  const double seconds = std::chrono::duration<double>(handling).count();
  const auto bound = std::lower_bound(bounds_s.begin(), bounds_s.end(), seconds);
  ++heartbeats_[static_cast<std::size_t>(bound - bounds_s.begin())];
  handling_s_ += seconds;
}

std::string Traffic::metrics() const {
  std::string text = family("http_requests_total", "counter", "Requests answered, by status.");
  for (const auto& [status, count] : answered_)
    text += fmt::format("railwright_http_requests_total{{code=\"{}\"}} {}\n", status, count);
  const auto refused = [&](const char* name, const char* help, const auto& reasons) {
    text += family(name, "counter", help);
    for (const auto& [reason, refusals] : reasons)
      text += fmt::format("railwright_{}{{reason=\"{}\"}} {}\n", name, reason, refusals.count);
  };
  refused("http_refused_total", "Requests refused before they were looked at, by reason.", http_);
  refused("frames_refused_total", "Connections of leaders that were cut off, by reason.", frames_);
  const char* histogram = "heartbeat_handling_seconds";
  text += family(histogram, "histogram", "From the frame of a leader to the answer to it.");
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < heartbeats_.size(); ++i) {
    sum += heartbeats_[i];
    text += fmt::format("railwright_{}_bucket{{le=\"{}\"}} {}\n", histogram,
                        i < bounds_s.size() ? fmt::format("{}", bounds_s[i]) : "+Inf", sum);
  }
  text += fmt::format("railwright_{0}_sum {1}\nrailwright_{0}_count {2}\n", histogram, handling_s_,
                      sum);
  return text + family("leaders_connected", "gauge", "Leaders of jobs that are connected.") +
         fmt::format("railwright_leaders_connected {}\n", leaders);
}

}  // namespace railwright::coordinator
