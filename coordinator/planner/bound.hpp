// What a step takes at least, from its compute alone: the bound of the pruned search.
//
// Let c_i be what stage i computes for one micro-batch, forward and backward, with every exchange
// free. Under 1F1B stage j cannot start before the first forward has come through the stages before
// it, needs m c_j of compute, and its last backward still has to pass those stages:
//
//   step >= max over j of (m c_j + sum of c_i over i < j)
//
// which for equal stages is the textbook (m + p - 1) c. The closed form is never below: it takes
// the same sums with F + B >= c_i for each stage, since the compute stream runs all of it
// (price.hpp holds what a further micro-batch adds to at least c_i), and adds sends and what comes
// once per step. Interleaved and zero-bubble schedules have shorter bubbles: there m c_j alone
// counts.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "coordinator/planner/causes.hpp"
#include "coordinator/planner/stages.hpp"
#include "topology/topology.hpp"
#include "workload/workload.hpp"

namespace railwright::coordinator {

struct StepWork {
  Seconds at_least;  // of the step
  Seconds busy;      // compute of a rank in a step, averaged over the stages
};

// Not thread-safe: remembers the stages of points that differ only in what ZeRO shards.
class StepBound {
 public:
  StepBound(const topology::Cluster& cluster, const workload::Training& training,
            const topology::Calibration& calibration)
      : cluster_(cluster), training_(training), times_(cluster, training, calibration) {}

  StepWork of(const workload::Degrees& degrees);

 private:
  std::vector<double> stage_compute(const workload::Degrees& degrees) const;

  const topology::Cluster& cluster_;
  const workload::Training& training_;
  const BodyTimes times_;
  std::map<std::string, std::vector<double>> known_;
};

// Compute of one micro-batch in the program of a stage; without the optimizer.
double micro_batch_compute(const workload::Program& program,
                           const std::vector<CauseSeconds>& bodies);

}  // namespace railwright::coordinator
