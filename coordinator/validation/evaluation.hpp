// Every row of a table predicted, and how wrong the predictions are: per group, per half and per
// decade of size, beside a naive baseline and the floor that no model of the hardware gets under.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "coordinator/validation/description.hpp"
#include "coordinator/validation/fit.hpp"
#include "topology/calibration.hpp"

namespace railwright::coordinator {

struct PredictedRow {
  std::size_t measurement = 0;  // its place in the table
  FitRow fit;                   // the run, what was measured, the group
  collectives::library::Prediction prediction;
  Seconds baseline;
  Seconds floor;     // best single value of this system and size, over all sources
  Seconds left_out;  // by the constants fitted without the row's group
};

// Errors are relative to the measured time and fractions: 0.08 is eight per cent.
struct ErrorSummary {
  std::size_t rows = 0;
  double mape = 0, bias = 0, worst = 0;  // worst: of the row that is furthest off, with its sign
  double floor = 0, baseline = 0, left_out = 0;  // MAPE of each
  double excess() const { return mape > floor ? mape - floor : 0; }
  double left_out_excess() const { return left_out > floor ? left_out - floor : 0; }
};

struct GroupErrors {
  std::string group;
  std::size_t skipped = 0;
  ErrorSummary all, large, small;       // large: from 1 MiB
  std::map<int, ErrorSummary> decades;  // by the power of ten of the size in bytes
};

struct Evaluation {
  std::vector<PredictedRow> rows;
  std::vector<GroupErrors> groups;              // in the order of the table
  std::map<std::string, std::size_t> skipped;   // rows by reason
  std::map<std::string, std::size_t> defaults;  // rows by what their source leaves out
  std::size_t rows_on_defaults = 0;
  ErrorSummary all;
  double baseline_share = 0;  // of the line rate
  Seconds baseline_latency;
  bool has_left_out = false;
};

struct EvaluationOptions {
  bool leave_out = true;  // refit without each group, which takes seconds
};
Evaluation evaluate(const std::vector<Measurement>& measurements,
                    const topology::Calibration& calibration, const EvaluationOptions& options);

// Mean over the groups that have rows in this half.
double macro_excess(const Evaluation& evaluation, bool large, bool left_out);

}  // namespace railwright::coordinator
