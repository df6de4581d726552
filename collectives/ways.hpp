// How the sends of a schedule cross a cluster: the one place that says which links a send loads.
//
// Between ranks it is the way of the router, or the one that the schedule brings along
// (Forest::routes). To and from a switch it is a path of the tree that this switch spans over its
// ranks, so that paths that meet stay together.
//
// What goes into a switch, or comes out of it, in one step, for the same chunks, is a bundle:
// reductions merge on the links that they share and copies are a multicast, so that each link
// carries the chunks once.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "collectives/schedule.hpp"
#include "topology/routing.hpp"

namespace railwright::collectives {

class Ways {
 public:
  // All arguments must outlive the ways. Requires why_not(schedule, members, cluster) to be empty.
  Ways(const Schedule& schedule, const std::vector<topology::AcceleratorId>& members,
       const topology::Router& router, const topology::Calibration& calibration);
  ~Ways();

  // Links and their latency, software apart.
  topology::Route of(const Send& send) const;
  // The same in bundles of the router. Replaces what `way` holds and keeps its memory.
  void trace(const Send& send, topology::Trace& way) const;
  // What software adds to a send: nothing where a switch forwards.
  Seconds software_latency(const Send& send) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Whether the ways of the schedule among a group go with any move (topology::Move) of it: not where
// routes are written out, nor where switches do more than lead from member to member, but for those
// of nodes in which all their ranks are.
bool goes_with_moves(const Schedule& schedule, const std::vector<topology::AcceleratorId>& members,
                     const topology::Cluster& cluster);

// Sends of one step with equal bundles move as one; nothing: the send moves on its own.
using Bundle = std::tuple<int, int, std::int64_t, std::int64_t, int>;
std::optional<Bundle> bundle_of(const Schedule& schedule, const Send& send);
// The way of a bundle: every link that one of its sends crosses, once; the latency of the longest.
topology::Route merged(const std::vector<topology::Route>& ways);

// Empty when the schedule can run on these members, else why not: what why_not(schedule) says, and
// what the cluster lacks ("nvls: no switch that reduces joins ranks 0 to 7").
std::string why_not(const Schedule& schedule, const std::vector<topology::AcceleratorId>& members,
                    const topology::Cluster& cluster);

}  // namespace railwright::collectives
