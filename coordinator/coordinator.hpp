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
#include <optional>
#include <string>
#include <vector>

#include "coordinator/planner/economics.hpp"
#include "emulator/emulator.hpp"

namespace railwright::coordinator {

enum class Objective : std::uint8_t { time, cost, energy };  // of a step
enum class SearchMode : std::uint8_t {
  automatic,   // pruned where the space or the cluster is large
  exhaustive,  // every point is priced
  pruned,      // those whose bound is worse than the best are left out: the same best plans
};

inline constexpr std::size_t most_listed = 1000;  // plans of an answer

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
  Objective objective = Objective::time;
  SearchMode search = SearchMode::automatic;
  std::optional<Dollars> price_per_hour;  // of an accelerator; else the catalogue's
  double memory_headroom = 0;             // share of each accelerator's memory that stays free
  double max_bubble = 1;                  // share of the step that may be waiting for other stages
  bool list_alike = false;                // plans that differ in details, too: planner/alike.hpp
  bool linear_only = false;               // ranks in the default order: placement is not searched
  std::function<void(double)> progress;
  unsigned threads = 0;  // that price points; 0 = one per core. The result does not depend on it
};

struct Candidate {
  emulator::Plan plan;         // with its prediction
  workload::MemoryUse memory;  // of the fullest stage
  std::string bound_by;        // largest cause of blame
  Dollars cost;                // of a step: economics.hpp
  Joules energy;
  bool emulated = false;  // else the prediction is the closed form's
  Seconds linear_step;    // with ranks in the default order; 0: that is the order
  std::size_t alike = 0;  // worse plans that differ in details only and are left out
};

// A plan that no other beats in step, memory and cost at once.
struct ParetoPoint {
  workload::Degrees degrees;
  std::string placement;  // order of its ranks
  Seconds step;
  Bytes memory;
  Dollars cost;
  Joules energy;
};

// Why the best plan is the best, in words, by subject: "limit", "next", "baseline", "placement",
// "memory", "links".
struct Reason {
  std::string about, text;
};

struct Planning {
  std::vector<Candidate> candidates;  // best first, at most `top`
  std::vector<ParetoPoint> pareto;    // of what was priced last, by step
  std::vector<Reason> reasons;
  std::vector<std::string> assumptions;  // about prices, power and rates
  double uncertainty = 0;                // of each step, a fraction: training.hpp
  Candidate baseline;                    // the rule of thumb; empty when nothing fits
  bool baseline_fits = true;             // false: it is shown, but does not fit into memory
  // The first is the sum of the other three. Evaluated: priced in closed form.
  std::int64_t points_total = 0, points_rejected_memory = 0, points_pruned = 0;
  std::int64_t points_evaluated = 0;
  // Of those that were priced last; on large clusters the best only, which then come first.
  std::int64_t points_emulated = 0;
  bool pruned = false;  // the search was: of the front only what was priced is known
  std::string infeasible_reason, infeasible_hint;  // set when candidates is empty
};

// Errors are invalid requests (exit 2); no fitting plan is a Planning without candidates (exit 3).
Result<Planning> plan_training(const PlanRequest& request);

}  // namespace railwright::coordinator
