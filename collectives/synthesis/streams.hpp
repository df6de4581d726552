// Trees that carry segment after segment, all at once: every edge is a stream with a share of its
// links that never changes, so that no link is overloaded and none waits. Internal to the
// synthesis.
//
// A broadcast goes down trees at the root and an all-gather down trees at every rank; a reduction
// or reduce-scatter is one of these played backwards on the reversed fabric; an all-reduce goes up
// spanning trees to their middle and down again. With S segments, trees of D levels and all of a
// tree's bandwidth taken, T = (S - 1 + D) tau + latencies, tau = time of a segment.
#pragma once

#include <optional>

#include "collectives/synthesis.hpp"

namespace railwright::collectives {

struct Streams {
  Forest forest;
  int segments = 1;  // of the schedule
  int chunks = 0;    // of each rank's part, or of the buffer
  Seconds time;
};

// Nothing where no trees are found, or too many would be needed.
std::optional<Streams> best_streams(const SynthesisTask& task, const topology::Cluster& cluster,
                                    const topology::Calibration& calibration);

}  // namespace railwright::collectives
