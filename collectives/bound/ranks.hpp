// The ranks of one question about bounds, and the networks that answer it. Internal to the bound.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "collectives/bound/tightest_cut.hpp"
#include "topology/topology.hpp"

namespace railwright::collectives {

// size / time is at most capacity / demand units of the network.
struct Limit {
  Amount capacity = 0, demand = 0;  // demand 0: no limit
  std::vector<topology::LinkId> links;
  std::string cut;
  Amount links_total = 0;  // more than `links` where these stand for others like them
};
// Whether the first allows less.
bool tighter(const Limit& one, const Limit& other);

class Ranks {
 public:
  Ranks(const std::vector<topology::AcceleratorId>& members, const topology::Cluster& cluster);
  // On links with rates of their own; the cluster must outlive it.
  Ranks(const std::vector<topology::AcceleratorId>& members, const topology::Cluster& cluster,
        LinkRates rates);

  int count() const { return static_cast<int>(vertices_.size()); }
  const std::vector<int>& vertices() const { return vertices_; }
  const LinkRates& rates() const { return rates_; }
  // Made when it is first asked for.
  FlowNetwork& network(Direction direction);
  // Whether all sums of the search fit in 62 bits.
  bool fits() const;

  Gathering all_to_everyone() const;
  Gathering one_to(int source, std::vector<int> sinks) const;
  // Vertices of ranks: node by node; all that are not in `part`; those inside a set.
  std::vector<std::vector<int>> nodes() const;
  std::vector<int> others(const std::vector<int>& part) const;
  std::vector<int> inside(const VertexSet& set) const;

  // "24 ranks to node3 (8 ranks)". A reversed cut is entered by what `inside` holds.
  Limit limit_of(const Cut& cut, Direction direction, Amount capacity, Amount demand) const;
  // Ascending.
  std::vector<topology::LinkId> links_leaving(const VertexSet& inside, Direction direction) const;

 private:
  std::string name_of(const std::vector<int>& part) const;

  const topology::Cluster& cluster_;
  std::vector<int> vertices_, node_of_;  // of each rank
  std::vector<int> rank_at_;             // of each vertex, -1 where there is none
  LinkRates rates_;
  std::optional<FlowNetwork> forward_, reversed_;
};

// The larger of the bound over cuts and those over partitions, reduction in ranks only.
Limit all_reduce_limit(Ranks& ranks);
// The tightest of several cuts.
Limit all_to_all_limit(Ranks& ranks);

}  // namespace railwright::collectives
