// The attainable rate: what some schedule reaches when sizes are large and latency does not count.
// With the bound it encloses the optimum; where the two meet, both are it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "collectives/bound.hpp"

namespace railwright::collectives {

struct Attainable {
  Bandwidth algorithm_bandwidth;  // size / time
  bool exact = false;             // no schedule over those vertices is faster
  double gap = 0;                 // to the bound over those vertices, relative: what is not known
  std::string how;  // "trees from every rank", "24 trees", "reduce-scatter and all-gather"
  bool operator==(const Attainable&) const = default;
};

// Arguments and limits as bound_of. Switches forward but neither add nor multicast. Accelerators
// outside the group carry nothing, unless they have links to accelerators only, as in a torus; the
// bound grants that they do, so that it may be far above for a few ranks of each node.
//   all_gather, reduce_scatter, broadcast, reduce, send   the bound, where every switch can send on
//                what it receives (docs/collectives.md has the theorem); else what the network
//                attains when both directions of a link are held to the slower
//   all_reduce   the better of reduce-scatter with all-gather and the best packing of trees
//   all_to_all   nothing
std::optional<Attainable> attainable_of(Operation operation,
                                        const std::vector<topology::AcceleratorId>& members,
                                        const topology::Cluster& cluster, int root = 0);

// Bounds and attainable rates of one group, as the functions of these names: networks are built
// once, and what one answer needs of another is remembered.
class GroupLimits {
 public:
  // The cluster must outlive it.
  GroupLimits(const std::vector<topology::AcceleratorId>& members,
              const topology::Cluster& cluster);
  ~GroupLimits();

  std::optional<Bound> bound(Operation operation, int root = 0);
  std::optional<Bound> bound_in_network(Operation operation, int root = 0);
  std::optional<Attainable> attainable(Operation operation, int root = 0);

  struct State;

 private:
  std::unique_ptr<State> state_;
};

}  // namespace railwright::collectives
