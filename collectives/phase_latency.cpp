#include "collectives/phase_latency.hpp"

#include <algorithm>
#include <utility>

namespace railwright::collectives {
namespace {

constexpr int nobody = -1;

}  // namespace

PhaseLatency::PhaseLatency(std::int64_t steps, const std::vector<Sample>& samples, int ranks)
    : steps_(steps), samples_(samples), leaving_(static_cast<std::size_t>(ranks), nobody) {}

void PhaseLatency::add(const Send& send, std::size_t sample, Seconds latency) {
  const auto channel = static_cast<std::size_t>(send.channel);
  if (channels_.size() <= channel) channels_.resize(channel + 1);
  channels_[channel].resize(samples_.size());
  channels_[channel][sample].push_back({send.source, send.target, latency});
}

// Goes round the ring from hop `first` on and takes its hops out of the table.
Seconds PhaseLatency::around(const Channel& hops, std::size_t first) {
  Seconds sum, fastest = hops[first].latency;
  int count = 0, at = hops[first].source;
  do {
    const Hop& hop = hops[static_cast<std::size_t>(std::exchange(leaving_[at], nobody))];
    sum += hop.latency;
    fastest = std::min(fastest, hop.latency);
    at = hop.target;
    ++count;
  } while (at != hops[first].source);
  return 1.0 / (count - 1) * (sum - fastest);
}

// Whoever is left is also entered, once.
bool PhaseLatency::form_rings(const Channel& hops) {
  const auto ranks = static_cast<int>(leaving_.size());
  std::ranges::fill(leaving_, nobody);
  std::vector<bool> entered(leaving_.size(), false);
  for (std::size_t i = 0; i < hops.size(); ++i) {
    const Hop& hop = hops[i];
    if (hop.source >= ranks || hop.target >= ranks) return false;
    if (leaving_[hop.source] != nobody || entered[hop.target]) return false;
    leaving_[hop.source] = static_cast<int>(i);
    entered[hop.target] = true;
  }
  return std::ranges::all_of(hops, [&](const Hop& hop) { return entered[hop.source]; });
}

Seconds PhaseLatency::of_channel(const Channel& hops, std::int64_t steps) {
  if (hops.empty()) return {};
  if (steps == 1) return std::ranges::max_element(hops, {}, &Hop::latency)->latency;
  Seconds slowest;
  if (form_rings(hops)) {
    for (std::size_t i = 0; i < hops.size(); ++i)
      if (leaving_[hops[i].source] != nobody) slowest = std::max(slowest, around(hops, i));
    return slowest;
  }
  Seconds sum;
  for (const Hop& hop : hops) sum += hop.latency;
  return 1.0 / static_cast<double>(hops.size()) * sum;
}

Seconds PhaseLatency::per_step() {
  Seconds slowest;
  for (const std::vector<Channel>& samples : channels_) {
    Seconds time;
    for (std::size_t i = 0; i < samples.size(); ++i)
      time += static_cast<double>(samples_[i].steps) * of_channel(samples[i], samples_[i].steps);
    slowest = std::max(slowest, time);
  }
  return 1.0 / static_cast<double>(steps_) * slowest;
}

}  // namespace railwright::collectives
