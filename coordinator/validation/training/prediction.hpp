// A table of training steps with all that does not depend on the calibration made once: what each
// row means, and the cluster it ran on. Predicts a row under any calibration.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "coordinator/validation/training/setup.hpp"
#include "topology/calibration.hpp"

namespace railwright::coordinator {

struct PredictedStep {
  std::size_t row = 0;  // its place in the table
  workload::Degrees degrees;
  Seconds predicted, baseline;  // baseline: one HFU per accelerator and precision over all rows
  Seconds left_out;             // by constants fitted without the row's group; 0: not asked for
  double peak_memory = 0, activation_memory = 0, state_memory = 0;  // bytes
  double uncertainty = 0;  // of the logarithm of the step: see step_spread in docs/calibration.md
  bool fits = true;        // peak memory is within the accelerator's
};

enum class Pricing {
  full,         // as `railwright plan`: interleaved schedules are emulated
  closed_form,  // all as if nothing were interleaved: milliseconds, and nearly as sensitive
};

class TrainingTable {
 public:
  explicit TrainingTable(const std::vector<TrainingRow>& rows);  // `rows` must outlive it

  std::size_t size() const { return setups_.size(); }
  const TrainingRow& row(std::size_t i) const { return rows_[i]; }
  const TrainingSetup& setup(std::size_t i) const { return setups_[i]; }
  // Otherwise setup(i).why_not says why.
  bool predictable(std::size_t i) const { return setups_[i].why_not.empty(); }
  std::vector<std::size_t> predictable_rows() const;

  // The fastest choice that fits, else the fastest.
  PredictedStep predict(std::size_t i, const topology::Calibration& calibration) const;
  // All of these, on all cores; in their order.
  std::vector<PredictedStep> predict(const std::vector<std::size_t>& rows,
                                     const topology::Calibration& calibration) const;
  Seconds step(std::size_t i, const workload::Degrees& degrees,
               const topology::Calibration& calibration, Pricing pricing) const;

 private:
  const topology::Cluster& cluster(std::size_t i) const { return *clusters_[i]; }

  const std::vector<TrainingRow>& rows_;
  std::vector<TrainingSetup> setups_;
  std::map<std::string, std::unique_ptr<topology::Cluster>> built_;
  std::vector<const topology::Cluster*> clusters_;  // of each row
};

// Calls `work` with 0 to count - 1 on all cores, in no order; what it writes must not overlap.
void on_all_cores(std::size_t count, const std::function<void(std::size_t)>& work);

}  // namespace railwright::coordinator
