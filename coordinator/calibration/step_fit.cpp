#include "coordinator/calibration/step_fit.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "coordinator/validation/training/constants.hpp"
#include "coordinator/validation/training/fit.hpp"
#include "topology/calibration_overlay.hpp"
#include "topology/calibration_parameter.hpp"

namespace railwright::coordinator {
namespace {

using topology::Calibration;
using topology::CalibrationEntry;
using topology::SubjectSort;

// Of these sorts what has no entry of its own, as the class default has it.
Calibration with_own_entries(Calibration calibration, const TrainingTable& table,
                             const std::vector<std::size_t>& rows) {
  std::set<std::string> subjects;
  for (const std::size_t i : rows)
    for (std::string& subject : subjects_of(table.setup(i))) subjects.insert(std::move(subject));
  const auto add = [&](const std::string& subject, const char* name, SubjectSort sort) {
    const auto* known = calibration.find(subject, name);
    if (topology::subject_sort(subject) != sort || (known && known->subject == subject)) return;
    CalibrationEntry entry;
    entry.subject = subject;
    entry.parameter = name;
    entry.unit = topology::parameter_named(name)->unit;
    entry.value = calibration.value_or("*", name, 1);
    entry.n = 1;
    if (entry.value > 0) calibration.entries.push_back(std::move(entry));
  };
  for (const std::string& subject : subjects) {
    add(subject, "sustained_rate", SubjectSort::accelerator);
    add(subject, "vector_traffic", SubjectSort::framework);
  }
  return calibration;
}

std::string source_of(const TrainingTable& table, const std::vector<std::size_t>& rows) {
  std::set<std::string> groups;
  for (const std::size_t i : rows) groups.insert(table.row(i).group);
  return fmt::format("fit to {} training steps of {} sources", rows.size(), groups.size());
}

double log_error(const TrainingTable& table, const PredictedStep& step, Seconds predicted) {
  return std::log(predicted / *table.row(step.row).step_time);
}

// Root mean square per accelerator, groups weighted alike.
std::vector<CalibrationEntry> spreads(const TrainingTable& table,
                                      const std::vector<PredictedStep>& steps) {
  struct Sum {
    double squares = 0;
    int rows = 0;
  };
  std::map<std::string, std::map<std::string, Sum>> sums;
  for (const PredictedStep& step : steps) {
    const auto& kind = table.setup(step.row).cluster.accelerator_kinds.front();
    Sum& sum = sums[kind.subject()][table.row(step.row).group];
    sum.squares += std::pow(log_error(table, step, step.predicted), 2);
    ++sum.rows;
  }
  std::vector<CalibrationEntry> entries;
  for (const auto& [subject, groups] : sums) {
    CalibrationEntry entry{subject, "step_spread", "1", 0, 0, 0, 0, 0, {}};
    for (const auto& [group, sum] : groups) {
      entry.value += sum.squares / sum.rows / static_cast<double>(groups.size());
      entry.n += sum.rows;
    }
    entry.value = std::sqrt(entry.value);
    entries.push_back(std::move(entry));
  }
  return entries;
}

}  // namespace

Result<CalibrationFit> fit_steps(const std::vector<TrainingRow>& rows, const Calibration& base,
                                 bool from_scratch) {
  const TrainingTable table(rows);
  std::vector<std::size_t> timed = table.predictable_rows();
  std::erase_if(timed, [&](std::size_t i) { return !table.row(i).step_time; });
  if (timed.empty())
    return failure({}, "no training step can be predicted", "railwright validate says why");
  const Calibration begin = with_own_entries(base, table, timed);
  const auto start = from_scratch ? TrainingStart::round_figures : TrainingStart::as_given;
  const Calibration fit = fitted(begin, table, timed, start);
  CalibrationFit result;
  result.what = fmt::format("training steps: {} rows", timed.size());
  for (const std::size_t entry : free_entries(begin, table, timed))
    result.entries.push_back(fit.entries[entry]);
  std::vector<PredictedStep> steps = table.predict(timed, fit);
  for (CalibrationEntry& spread : spreads(table, steps)) result.entries.push_back(spread);
  for (CalibrationEntry& entry : result.entries) entry.source = source_of(table, timed);
  add_left_out(table, begin, steps);
  for (const PredictedStep& step : steps) {
    const auto count = static_cast<double>(steps.size());
    result.residual += std::abs(std::expm1(log_error(table, step, step.predicted))) / count;
    result.left_out += std::abs(std::expm1(log_error(table, step, step.left_out))) / count;
  }
  return result;
}

}  // namespace railwright::coordinator
