// What schedules take on the idle links of one group, for all sizes at once.
//
// What a schedule puts on links is in proportion to its size, but for chunks that are rounded to
// whole bytes, so its time is a straight line over the size:
//
//   T(S) = sum over phases of steps x (step_latency + S x seconds_per_byte)
//
// seconds_per_byte being that of the slowest link. A group of a million ranks is traced once per
// schedule, whatever the sizes and the segments it is asked for.
#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "collectives/cost.hpp"

namespace railwright::collectives {

struct PhaseLine {
  double steps = 0;
  Seconds step_latency, software_latency;  // as in PhaseLoad
  double seconds_per_byte = 0;             // of a step, for each byte of the whole buffer
  int link_class = 0;                      // of the slowest link
};
Seconds time_of(const std::vector<PhaseLine>& phases, Bytes size);

// Not thread-safe. The calibration must outlive it; routers are those of one cluster.
class GroupCosts {
 public:
  GroupCosts(std::vector<topology::AcceleratorId> members, const topology::Router& router,
             const topology::Calibration& calibration);
  ~GroupCosts();

  // Group rank i sits on members[i].
  const std::vector<PhaseLine>& phases(const Schedule& schedule, const topology::Router& router);
  // As best_schedule, chunks not rounded.
  Schedule best(Operation operation, Bytes size, const topology::Router& router);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace railwright::collectives
