#include "emulator/step.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "emulator/step/prepared.hpp"
#include "emulator/step/report.hpp"
#include "emulator/step/run.hpp"
#include "emulator/step/sensitivities.hpp"
#include "emulator/step/standstill.hpp"

namespace railwright::emulator {

namespace {

double fraction(double part, double whole) { return whole > 0 ? part / whole : 0; }

// FLOP/s of all ranks at the data sheet's rate.
double peak_of(const Plan& plan, const topology::Cluster& cluster) {
  std::vector<std::int64_t> count(cluster.spec.accelerator_kinds.size(), 0);
  for (std::int64_t rank = 0; rank < plan.degrees.world(); ++rank) {
    const auto where = accelerator_of(rank, plan.placement, plan.degrees);
    ++count[cluster.spec.nodes[cluster.group_of(where)].accelerator_kind];
  }
  double sum = 0;
  for (std::size_t kind = 0; kind < count.size(); ++kind)
    sum += static_cast<double>(count[kind]) *
           workload::peak_rate(cluster.spec.accelerator_kinds[kind], plan.training.precision)
               .per_second;
  return sum;
}

double mfu_of(const Plan& plan, const topology::Cluster& cluster, Picoseconds step) {
  const double flops = model_flops_per_step(plan.training).count;
  return fraction(flops, peak_of(plan, cluster) * in_seconds(step).value);
}

// What real software adds to the time at peak needs room below the end of event time.
bool beyond_event_time(const Plan& plan, const topology::Cluster& cluster,
                       const StepFaults& faults) {
  const Seconds end_of_time = in_seconds(Picoseconds{INT64_MAX});
  const double at_peak =
      fraction(model_flops_per_step(plan.training).count, peak_of(plan, cluster));
  std::map<topology::AcceleratorId, double> speed;
  double slowest = 1;
  for (const Slowdown& slow : faults.accelerators)
    if (slow.factor > 0)
      slowest =
          std::min(slowest, speed.emplace(slow.accelerator, 1.0).first->second *= slow.factor);
  return at_peak > 0.2 * slowest * end_of_time.value;
}

Errors too_long() {
  return {{{},
           "a step takes weeks; event time ends after 106 days",
           "use more accelerators, a smaller global batch, or milder faults"}};
}

std::int64_t ops_of_all_stages(workload::Training training, const workload::Degrees& degrees,
                               std::int64_t micro_batches) {
  training.global_batch = micro_batches * degrees.micro_batch * degrees.dp;
  std::int64_t ops = 0;
  for (int stage = 0; stage < degrees.pp; ++stage)
    ops += static_cast<std::int64_t>(stage_program(training, degrees, stage).ops.size());
  return ops;
}

// Equally many micro-batches add equally many ops, so that two short steps tell the size of a long
// one before its programs fill the memory.
Errors check_size(const Plan& plan) {
  const std::int64_t micro_batches = workload::micro_batches(plan.training, plan.degrees);
  const std::int64_t few = workload::micro_batch_multiple(plan.degrees);
  const std::int64_t one = ops_of_all_stages(plan.training, plan.degrees, few);
  const std::int64_t two = ops_of_all_stages(plan.training, plan.degrees, 2 * few);
  return programs_refused(one + (micro_batches / few - 1) * (two - one));
}

Errors check_fit(const topology::Cluster& cluster, const Plan& plan, const StepFaults& faults) {
  Errors errors;
  for (const std::string& rule : violations(plan.training, plan.degrees))
    errors.push_back({{}, rule, {}});
  for (std::int64_t rank = 0; errors.empty() && rank < plan.degrees.world(); ++rank) {
    const int index = accelerator_of(rank, plan.placement, plan.degrees).index;
    if (index >= cluster.accelerators())
      errors.push_back({{},
                        fmt::format("the plan puts rank {} on accelerator {}; the cluster has {}",
                                    rank, index, cluster.accelerators()),
                        {}});
  }
  if (errors.empty()) errors = check_size(plan);
  if (errors.empty() && beyond_event_time(plan, cluster, faults)) return too_long();
  return errors;
}

}  // namespace

Result<StepResult> run_programs(const topology::Cluster& cluster, const Plan& plan,
                                std::vector<workload::Program> programs,
                                const topology::Calibration& calibration,
                                const StepOptions& options) {
  const auto step = PreparedStep::make(cluster, plan, std::move(programs), calibration, options);
  if (!step) return tl::unexpected<Errors>(step.error());
  Execution execution = step->run(cluster, options.progress);
  if (execution.record.outlasts_time) return tl::unexpected<Errors>(too_long());
  if (execution.record.standstill) {
    StepResult stopped;
    stopped.events = execution.record.events;
    stopped.ranks = step->layout().ranks();
    stopped.classes = step->layout().actors();
    stopped.standstill = standstill_of(execution, step->layout(), plan, options.faults);
    return stopped;
  }
  StepResult result = report_of(execution, step->layout(), cluster, options);
  result.mfu = mfu_of(plan, cluster, result.step_time);
  if (options.course_links > 0)
    result.courses = courses_of(*step, cluster, calibration, result, options);
  if (result.events <= options.sensitivities_up_to)
    result.sensitivities = sensitivities_of(*step, cluster, *execution.costs, result.class_bytes);
  return result;
}

Result<StepResult> emulate_step(const topology::Cluster& cluster, const Plan& plan,
                                const topology::Calibration& calibration,
                                const StepOptions& options) {
  Errors errors = check_fit(cluster, plan, options.faults);
  if (!errors.empty()) return tl::unexpected<Errors>(std::move(errors));
  std::vector<workload::Program> programs;
  for (int stage = 0; stage < plan.degrees.pp; ++stage)
    programs.push_back(stage_program(plan.training, plan.degrees, stage));
  return run_programs(cluster, plan, std::move(programs), calibration, options);
}

Prediction prediction_of(const StepResult& result, const Plan& plan, const topology::Cluster&) {
  Prediction prediction;
  prediction.step_time = in_seconds(result.step_time);
  prediction.mfu = result.mfu;
  const auto tokens = static_cast<double>(plan.training.global_batch * plan.training.sequence);
  prediction.tokens_per_s_per_accelerator =
      fraction(tokens, prediction.step_time.value * static_cast<double>(result.ranks));
  prediction.peak_memory = peak_memory(plan.training, plan.degrees).total();
  prediction.blame = result.blame;
  return prediction;
}

}  // namespace railwright::emulator
