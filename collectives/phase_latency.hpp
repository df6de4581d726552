// The latency that a step of a phase shows. Internal to the loads of phases.
#pragma once

#include <vector>

#include "collectives/maker.hpp"

namespace railwright::collectives {

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
  PhaseLatency(std::int64_t steps, const std::vector<Sample>& samples, int ranks);
  void add(const Send& send, std::size_t sample, Seconds latency);
  Seconds per_step();

 private:
  struct Hop {
    int source = 0, target = 0;
    Seconds latency;
  };
  using Channel = std::vector<Hop>;  // of one sample
  bool form_rings(const Channel& hops);
  Seconds of_channel(const Channel& hops, std::int64_t steps);
  Seconds around(const Channel& hops, std::size_t first);

  std::int64_t steps_;
  const std::vector<Sample>& samples_;
  std::vector<std::vector<Channel>> channels_;  // of each channel and sample
  std::vector<int> leaving_;                    // hop of a channel by its source; -1: none
};

}  // namespace railwright::collectives
