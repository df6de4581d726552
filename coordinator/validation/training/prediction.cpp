#include "coordinator/validation/training/prediction.hpp"

#include <algorithm>
#include <atomic>
#include <cassert>
#include <thread>

#include "coordinator/planner/price.hpp"
#include "topology/calibration_overlay.hpp"
#include "workload/uncertainty.hpp"

namespace railwright::coordinator {
namespace {

using workload::Degrees;
using workload::Recompute;

Degrees without_interleaving(Degrees degrees) {
  degrees.vpp = 1;
  degrees.schedule = workload::PipelineSchedule::one_forward_one_backward;
  return degrees;
}

// Bytes at the peak: of the fullest stage, and of the stage that was measured.
struct PeakBytes {
  double fullest = 0, total = 0, activations = 0, state = 0;
};

PeakBytes peak_bytes(const TrainingSetup& setup, const Degrees& degrees) {
  const workload::MemoryUse fullest = workload::peak_memory(setup.training, degrees);
  const workload::MemoryUse use =
      setup.memory_of_first_stage ? workload::stage_memory(setup.training, degrees, 0) : fullest;
  return {static_cast<double>(fullest.total().count), static_cast<double>(use.total().count),
          static_cast<double>(use.activations.count),
          static_cast<double>(use.weights.count + use.gradients.count + use.optimizer.count)};
}

PeakBytes peak_of(const TrainingSetup& setup, Degrees degrees) {
  if (!setup.every_other_layer) return peak_bytes(setup, degrees);
  degrees.recompute = Recompute::none;
  const PeakBytes without = peak_bytes(setup, degrees);
  degrees.recompute = Recompute::full;
  const PeakBytes with = peak_bytes(setup, degrees);
  return {(without.fullest + with.fullest) / 2, (without.total + with.total) / 2,
          (without.activations + with.activations) / 2, (without.state + with.state) / 2};
}

Seconds step_of(StepPricer& pricer, Degrees degrees, bool every_other_layer) {
  if (!every_other_layer) return pricer.price(degrees).step;
  degrees.recompute = Recompute::none;
  const Seconds without = pricer.price(degrees).step;
  degrees.recompute = Recompute::full;
  return 0.5 * (without + pricer.price(degrees).step);
}

}  // namespace

void on_all_cores(std::size_t count, const std::function<void(std::size_t)>& work) {
  std::atomic<std::size_t> next = 0;
  const auto take = [&] {
    for (std::size_t i = next++; i < count; i = next++) work(i);
  };
  const std::size_t helpers = std::max(1U, std::thread::hardware_concurrency()) - 1;
  std::vector<std::jthread> threads;
  for (std::size_t i = 0; i < std::min(helpers, count); ++i) threads.emplace_back(take);
  take();
}

TrainingTable::TrainingTable(const std::vector<TrainingRow>& rows) : rows_(rows) {
  for (const TrainingRow& row : rows) {
    setups_.push_back(setup_of(row));
    TrainingSetup& setup = setups_.back();
    clusters_.push_back(nullptr);
    if (!setup.why_not.empty()) continue;
    const auto [place, fresh] = built_.try_emplace(system_of(row));
    if (fresh)
      if (auto cluster = topology::build_cluster(setup.cluster))
        place->second = std::make_unique<topology::Cluster>(std::move(*cluster));
    clusters_.back() = place->second.get();
    if (!clusters_.back()) setup.why_not = "a cluster that cannot be built";
  }
}

std::vector<std::size_t> TrainingTable::predictable_rows() const {
  std::vector<std::size_t> rows;
  for (std::size_t i = 0; i < size(); ++i)
    if (predictable(i)) rows.push_back(i);
  return rows;
}

PredictedStep TrainingTable::predict(std::size_t i,
                                     const topology::Calibration& calibration) const {
  assert(predictable(i));
  const TrainingSetup& setup = setups_[i];
  const auto own = topology::with_framework(calibration, setup.framework);
  StepPricer pricer(cluster(i), setup.training, own);
  const topology::AcceleratorKind& kind = setup.cluster.accelerator_kinds.front();
  PredictedStep best;
  for (const Degrees& degrees : setup.choices) {
    const PeakBytes peak = peak_of(setup, degrees);
    PredictedStep step;
    step.row = i;
    step.degrees = degrees;
    step.predicted = step_of(pricer, degrees, setup.every_other_layer);
    step.peak_memory = peak.total;
    step.activation_memory = peak.activations;
    step.state_memory = peak.state;
    step.fits = peak.fullest <= static_cast<double>(kind.memory.count);
    const bool first = best.predicted.value == 0;
    const bool better = step.fits != best.fits ? step.fits : step.predicted < best.predicted;
    if (first || better) best = step;
  }
  best.uncertainty = workload::prediction_uncertainty(kind, calibration);
  return best;
}

std::vector<PredictedStep> TrainingTable::predict(const std::vector<std::size_t>& rows,
                                                  const topology::Calibration& calibration) const {
  std::vector<PredictedStep> steps(rows.size());
  on_all_cores(rows.size(), [&](std::size_t i) { steps[i] = predict(rows[i], calibration); });
  return steps;
}

Seconds TrainingTable::step(std::size_t i, const Degrees& degrees,
                            const topology::Calibration& calibration, Pricing pricing) const {
  assert(predictable(i));
  const TrainingSetup& setup = setups_[i];
  const auto own = topology::with_framework(calibration, setup.framework);
  StepPricer pricer(cluster(i), setup.training, own);
  return step_of(pricer, pricing == Pricing::full ? degrees : without_interleaving(degrees),
                 setup.every_other_layer);
}

}  // namespace railwright::coordinator
