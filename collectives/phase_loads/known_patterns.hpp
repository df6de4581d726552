// The patterns of a schedule on one group, kept without the links of the cluster: one link stands
// for all that they load alike. Internal to the loads of phases.
#pragma once

#include <vector>

#include "collectives/phase_loads/phase_terms.hpp"

namespace railwright::collectives {

struct LoadedLink {
  topology::LinkId link;         // the lowest of those alike, all of one class
  double bytes_per_second = 0;   // its effective capacity
  std::vector<double> patterns;  // what each pattern puts on it
};
struct KnownPatterns {
  TracedLayers layers;
  std::vector<LoadedLink> links;  // ascending
};

// The phases of the schedule. Traces what `known` lacks: nothing, where another size or number of
// segments of the same schedule was asked for before.
std::vector<PhaseTerms> known_terms(const Schedule& schedule, Bytes size,
                                    const std::vector<topology::AcceleratorId>& members,
                                    const topology::Router& router,
                                    const topology::Calibration& calibration, KnownPatterns& known);

}  // namespace railwright::collectives
