// What NCCL would choose, as a schedule that can be emulated and executed.
#pragma once

#include <vector>

#include "collectives/nccl.hpp"

namespace railwright::collectives {

// The same channels over the same ranks:
//   Ring            ring; channels of the search, over several nodes one entrance per channel
//   Tree            double_tree over nodes: chains inside, two trees between, g chains at once;
//                   one rank per node: double_tree; one node: chains
//   NVLS            nvls; over several nodes (it needs CollNet there) sharp
//   NVLSTree        nvls_tree
//   CollNet*        sharp
//   PAT             pat
// Protocols are not told apart: LL moves twice the bytes, LL128 16/15 of them. Segments are ours.
// Where the description of the cluster knows no switch that reduces, NVLS and CollNet become the
// ring that NCCL would fall back to.
Schedule nccl_schedule(const nccl::Choice& choice, const nccl::Placement& placement,
                       Operation operation, Bytes size,
                       const std::vector<topology::AcceleratorId>& members,
                       const topology::Cluster& cluster);

}  // namespace railwright::collectives
