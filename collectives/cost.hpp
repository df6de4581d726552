// What a schedule costs: closed forms on equal hops, and loads per link on a real graph.
#pragma once

#include <vector>

#include "collectives/schedule.hpp"
#include "topology/routing.hpp"

namespace railwright::collectives {

// A hop between any two ranks: alpha and beta of the alpha-beta model.
struct Hop {
  Seconds latency;
  Bandwidth bandwidth;
};

// Ring all-reduce  2 (p-1) (latency + ceil(n/p) / bandwidth), and so on per algorithm and operation
// (formulas in docs/collectives.md). Each rank has one hop, which its sends of a step share, and
// steps follow one another.
Seconds closed_form_time(const Schedule& schedule, Bytes size, Hop hop);

// Into how many segments a pipelined schedule had better be cut. The closed form counts
// bytes as T(m) = T_inf + ramp / m, ramp being what filling and draining costs, and every segment
// more costs about one latency of software and wire, so m = sqrt(ramp / latency); at most 65,536,
// and one per byte. 1 for algorithms that are not pipelined. (`segments` of pat bound its messages:
// they cost nothing here.)
int optimal_segments(Schedule schedule, Bytes size, Hop hop);

// nccl-tests' factor between algorithm and bus bandwidth: all-reduce 2(p-1)/p, reduce-scatter,
// all-gather and all-to-all (p-1)/p, broadcast, reduce and send 1.
double bus_bandwidth_factor(Operation operation, int ranks);
// Whether values are added up on the way.
bool reduces(Operation operation);
// Whether ranks begin or end with a part of the buffer each: all-gather, reduce-scatter,
// all-to-all.
bool in_parts(Operation operation);

// One phase as a load on links. All connections of the phase move `bytes_per_step` in every step,
// at one common rate x; link l then carries consumption[l] * x. A connection that moves fewer bytes
// than the largest counts in proportion.
struct PhaseLoad {
  std::int64_t steps = 0;
  double bytes_per_step = 0;
  std::vector<topology::LinkShare> consumption;  // ascending by link
  // Links and software together. In a phase of one step the largest over its connections; in a ring
  // the mean over the hops that the last chunk crosses, for a chunk meets each hop in turn. Exact
  // for hops of equal bandwidth; docs/collectives.md says how far off it may be for others.
  Seconds step_latency;
  // The software part of step_latency. A phase whose sends do not wait for arrivals (a full
  // broadcast chain) hides both, so a single send takes software_latency(calibration), not this.
  Seconds software_latency;
  bool stationary = false;
};

// What software adds to every send before it is complete at its target: that of NCCL, or of the
// worker's own backend (library:shm) on a cluster whose ranks share memory, which is one of one
// group of nodes that scale up by links of the kind "shared-memory".
Seconds software_latency(const topology::Calibration& calibration,
                         const topology::Cluster& cluster);

// Loads of each phase when group rank i sits on members[i]. Routes are asked once per connection.
std::vector<PhaseLoad> phase_loads(const Schedule& schedule, Bytes size,
                                   const std::vector<topology::AcceleratorId>& members,
                                   const topology::Router& router,
                                   const topology::Calibration& calibration);

// Links that all phases of a schedule load alike, of one class, without lanes of their own.
struct LinkSet {
  static constexpr std::size_t most_named = 64;
  std::vector<topology::LinkId> lowest;  // its first links, ascending: not all of them
  std::int64_t count = 0;
};
// The phases of phase_loads with one link for many: consumption names the lowest of each set, and
// as all links of a set are equally full, it binds where they do. A few sets, whatever the number
// of ranks. Those in `apart` (because of their faults, or of others who use them) are sets of one.
struct FoldedLoads {
  std::vector<PhaseLoad> phases;
  std::vector<LinkSet> sets;  // ascending by their lowest links
};
FoldedLoads folded_phase_loads(const Schedule& schedule, Bytes size,
                               const std::vector<topology::AcceleratorId>& members,
                               const topology::Router& router,
                               const topology::Calibration& calibration,
                               const std::vector<topology::LinkId>& apart = {});

// Time with nothing else on the links, phases one after another: each phase takes
// steps x (step_latency + bytes_per_step / min over links (effective capacity / consumption)).
Seconds idle_time(const std::vector<PhaseLoad>& phases, const topology::Graph& graph,
                  const topology::Calibration& calibration);

// Whether its phases are told in a few patterns, so that even a million ranks are priced in
// seconds.
bool repeats_patterns(const Schedule& schedule);

// The fastest of all schedules that apply to this group and size, by idle_time. Ties go to the
// simpler one (order of the enum, fewer channels). Exchanges of everybody with everybody (p^2
// routes) are priced up to 32 ranks, most others up to 256, recursive doubling and halving-doubling
// up to 65,536; ring, binomial tree, double tree and hierarchical always, unless their latencies
// alone take longer than another. What equal hops would not make faster
// than ring, binomial tree, halving-doubling, hierarchical and direct is priced only for members
// that are neighbours on cables. Not among them: synthesized ones
// (synthesis.hpp) and pairwise, whose phases promise too much.
Schedule best_schedule(Operation operation, Bytes size,
                       const std::vector<topology::AcceleratorId>& members,
                       const topology::Router& router, const topology::Calibration& calibration);
// `algorithm` on this group, with the parameters that suit it and a buffer of `size`:
//   inner     hierarchical, nvls_tree, sharp, ring over several nodes: members per node, when each
//             node holds equally many and they come node by node, else 1
//   channels  ring over several nodes: one for each NIC of a node; else two when the first two
//             members have a cable of their own, so that both directions carry data
//   dims      torus, swing, bine: of the ring or torus that the group is
//   segments  of pipelined ones (hierarchical all-reduce too): optimal_segments on a hop between
//   two of the members
// Check why_not(schedule, members, cluster) of the result (ways.hpp).
Schedule schedule_for(Operation operation, Algorithm algorithm,
                      const std::vector<topology::AcceleratorId>& members,
                      const topology::Cluster& cluster, Bytes size = mebibytes(64));

}  // namespace railwright::collectives
