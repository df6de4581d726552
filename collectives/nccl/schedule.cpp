#include "collectives/nccl_schedule.hpp"

#include "collectives/choice/layout.hpp"
#include "collectives/ways.hpp"

namespace railwright::collectives {
namespace {

using nccl::Placement;

// NCCL orders ranks node by node, whatever the group says; where the group does not, its ring
// crosses nodes as ours does.
Schedule ring_of(const Placement& placement, Operation operation, const Members& members,
                 const topology::Cluster& cluster) {
  Schedule schedule{operation, Algorithm::ring, static_cast<int>(members.size())};
  if (placement.platform->ring) schedule.channels = placement.platform->ring->channels;
  if (placement.nodes > 1) schedule.inner = ranks_per_node(members, cluster);
  return schedule;
}

Algorithm counterpart(nccl::Algorithm algorithm, int nodes) {
  switch (algorithm) {
    case nccl::Algorithm::tree:
      return Algorithm::double_tree;
    case nccl::Algorithm::ring:
      break;
    case nccl::Algorithm::nvls:
      return nodes == 1 ? Algorithm::nvls : Algorithm::sharp;
    case nccl::Algorithm::nvls_tree:
      return Algorithm::nvls_tree;
    case nccl::Algorithm::collnet_direct:
    case nccl::Algorithm::collnet_chain:
      return Algorithm::sharp;
    case nccl::Algorithm::pat:
      return Algorithm::pat;
  }
  return Algorithm::ring;
}

}  // namespace

Schedule nccl_schedule(const nccl::Choice& choice, const Placement& placement, Operation operation,
                       Bytes size, const Members& members, const topology::Cluster& cluster) {
  const Algorithm algorithm = counterpart(choice.algorithm, placement.nodes);
  const Schedule ring = ring_of(placement, operation, members, cluster);
  if (algorithm == Algorithm::ring) return ring;
  Schedule schedule = schedule_for(operation, algorithm, members, cluster, size);
  return why_not(schedule, members, cluster).empty() ? schedule : ring;
}

}  // namespace railwright::collectives
