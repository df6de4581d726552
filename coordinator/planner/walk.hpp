// One stage's program of a single micro-batch, played on its streams with given op times.
#pragma once

#include <vector>

#include "coordinator/planner/causes.hpp"
#include "workload/program.hpp"

namespace railwright::coordinator {

// Where the time of one micro-batch goes when nobody keeps the stage waiting. What comes once per
// step is cut where all stages meet: the norm of the gradients is summed over the pipeline.
struct Walk {
  double forward = 0;         // start to the end of the forward pass
  double backward = 0;        // from there to the end of the backward pass
  double before_meeting = 0;  // from there to the meeting: gradient reduction that is not hidden
  double after_meeting = 0;   // the rest: optimizer, gathering of parameters
  CauseSeconds micro_batch;   // the critical paths of forward and backward, and of the other two
  CauseSeconds before_causes, after_causes;
};

// `cost` has one entry per op, null = takes no time: sends and receives of micro-batches take none
// here, the borders between stages are the pipeline's business.
Walk walk_program(const workload::Program& program, const std::vector<const CauseSeconds*>& cost,
                  std::size_t link_classes);

}  // namespace railwright::coordinator
