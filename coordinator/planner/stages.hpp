// What tells the stages of a pipeline apart, and what their compute takes.
#pragma once

#include <compare>
#include <vector>

#include "coordinator/planner/causes.hpp"
#include "coordinator/planner/groups.hpp"
#include "topology/topology.hpp"
#include "workload/workload.hpp"

namespace railwright::coordinator {

// Ends of the pipeline have more work, mixed clusters differ by place.
struct StageKind {
  bool first = false, last = false;
  int first_group = 0, last_group = 0;  // node groups at both ends of the stage
  std::int64_t layers = 0, expert_layers = 0;
  int offset = 0;  // of its first rank within a node
  auto operator<=>(const StageKind&) const = default;
};
StageKind kind_of_stage(const topology::Cluster& cluster, const workload::Model& model,
                        const Placed& placed, int stage);

// What bodies take on the slowest kind of accelerator of their stage: it sets the pace.
class BodyTimes {
 public:
  BodyTimes(const topology::Cluster& cluster, const workload::Training& training,
            const topology::Calibration& calibration);
  // Of each body of the program.
  std::vector<CauseSeconds> of(const workload::Program& program, const workload::Degrees& degrees,
                               int stage) const;

 private:
  const topology::Cluster& cluster_;
  const topology::Precision precision_;
  // Of each kind of the cluster what it is asked for: a lookup goes through all entries.
  std::vector<topology::Calibration> calibrations_;
};

}  // namespace railwright::coordinator
