// Coordinator: the head, and the `railwright` command.
//
// plan_training tries every admissible set of degrees for a model on a cluster, keeps those that
// fit into memory, prices each step in closed form on the calibrated links, and ranks them beside
// the rule of thumb. run_plan starts the real workers of a plan with mpirun or srun and compares
// what they measured with what was predicted. Each command is one file in commands/.
//
//   Result<Planning> planning = plan_training(request);
//   const Candidate& best = planning->candidates.front();   // best.plan goes to plan.json
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "emulator/emulator.hpp"

namespace railwright::coordinator {

enum class Objective : std::uint8_t { time };

struct PlanRequest {
  topology::Cluster cluster;
  workload::Training training;
  std::int64_t accelerators = 0;  // ranks to use, one after the other
  // Of rank 0. Points are priced on the first accelerators of the cluster, which must be of the
  // same kinds; the plans' schedules are chosen for the real ones.
  std::int64_t first_accelerator = 0;
  std::string fix;  // "tp=8,pp=4": degrees that are given, to the baseline too
  topology::Calibration calibration;
  std::size_t top = 10;
  std::function<void(double)> progress;
  unsigned threads = 0;  // that price points; 0 = one per core. The result does not depend on it
};

struct Candidate {
  emulator::Plan plan;         // with its prediction
  workload::MemoryUse memory;  // of the fullest stage
  std::string bound_by;        // largest cause of blame
};

struct Planning {
  std::vector<Candidate> candidates;  // best first, at most `top`
  Candidate baseline;                 // the rule of thumb; empty when nothing fits
  bool baseline_fits = true;          // false: it is shown, but does not fit into memory
  std::int64_t points_total = 0, points_rejected_memory = 0, points_evaluated = 0;
  std::string infeasible_reason, infeasible_hint;  // set when candidates is empty
};

// Errors are invalid requests (exit 2); no fitting plan is a Planning without candidates (exit 3).
Result<Planning> plan_training(const PlanRequest& request);

}  // namespace railwright::coordinator
