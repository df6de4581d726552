#include "coordinator/planner/bound.hpp"

#include <algorithm>
#include <numeric>

namespace railwright::coordinator {

using workload::Degrees;

double micro_batch_compute(const workload::Program& program,
                           const std::vector<CauseSeconds>& bodies) {
  double sum = 0;
  for (const workload::Op& op : program.ops)
    if (op.kind == workload::OpKind::compute && op.micro_batch == 0 &&
        op.stream == workload::Stream::compute)
      sum += bodies[static_cast<std::size_t>(op.body)].total();
  return sum;
}

std::vector<double> StepBound::stage_compute(const Degrees& degrees) const {
  const workload::Training one = workload::shortest(training_, degrees);
  std::map<StageKind, double> kinds;
  std::vector<double> stages;
  for (int stage = 0; stage < degrees.pp; ++stage) {
    const StageKind kind = kind_of_stage(cluster_, training_.model, Placed{degrees}, stage);
    if (!kinds.contains(kind)) {
      const auto program = workload::stage_program(one, degrees, stage);
      kinds[kind] = micro_batch_compute(program, times_.of(program, degrees, stage));
    }
    stages.push_back(kinds.at(kind));
  }
  return stages;
}

StepWork StepBound::of(const Degrees& degrees) {
  Degrees alike = degrees;  // ZeRO shares what is kept, not what is computed
  alike.zero_stage = 0;
  alike.shard = 0;
  const std::string key = workload::to_string(alike);
  auto found = known_.find(key);
  if (found == known_.end()) found = known_.emplace(key, stage_compute(alike)).first;
  const std::vector<double>& stages = found->second;

  const auto count = static_cast<double>(workload::micro_batches(training_, degrees));
  const bool full_bubble =
      degrees.vpp == 1 && degrees.schedule == workload::PipelineSchedule::one_forward_one_backward;
  double at_least = 0, before = 0;
  for (const double compute : stages) {
    at_least = std::max(at_least, count * compute + before);
    if (full_bubble) before += compute;
  }
  constexpr double rounding = 1 - 1e-9;  // of sums in another order
  const double total = std::accumulate(stages.begin(), stages.end(), 0.0);
  return {{at_least * rounding}, {count * total / static_cast<double>(degrees.pp)}};
}

}  // namespace railwright::coordinator
