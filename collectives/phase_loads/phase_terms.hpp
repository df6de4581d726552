// The phases of a schedule as sums of patterns. Internal to the loads of phases.
#pragma once

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "collectives/cost.hpp"
#include "collectives/phase_latency.hpp"
#include "collectives/phase_loads/alike_periods.hpp"
#include "collectives/phase_loads/link_loads.hpp"

namespace railwright::collectives {

struct PhaseTerms {
  struct Term {
    int pattern = 0;
    double weight = 1;
  };
  PhaseLoad load;  // without its links
  std::vector<Term> terms;
  int least = -1;  // pattern that no link carries less than; -1: none

  // Of a link on which the patterns put so much.
  double load_of(const std::vector<double>& patterns) const {
    double sum = 0;
    for (const Term& term : terms)
      sum += term.weight * patterns[static_cast<std::size_t>(term.pattern)];
    return least < 0 ? sum : std::max(sum, patterns[static_cast<std::size_t>(least)]);
  }
};

// What was found of a pattern that a maker tells in layers. It depends on neither size nor
// segments.
struct TracedLayer {
  int pattern = 0;  // of LinkLoads
  std::vector<std::pair<int, HopSummary>> channels;
};
using TracedLayers = std::map<std::pair<int, int>, TracedLayer>;  // by maker's pattern and channel

// Adds the patterns of the schedule to `links`, which must be empty, but for those in `known`,
// which is told of them. Patterns count from 0 in the order of both. With `alike`
// only the links that stand for others are told of, and it says afterwards whether they do.
std::vector<PhaseTerms> terms_of_phases(const Schedule& schedule, Bytes size,
                                        const std::vector<topology::AcceleratorId>& members,
                                        const topology::Router& router,
                                        const topology::Calibration& calibration, LinkLoads& links,
                                        TracedLayers& known, AlikePeriods* alike = nullptr);

}  // namespace railwright::collectives
