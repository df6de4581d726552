#include "collectives/phase_latency.hpp"

#include <algorithm>

namespace railwright::collectives {
namespace {

constexpr int nobody = -1;

Seconds of_channel(const HopSummary& hops, std::int64_t steps) {
  if (hops.count == 0) return {};
  if (steps == 1) return hops.slowest;
  if (hops.around) return *hops.around;
  return 1.0 / static_cast<double>(hops.count) * hops.sum;
}

}  // namespace

HopLatencies::HopLatencies(int ranks, bool rings)
    : look_(rings),
      rings_(rings),
      next_(rings ? static_cast<std::size_t>(ranks) : 0, nobody),
      latency_(next_.size()) {}

void HopLatencies::add(int source, int target, Seconds latency) {
  ++summary_.count;
  summary_.sum += latency;
  summary_.slowest = std::max(summary_.slowest, latency);
  if (!rings_) return;
  const auto ranks = static_cast<int>(next_.size());
  rings_ = source < ranks && target < ranks && next_[source] == nobody;
  if (!rings_) return;
  next_[source] = target;
  latency_[source] = latency;
}

// Goes round every ring and takes its hops out of the table. False: they are none.
bool HopLatencies::around(Seconds& slowest) {
  for (int first = 0; first < static_cast<int>(next_.size()); ++first) {
    if (next_[first] == nobody) continue;
    Seconds sum, fastest = latency_[first];
    int hops = 0, at = first;
    do {
      if (next_[at] == nobody) return false;
      sum += latency_[at];
      fastest = std::min(fastest, latency_[at]);
      at = std::exchange(next_[at], nobody);
      ++hops;
    } while (at != first);
    if (hops == 1) return false;
    slowest = std::max(slowest, 1.0 / (hops - 1) * (sum - fastest));
  }
  return true;
}

HopSummary HopLatencies::take() {
  Seconds slowest;
  if (rings_ && summary_.count > 0 && around(slowest)) summary_.around = slowest;
  if (look_) std::ranges::fill(next_, nobody);
  rings_ = look_;
  return std::exchange(summary_, {});
}

void PhaseLatency::add(int channel, int sample, const HopSummary& hops) {
  if (hops.count == 0) return;
  HopSummary& all = channels_[{channel, sample}];
  all.around = all.count == 0 ? hops.around : std::nullopt;
  all.count += hops.count;
  all.sum += hops.sum;
  all.slowest = std::max(all.slowest, hops.slowest);
}

Seconds PhaseLatency::per_step() const {
  std::map<int, Seconds> time;  // by channel
  for (const auto& [place, hops] : channels_) {
    const std::int64_t steps = samples_[static_cast<std::size_t>(place.second)].steps;
    time[place.first] += static_cast<double>(steps) * of_channel(hops, steps);
  }
  Seconds slowest;
  for (const auto& [channel, sum] : time) slowest = std::max(slowest, sum);
  return 1.0 / static_cast<double>(steps_) * slowest;
}

}  // namespace railwright::collectives
