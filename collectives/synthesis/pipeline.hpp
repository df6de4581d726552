// Packed trees, segment after segment. An all-reduce goes up spanning trees to their middle and
// down again, both at once; a broadcast goes down trees at the root, and a reduction is one played
// backwards. Internal to the synthesis.
#pragma once

#include <optional>

#include "collectives/synthesis.hpp"
#include "collectives/synthesis/plan.hpp"

namespace railwright::collectives {

struct Pipeline {
  Plan plan;
  std::vector<int> root;            // of each tree, segment by segment
  std::vector<std::int64_t> width;  // chunks
  int chunks = 0;                   // of the buffer
};

// Nothing where packed trees attain no more than a reduce-scatter and an all-gather in turn, and
// where the packing would take too long.
std::optional<Pipeline> best_pipeline(const SynthesisTask& task, const topology::Cluster& cluster,
                                      const topology::Calibration& calibration);

}  // namespace railwright::collectives
