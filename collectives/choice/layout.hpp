// How a group lies on its cluster: what schedules must know to use every link. Internal to the
// choice.
#pragma once

#include <vector>

#include "collectives/cost.hpp"
#include "topology/topology.hpp"

namespace railwright::collectives {

using Members = std::vector<topology::AcceleratorId>;

// Members that sit k to a node, node after node, give k; any other order gives 1.
int ranks_per_node(const Members& members, const topology::Cluster& cluster);
// NICs that the members of the first node have among them; 0: they attach without.
int nics_per_node(const Members& members, const topology::Cluster& cluster);
// Whether the first two members have a cable of their own.
bool are_cabled(const Members& members, const topology::Cluster& cluster);
// Extents of the ring or torus that the members are, all of it and in its order, the fastest one
// first, those of 1 left out; empty: they are none. Twists are not told.
std::vector<int> torus_dimensions(const Members& members, const topology::Cluster& cluster);

// A hop between two of the members, by what the file says about links: for parameters that are
// chosen before anything is priced.
Hop assumed_hop(const Members& members, const topology::Cluster& cluster);
// Whether some switch of the cluster reduces, as far as its kinds tell.
bool has_reducing_switches(const topology::Cluster& cluster);

// All of that, asked once for many schedules.
struct Layout {
  int ranks_per_node = 1, nics_per_node = 0;
  bool cabled = false, reducing = false;
  std::vector<int> torus;
  Hop hop;  // assumed; none for a single member
};
Layout layout_of(const Members& members, const topology::Cluster& cluster);

}  // namespace railwright::collectives
