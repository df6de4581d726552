// The best matching that a bounded search finds: chunk counts, then seeds. Internal to the
// synthesis.
#pragma once

#include <optional>

#include "collectives/synthesis.hpp"
#include "collectives/synthesis/matching.hpp"

namespace railwright::collectives {

struct Found {
  Matching matching;
  int chunks = 0;          // per rank that has any
  std::vector<int> owner;  // of each chunk
};

// All-gather from every rank, or broadcast from `root` (>= 0), on the fabric of `towards`. Nothing
// when some rank cannot be reached.
std::optional<Found> best_matching(const SynthesisTask& task, const topology::Cluster& cluster,
                                   const topology::Calibration& calibration, Towards towards,
                                   bool rooted);

}  // namespace railwright::collectives
