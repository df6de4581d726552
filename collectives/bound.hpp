// The bound: what no schedule can beat on this cluster, and the links that say so.
//
// Every bound is a cut: bytes that must leave a set S of vertices, over B+(S), the raw line rates
// of the links that leave it. Latency and software are not counted, any vertex may forward for
// others, and every link runs in each direction at its own rate, so the truth is never below.
// Formulas are in docs/collectives.md; rates are whole bytes/s and the arithmetic is exact.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "collectives/schedule.hpp"
#include "topology/topology.hpp"

namespace railwright::collectives {

struct Bound {
  Bandwidth algorithm_bandwidth;        // size / time, at most
  std::vector<topology::LinkId> links;  // that leave the binding cut or cuts, ascending
  std::int64_t links_total = 0;  // more than `links` where a few stand for many that are alike
  std::string cut;               // "24 ranks to node3 (8 ranks)", "32 ranks, each on its own"
  bool operator==(const Bound&) const = default;
};

// The bound for ranks on `members`, all different; `root` is a group rank (broadcast and reduce).
//   all_gather, reduce_scatter   the exact optimum over all cuts
//   broadcast, reduce, send      the exact optimum over all cuts
//   all_reduce                   without reduction or multicast in switches: the larger of the
//                                exact optimum over cuts and that over several partitions
//   all_to_all                   several cuts: ranks, nodes, halves, that of all_gather
// Beyond members x links = 5 x 10^7 ranks that can be proved alike are asked for once: a million on
// a regular fabric take some seconds. The optimum over all cuts stays exact; all_reduce and
// all_to_all take blocks of ranks that are alike instead of nodes.
// Nothing for fewer than two members, where more kinds of ranks are left than can be asked in some
// seconds, and where sums need more than 62 bits. GroupLimits (attainable.hpp) answers several
// questions about a group for little more than one.
std::optional<Bound> bound_of(Operation operation,
                              const std::vector<topology::AcceleratorId>& members,
                              const topology::Cluster& cluster, int root = 0);

// The same for schedules in which switches reduce and multicast. What holds without them holds for
// all operations but all_reduce, where the partitions fall away and the cuts remain: whatever is
// added on the way, one vector must leave every set of ranks and one must enter it.
std::optional<Bound> bound_in_network(Operation operation,
                                      const std::vector<topology::AcceleratorId>& members,
                                      const topology::Cluster& cluster, int root = 0);

// No schedule of ours moves `size` bytes in less. A rank's part of an all-gather, reduce-scatter
// or all-to-all counts as floor(size / ranks) bytes, for that is what the smallest part may hold.
Seconds bound_time(const Bound& bound, Operation operation, int ranks, Bytes size);

}  // namespace railwright::collectives
