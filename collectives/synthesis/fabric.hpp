// A cluster as a synthesis sees it: ranks, the links between them, and whatever forwards in
// between. Internal to the synthesis.
#pragma once

#include <vector>

#include "collectives/bound/link_rates.hpp"
#include "topology/topology.hpp"

namespace railwright::collectives {

enum class Towards : std::uint8_t { forward, reversed };  // reversed: links run the other way

// Vertices and links have the numbers of the graph; a reversed fabric swaps the ends of each link.
struct Fabric {
  struct Link {
    int source = 0, target = 0;
    double rate = 0;     // bytes/s
    double latency = 0;  // s
  };
  std::vector<Link> links;
  std::vector<int> first_out, out;   // links that leave a vertex
  std::vector<int> vertex, rank_at;  // of each rank; of each vertex, -1 where there is none
  // Hops from each vertex to each rank over vertices that forward and are no ranks; -1 where there
  // is no such way. By rank, then vertex.
  std::vector<std::vector<int>> distance;
  // Ranks that links of a rate join, one group per rank, from single ranks (level 0) to the last
  // level that is not one group of all.
  std::vector<std::vector<int>> group;

  int ranks() const { return static_cast<int>(vertex.size()); }
  int vertices() const { return static_cast<int>(rank_at.size()); }
};

// Raw line rates times the calibration's efficiencies. Switches and NICs forward, and accelerators
// that have links to other accelerators only.
Fabric fabric_of(const std::vector<topology::AcceleratorId>& members,
                 const topology::Cluster& cluster, const topology::Calibration& calibration,
                 Towards towards);

// What bounds of plans count with: the same rates, without latencies.
LinkRates effective_rates(const topology::Graph& graph, const topology::Calibration& calibration);

}  // namespace railwright::collectives
