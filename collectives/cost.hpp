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
// (formulas in docs/collectives.md); every rank sends and receives one message at a time.
Seconds closed_form_time(const Schedule& schedule, Bytes size, Hop hop);

// nccl-tests' factor between algorithm and bus bandwidth: all-reduce 2(p-1)/p, reduce-scatter,
// all-gather and all-to-all (p-1)/p, broadcast and send 1.
double bus_bandwidth_factor(Operation operation, int ranks);

// One phase as a load on links. All connections of the phase move `bytes_per_step` in every step,
// at one common rate x; link l then carries consumption[l] * x. A connection that moves fewer bytes
// than the largest counts in proportion.
struct PhaseLoad {
  std::int64_t steps = 0;
  double bytes_per_step = 0;
  std::vector<topology::LinkShare> consumption;  // ascending by link
  Seconds step_latency;                          // links and software together, largest connection
  Seconds software_latency;                      // the software part of step_latency
  bool stationary = false;
};

// Loads of each phase when group rank i sits on members[i]. Routes are asked once per connection.
std::vector<PhaseLoad> phase_loads(const Schedule& schedule, Bytes size,
                                   const std::vector<topology::AcceleratorId>& members,
                                   const topology::Router& router,
                                   const topology::Calibration& calibration);

// Time with nothing else on the links, phases one after another: each phase takes
// steps x (step_latency + bytes_per_step / min over links (effective capacity / consumption)).
Seconds idle_time(const std::vector<PhaseLoad>& phases, const topology::Graph& graph,
                  const topology::Calibration& calibration);

// The fastest maker and channel count by idle_time for this group and size. Ties go to the simpler
// one (order of the enum, fewer channels).
Schedule best_schedule(Operation operation, Bytes size,
                       const std::vector<topology::AcceleratorId>& members,
                       const topology::Router& router, const topology::Calibration& calibration);
// `algorithm` on this group: channels and inner ranks filled in from where the members sit.
Schedule schedule_for(Operation operation, Algorithm algorithm,
                      const std::vector<topology::AcceleratorId>& members,
                      const topology::Cluster& cluster);

}  // namespace railwright::collectives
