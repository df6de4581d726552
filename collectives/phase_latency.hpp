// The latency that a step of a phase shows. Internal to the loads of phases.
#pragma once

#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "collectives/maker.hpp"

namespace railwright::collectives {

// What counts of the hops that one channel makes in one step.
struct HopSummary {
  std::int64_t count = 0;
  Seconds sum, slowest;
  std::optional<Seconds> around;  // where they form rings: per step of them, see below
};

// Takes the hops of one channel one after another.
class HopLatencies {
 public:
  // `rings`: whether to look for them.
  HopLatencies(int ranks, bool rings);
  void add(int source, int target, Seconds latency);
  HopSummary take();  // and begins anew

 private:
  bool around(Seconds& slowest);

  bool look_, rings_;
  HopSummary summary_;
  std::vector<int> next_;  // target by source; -1: none
  std::vector<Seconds> latency_;
};

// One step: the longest of its sends. Connections that form rings, each of which does one step less
// than it has hops: the last chunk to arrive has crossed all hops of its ring but one, in the worst
// case the fastest one; the sum over the other hops, spread over the steps. This is the cycle mean
// of the timed event graph of the ring (Baccelli, Cohen, Olsder, Quadrat: Synchronization and
// Linearity, 1992, section 2.3) for hops of one bandwidth; docs/collectives.md bounds the error for
// others. What is no ring (chains, trees): the mean of its hops.
//
// Channels go side by side: the slowest counts. The samples of a phase follow one another.
class PhaseLatency {
 public:
  PhaseLatency(std::int64_t steps, std::vector<Sample> samples)
      : steps_(steps), samples_(std::move(samples)) {}
  void add(int channel, int sample, const HopSummary& hops);
  Seconds per_step() const;

 private:
  std::int64_t steps_;
  std::vector<Sample> samples_;
  std::map<std::pair<int, int>, HopSummary> channels_;  // by channel and sample
};

}  // namespace railwright::collectives
