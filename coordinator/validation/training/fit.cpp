#include "coordinator/validation/training/fit.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>

#include "coordinator/validation/training/constants.hpp"
#include "topology/calibration_parameter.hpp"

namespace railwright::coordinator {
namespace {

using topology::Calibration;
using topology::CalibrationEntry;

constexpr int most_rounds = 12;
constexpr double first_step = 0.25, last_step = 0.01;  // of the logarithm of a value
constexpr double longer = 1.2, shorter = 0.5;
constexpr double improvement = 1e-6;
// Back to the start, per squared logarithm: a factor of two must take 1.4 points off the error of a
// group. Found by leaving groups out: with a sixth of it what one group knows alone runs away.
constexpr double pull = 0.03;
constexpr std::size_t most_rows_of_group = 150;

// Round figures, not from these rows. An eager launch of PyTorch takes some 10 us, and a kernel
// that is counted as fused stands for about four of them.
struct FreeParameter {
  const char* name;
  double start;
};
constexpr std::array<FreeParameter, 6> free_parameters{{{"sustained_rate", 0.8},
                                                        {"host_launch", 40e-6},
                                                        {"host_exposed", 0.3},
                                                        {"vector_traffic", 2},
                                                        {"shard_latency", 1e-3},
                                                        {"link_efficiency", 0.7}}};
// The network of NICs that several accelerators share: no sweep of collectives ran on one.
constexpr const char* link_of_steps = "ethernet-100g";

const FreeParameter* free_parameter(const std::string& name) {
  const auto found =
      std::ranges::find_if(free_parameters, [&](const FreeParameter& p) { return name == p.name; });
  return found == free_parameters.end() ? nullptr : &*found;
}

bool may_move(const CalibrationEntry& entry) {
  if (entry.n == 0 || entry.subject == "*" || !free_parameter(entry.parameter)) return false;
  return entry.parameter != "link_efficiency" || entry.subject == link_of_steps;
}

// A row of the fit: exact at the start, then moved by the closed form.
struct FitRow {
  std::size_t row = 0;
  workload::Degrees degrees;
  double measured = 0, weight = 0;
  double correction = 1;              // full / closed form
  double error = 0;                   // log(predicted / measured) now
  std::vector<std::string> subjects;  // sorted
};

// Rows with a step time, of long groups every k-th one.
std::vector<std::size_t> chosen(const TrainingTable& table, const std::vector<std::size_t>& rows) {
  std::map<std::string, std::size_t> count, seen;
  for (const std::size_t i : rows) count[table.row(i).group] += table.row(i).step_time.has_value();
  std::vector<std::size_t> out;
  for (const std::size_t i : rows) {
    if (!table.row(i).step_time) continue;
    const std::string& group = table.row(i).group;
    const std::size_t stride = (count[group] + most_rows_of_group - 1) / most_rows_of_group;
    if (seen[group]++ % stride == 0) out.push_back(i);
  }
  return out;
}

class Fit {
 public:
  Fit(const TrainingTable& table, const std::vector<std::size_t>& rows, Calibration calibration)
      : table_(table), calibration_(std::move(calibration)) {
    std::map<std::string, double> counts;
    const std::vector<std::size_t> kept = chosen(table, rows);
    for (const std::size_t i : kept) counts[table.row(i).group] += 1;
    const std::vector<PredictedStep> steps = table.predict(kept, calibration_);
    for (const PredictedStep& step : steps) {
      FitRow row;
      row.row = step.row;
      row.degrees = step.degrees;
      row.measured = table.row(step.row).step_time->value;
      row.weight = 1 / counts[table.row(step.row).group];
      row.subjects = subjects_of(table.setup(step.row));
      rows_.push_back(std::move(row));
    }
    const std::vector<double> closed = errors_with(calibration_, all());
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      rows_[i].error = std::log(steps[i].predicted.value / rows_[i].measured);
      rows_[i].correction = std::exp(rows_[i].error - closed[i]);
    }
  }

  void descend(const std::vector<std::size_t>& free) {
    std::vector<double> steps(free.size(), first_step), starts;
    for (const std::size_t entry : free) starts.push_back(calibration_.entries[entry].value);
    for (int round = 0; round < most_rounds; ++round) {
      for (std::size_t i = 0; i < free.size(); ++i)
        if (steps[i] >= last_step)
          steps[i] *= moved(free[i], starts[i], steps[i]) ? longer : shorter;
      if (std::ranges::all_of(steps, [](double step) { return step < last_step; })) break;
    }
  }

  // n and the standard error of an entry: residual over the root of the summed squared slopes.
  void record(std::size_t entry) {
    constexpr double nudge = 0.05;
    CalibrationEntry& now = calibration_.entries[entry];
    const std::vector<std::size_t> used = users(now.subject);
    Calibration nudged = calibration_;
    nudged.entries[entry].value *= 1 - nudge;
    const std::vector<double> errors = errors_with(nudged, used);
    double squares = 0, slopes = 0;
    for (std::size_t i = 0; i < used.size(); ++i) {
      const double slope = (rows_[used[i]].error - errors[i]) / -std::log(1 - nudge);
      squares += rows_[used[i]].error * rows_[used[i]].error;
      slopes += slope * slope;
    }
    now.n = static_cast<int>(used.size());
    if (used.size() > 1 && slopes > 0)
      now.standard_error =
          now.value * std::sqrt(squares / static_cast<double>(used.size() - 1) / slopes);
  }

