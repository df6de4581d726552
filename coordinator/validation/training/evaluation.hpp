// Every row of a table of training steps predicted, and how wrong the predictions are: time,
// memory, and whether the fastest of the measured layouts would have been chosen.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "coordinator/validation/training/prediction.hpp"
#include "topology/calibration.hpp"

namespace railwright::coordinator {

// Relative errors are fractions of what was measured.
struct StepErrors {
  std::size_t rows = 0;
  double mape = 0, bias = 0, worst = 0, baseline = 0;
  double left_out = 0;  // MAPE of fits without the group
  std::string worst_id;
};
struct MemoryErrors {
  std::size_t rows = 0;
  double mape = 0, bias = 0, worst = 0;
  std::string worst_id;
};
// Over sets of at least four rows that differ in their layout only. Regret: how much slower than
// the fastest measured one the one is that the prediction would choose. Kendall's tau-b over pairs
// whose measured times differ by more than 3 %.
struct ChoiceErrors {
  std::size_t sets = 0;
  double regret_mean = 0, regret_median = 0, regret_worst = 0, kendall_tau = 0;
};
struct FitErrors {
  std::size_t ran = 0, ran_called_infeasible = 0;
  std::size_t out_of_memory = 0, out_of_memory_called_infeasible = 0;
};

struct TrainingGroup {
  std::string group;
  std::size_t rows = 0, skipped = 0, on_defaults = 0;
  StepErrors step;
  MemoryErrors memory;
  ChoiceErrors choice;
  FitErrors fit;
};

struct TrainingEvaluation {
  std::vector<PredictedStep> steps;
  std::vector<TrainingGroup> groups;  // in the order of the table
  std::map<std::string, std::size_t> skipped, defaults;
  std::size_t rows_on_defaults = 0;
  std::vector<std::string> subjects;  // whose constants the predictions read
  ChoiceErrors choice;
  FitErrors fit;
  double macro_mape = 0, macro_left_out = 0;  // means over the groups that have step times
  bool has_left_out = false;
};

struct TrainingOptions {
  bool leave_out = false;  // refit without each group (fit.hpp), which takes a minute
};
TrainingEvaluation evaluate(const std::vector<TrainingRow>& rows,
                            const topology::Calibration& calibration,
                            const TrainingOptions& options = {});

}  // namespace railwright::coordinator
