// An all-reduce along packed spanning trees: every tree reduces to its middle and broadcasts from
// there, segment after segment, both at once. Internal to the synthesis.
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

// Nothing where packed trees attain no more than a reduce-scatter and an all-gather in turn.
std::optional<Pipeline> best_pipeline(const SynthesisTask& task, const topology::Cluster& cluster,
                                      const topology::Calibration& calibration);

}  // namespace railwright::collectives
