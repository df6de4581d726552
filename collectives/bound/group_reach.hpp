// What a group of ranks can use of a cluster. Internal to the bound and the synthesis.
#pragma once

#include <optional>
#include <vector>

#include "topology/topology.hpp"

namespace railwright::collectives {

// One flag per vertex: switches and NICs pass on what they receive, and so do accelerators that
// have links to other accelerators only, as in a torus.
std::vector<char> forwarding_vertices(const topology::Graph& graph);

// The same, and the members.
std::vector<char> usable_vertices(const std::vector<topology::AcceleratorId>& members,
                                  const topology::Cluster& cluster);

// The cluster as schedules of the group can use it: nothing goes through an accelerator that is no
// member and does not forward, so its links carry nothing. Links keep their numbers. Nothing when
// there is no such accelerator.
std::optional<topology::Cluster> within_reach(const std::vector<topology::AcceleratorId>& members,
                                              const topology::Cluster& cluster);

}  // namespace railwright::collectives
