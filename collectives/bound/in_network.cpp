#include "collectives/bound.hpp"

namespace railwright::collectives {

// All-gather, broadcast: copies made on the way do not let distinct data cross a cut in fewer
// bytes. Reduce-scatter, reduce: the bounds count one sum per part already, wherever it is made.
// All-reduce: every set with rank 0 and without another one lets a vector out, as in a broadcast
// from rank 0, and one in, as in a reduction to it; these are all sets that split the ranks.
std::optional<Bound> bound_in_network(Operation operation,
                                      const std::vector<topology::AcceleratorId>& members,
                                      const topology::Cluster& cluster, int root) {
  if (operation != Operation::all_reduce) return bound_of(operation, members, cluster, root);
  auto out = bound_of(Operation::broadcast, members, cluster);
  auto in = bound_of(Operation::reduce, members, cluster);
  if (!out || !in) return std::nullopt;
  return in->algorithm_bandwidth < out->algorithm_bandwidth ? in : out;
}

}  // namespace railwright::collectives
