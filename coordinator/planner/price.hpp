// The time of a training step in closed form, without emulating it.
//
// The program of each kind of stage is walked once with a single micro-batch, every op taking what
// the roofline or the idle links say (walk.hpp); that gives forward, backward, and what comes once
// per step. The 1F1B schedule (pipeline.hpp) then says when each stage ends its last backward:
//
//   step = max over stages (end of last backward + gradient reduction that is not hidden)
//        + max over stages (optimizer and gathering of parameters)
//
// Of the groups of a kind the slowest counts, where they lie differently on the nodes.
// Links are taken as idle: what contention between groups adds is seen by emulation only.
// Interleaved and zero-bubble schedules have no closed form here: such a step is emulated.
#pragma once

#include <vector>

#include "coordinator/planner/groups.hpp"
#include "coordinator/planner/pipeline.hpp"
#include "coordinator/planner/stages.hpp"
#include "coordinator/planner/walk.hpp"
#include "emulator/plan_order.hpp"
#include "emulator/step.hpp"

namespace railwright::coordinator {

struct StepPrice {
  Seconds step;
  CauseSeconds causes = CauseSeconds(0);  // in proportion; add up to the step within rounding
  bool emulated = false;
  Errors refused;  // why there is no price: the emulator refuses the step
};

// Not thread-safe: one per thread. Keeps what it has learnt about groups between points.
class StepPricer {
 public:
  // `groups`: what several pricers share of one cluster and calibration; null: its own.
  StepPricer(const topology::Cluster& cluster, const workload::Training& training,
             const topology::Calibration& calibration,
             std::shared_ptr<GroupLines> groups = nullptr);

  // The degrees must have no violations and fit on the cluster; rank r sits on accelerator r.
  StepPrice price(const Placed& placed);
  StepPrice price(const workload::Degrees& degrees) { return price(Placed{degrees}); }

  // What emulation says, contention between groups and all.
  StepPrice emulated(const Placed& placed, const emulator::StepOptions& options = {}) const;
  StepPrice emulated(const workload::Degrees& degrees) const { return emulated(Placed{degrees}); }

 private:
  StepPrice closed_form(const Placed& placed);
  // One kind of stage.
  struct StageCost {
    Walk walk;
    CauseSeconds send;  // over the border to the next stage
    StageTime time() const { return {walk.forward, walk.backward, send.total()}; }
  };
  StageCost cost_of_stage(const Placed& placed, int stage);
  // `bodies`: what each body takes.
  Walk walk(const workload::Program& program, const std::vector<CauseSeconds>& bodies,
            const Placed& placed, int stage);
  // `compute`: of one micro-batch.
  void let_follow(Walk& one, double compute, const std::vector<CauseSeconds>& bodies,
                  const Placed& placed, int stage);
  const CauseSeconds& slowest(workload::Operation operation, Bytes size,
                              const std::vector<GroupPlace>& places);
  const CauseSeconds* cost_of_exchange(const workload::Op& op, const Placed& placed, int stage);
  CauseSeconds busiest_stage(const std::vector<const StageCost*>& stages,
                             std::int64_t micro_batches) const;

  const topology::Cluster& cluster_;
  const workload::Training& training_;
  const topology::Calibration& calibration_;
  std::shared_ptr<GroupLines> lines_;
  BodyTimes times_;
  ExchangePrices exchanges_;
  GroupPlaces groups_;
};

// Schedules of plans, remembered for all of them.
emulator::BestSchedule schedules_of(std::shared_ptr<GroupLines> groups);

// Splits the step over its causes in whole picoseconds.
emulator::Blame blame_of(const StepPrice& price, const topology::Graph& graph);
// Step, MFU, throughput, memory and blame in the words of a plan.
emulator::Prediction prediction_of(const StepPrice& price, const workload::Training& training,
                                   const workload::Degrees& degrees,
                                   const topology::Cluster& cluster);

}  // namespace railwright::coordinator
