#include "workload/pipeline.hpp"

#include <algorithm>
#include <cassert>

namespace railwright::workload {

namespace {

// The k-th pass of a stage in one direction: p micro-batches on a chunk, then the next chunk.
Pass interleaved_pass(PassKind kind, const Degrees& degrees, int k) {
  const int round = degrees.pp * degrees.vpp;
  const int chunk = k % round / degrees.pp;
  const int micro_batch = k / round * degrees.pp + k % degrees.pp;
  const bool forward = kind == PassKind::forward;
  return {kind, micro_batch, forward ? chunk : degrees.vpp - 1 - chunk};
}

// Forwards before the first backward.
int warm_up_passes(const Degrees& degrees, std::int64_t passes, int stage) {
  const std::int64_t behind = degrees.pp - 1 - stage;
  const std::int64_t warm_up =
      degrees.vpp > 1 ? 2 * behind + std::int64_t{degrees.vpp - 1} * degrees.pp : behind;
  return static_cast<int>(std::min(passes, warm_up));
}

std::vector<Pass> alternating(const Degrees& degrees, int micro_batches, int stage) {
  const auto pass = [&](PassKind kind, int k) {
    if (degrees.vpp > 1) return interleaved_pass(kind, degrees, k);
    return Pass{kind, k, 0};
  };
  const int passes = micro_batches * degrees.vpp;
  const int warm_up = warm_up_passes(degrees, passes, stage);
  std::vector<Pass> order;
  for (int k = 0; k < warm_up; ++k) order.push_back(pass(PassKind::forward, k));
  for (int k = 0; k < passes; ++k) {
    if (warm_up + k < passes) order.push_back(pass(PassKind::forward, warm_up + k));
    order.push_back(pass(PassKind::backward, k));
  }
  return order;
}

// The weight pass of a micro-batch follows the backward of the one `lag` later.
std::vector<Pass> with_weight_passes(const std::vector<Pass>& order, int micro_batches, int lag) {
  std::vector<Pass> split;
  for (const Pass& pass : order) {
    split.push_back(pass);
    if (pass.kind == PassKind::backward && pass.micro_batch >= lag)
      split.push_back({PassKind::weight, pass.micro_batch - lag, pass.chunk});
  }
  for (int k = std::max(0, micro_batches - lag); k < micro_batches; ++k)
    split.push_back({PassKind::weight, k, 0});
  return split;
}

}  // namespace

std::vector<Pass> pipeline_order(const Degrees& degrees, int micro_batches, int stage) {
  assert(stage >= 0 && stage < degrees.pp);
  assert(micro_batches % micro_batch_multiple(degrees) == 0);
  std::vector<Pass> order = alternating(degrees, micro_batches, stage);
  if (degrees.schedule != PipelineSchedule::zero_bubble_h1) return order;
  return with_weight_passes(order, micro_batches, stage);
}

std::int64_t passes_in_flight(const Degrees& degrees, std::int64_t micro_batches, int stage) {
  if (degrees.schedule == PipelineSchedule::zero_bubble_h1)
    return std::min<std::int64_t>(micro_batches, degrees.pp);
  const std::int64_t passes = micro_batches * degrees.vpp;
  return std::min<std::int64_t>(passes, warm_up_passes(degrees, passes, stage) + 1);
}

int micro_batch_multiple(const Degrees& degrees) { return degrees.vpp > 1 ? degrees.pp : 1; }

Training shortest(Training training, const Degrees& degrees) {
  training.global_batch =
      std::int64_t{degrees.dp} * degrees.micro_batch * micro_batch_multiple(degrees);
  return training;
}

}  // namespace railwright::workload
