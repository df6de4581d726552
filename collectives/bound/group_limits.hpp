// All questions about one group on one cluster: what they share is made once. Internal to the
// bound.
#pragma once

#include <map>
#include <memory>

#include "collectives/attainable.hpp"
#include "collectives/bound/folding.hpp"

namespace railwright::collectives {

// Limits over links with rates of their own, remembered by operation and root.
class NetworkLimits {
 public:
  NetworkLimits(const std::vector<topology::AcceleratorId>& members,
                const topology::Cluster& cluster, LinkRates rates)
      : ranks_(members, cluster, std::move(rates)) {}

  std::optional<Bound> bound(Operation operation, int root);
  const LinkRates& rates() const { return ranks_.rates(); }

 private:
  std::optional<Limit> limit(Operation operation, int root);
  const Folding& folding(int alone);

  Ranks ranks_;
  std::map<std::pair<Operation, int>, std::optional<Bound>> known_;
  std::map<int, std::unique_ptr<Folding>> foldings_;  // by the rank that stays, -1: none
};

struct GroupLimits::State {
  State(const std::vector<topology::AcceleratorId>& members, const topology::Cluster& cluster);

  // Without accelerators that carry nothing for others; what the whole network has where there are
  // none.
  NetworkLimits& reach();
  // The same with both directions of a link at the rate of the slower.
  NetworkLimits& equal_directions();

  std::vector<topology::AcceleratorId> members;
  const topology::Cluster& cluster;
  NetworkLimits whole;
  std::unique_ptr<NetworkLimits> reach_, equal_directions_;
};

}  // namespace railwright::collectives
