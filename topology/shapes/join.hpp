// Whether every accelerator can reach every other.
#pragma once

#include "topology/shapes/layout.hpp"
#include "topology/topology.hpp"

namespace railwright::topology {

// The links into every vertex, as CSR: `link[first[v] .. first[v + 1])`, ascending by link id.
struct ReverseLinks {
  std::vector<int> first, link;
};
ReverseLinks reverse_links(const Graph& graph);

// Empty when all accelerators are joined; else one error that names one that is not. Where the
// networks alone join all node groups no vertex is visited.
Errors unjoined_accelerators(const Cluster& cluster, const Layout& layout);

}  // namespace railwright::topology