  const Calibration& calibration() const { return calibration_; }

 private:
  std::vector<std::size_t> all() const {
    std::vector<std::size_t> rows(rows_.size());
    for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = i;
    return rows;
  }
  std::vector<std::size_t> users(const std::string& subject) const {
    std::vector<std::size_t> rows;
    for (std::size_t i = 0; i < rows_.size(); ++i)
      if (std::ranges::binary_search(rows_[i].subjects, subject)) rows.push_back(i);
    return rows;
  }
  std::vector<double> errors_with(const Calibration& calibration,
                                  const std::vector<std::size_t>& rows) const {
    std::vector<double> errors(rows.size());
    on_all_cores(rows.size(), [&](std::size_t i) {
      const FitRow& row = rows_[rows[i]];
      const Seconds quick = table_.step(row.row, row.degrees, calibration, Pricing::closed_form);
      errors[i] = std::log(quick.value * row.correction / row.measured);
    });
    return errors;
  }

  // One entry, one step up or down; true when it helped.
  bool moved(std::size_t entry, double start, double step) {
    const CalibrationEntry before = calibration_.entries[entry];
    const auto* parameter = topology::parameter_named(before.parameter);
    const std::vector<std::size_t> used = users(before.subject);
    for (const double direction : {1.0, -1.0}) {
      Calibration changed = calibration_;
      CalibrationEntry& now = changed.entries[entry];
      now.value =
          std::clamp(before.value * std::exp(direction * step), parameter->low, parameter->high);
      const std::vector<double> errors = errors_with(changed, used);
      double gain = penalty(before.value, start) - penalty(now.value, start);
      for (std::size_t i = 0; i < used.size(); ++i)
        gain += rows_[used[i]].weight * (std::abs(rows_[used[i]].error) - std::abs(errors[i]));
      if (!(gain > improvement)) continue;
      calibration_ = std::move(changed);
      for (std::size_t i = 0; i < used.size(); ++i) rows_[used[i]].error = errors[i];
      return true;
    }
    return false;
  }
  static double penalty(double value, double start) {
    const double away = std::log(value / start);
    return pull * away * away;
  }

  const TrainingTable& table_;
  Calibration calibration_;
  std::vector<FitRow> rows_;
};

// Free entries that no row uses: as the others of their sort.
void set_unused(Calibration& calibration, const std::vector<std::size_t>& used) {
  for (std::size_t i = 0; i < calibration.entries.size(); ++i) {
    CalibrationEntry& entry = calibration.entries[i];
    if (!may_move(entry) || std::ranges::binary_search(used, i)) continue;
    double sum = 0, count = 0;
    for (const std::size_t other : used)
      if (calibration.entries[other].parameter == entry.parameter) {
        sum += std::log(calibration.entries[other].value);
        ++count;
      }
    entry.value = count > 0 ? std::exp(sum / count) : free_parameter(entry.parameter)->start;
  }
}

}  // namespace

std::vector<std::size_t> free_entries(const Calibration& calibration, const TrainingTable& table,
                                      const std::vector<std::size_t>& rows) {
  std::set<std::string> subjects;
  for (const std::size_t i : rows)
    if (table.row(i).step_time)
      for (std::string& subject : subjects_of(table.setup(i))) subjects.insert(std::move(subject));
  std::vector<std::size_t> free;
  for (std::size_t i = 0; i < calibration.entries.size(); ++i)
    if (may_move(calibration.entries[i]) && subjects.contains(calibration.entries[i].subject))
      free.push_back(i);
  return free;
}

Calibration fitted(const Calibration& calibration, const TrainingTable& table,
                   const std::vector<std::size_t>& rows, TrainingStart start) {
  Calibration begin = calibration;
  if (start == TrainingStart::round_figures)
    for (CalibrationEntry& entry : begin.entries)
      if (may_move(entry)) entry.value = free_parameter(entry.parameter)->start;
  const std::vector<std::size_t> free = free_entries(begin, table, rows);
  Fit fit(table, rows, std::move(begin));
  fit.descend(free);
  for (const std::size_t entry : free) fit.record(entry);
  Calibration result = fit.calibration();
  if (start == TrainingStart::round_figures) set_unused(result, free);
  return result;
}

void add_left_out(const TrainingTable& table, const Calibration& calibration,
                  std::vector<PredictedStep>& steps) {
  std::vector<std::string> groups;
  for (const PredictedStep& step : steps)
    if (const std::string& group = table.row(step.row).group;
        table.row(step.row).step_time && std::ranges::find(groups, group) == groups.end())
      groups.push_back(group);
  for (const std::string& group : groups) {
    std::vector<std::size_t> rest, out;
    for (const std::size_t i : table.predictable_rows())
      (table.row(i).group == group ? out : rest).push_back(i);
    const Calibration fit = fitted(calibration, table, rest, TrainingStart::round_figures);
    std::map<std::size_t, Seconds> predicted;
    for (const PredictedStep& step : table.predict(out, fit)) predicted[step.row] = step.predicted;
    for (PredictedStep& step : steps)
      if (const auto found = predicted.find(step.row); found != predicted.end())
        step.left_out = found->second;
  }
}

}  // namespace railwright::coordinator
