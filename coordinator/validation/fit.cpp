#include "coordinator/validation/fit.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "topology/calibration_parameter.hpp"

namespace railwright::coordinator {
namespace {

using collectives::library::Constant;
using collectives::library::constant_count;
using collectives::library::Constants;
using topology::Calibration;
using topology::CalibrationEntry;

constexpr int most_rounds = 40;
constexpr double first_step = 0.7, last_step = 0.003;  // of the logarithm of a value
constexpr double longer = 1.3, shorter = 0.5;
constexpr double improvement = 1e-7;
constexpr double weight_of_large = 2;
constexpr double pull = 0.03;                   // back to the start, per squared logarithm
constexpr double nvlink_payload = 16.0 / 17.0;  // a packet of 16 flits has one for its header
constexpr int most_left_out = 32;

// Where a fit begins: round figures from data sheets and NCCL's tables, not from these rows.
double start_of(std::string_view parameter) {
  static const std::map<std::string_view, double> starts{
      {"wire_efficiency", 0.87}, {"network_efficiency", 0.92},   {"network_latency", 18e-6},
      {"hop_latency", 1.2e-6},   {"hop_latency_simple", 3.8e-6}, {"exchange_latency", 3e-6},
      {"pipeline_fill", 0.8},    {"tree_efficiency", 0.6},       {"nvls_efficiency", 0.6},
      {"nvls_latency", 35e-6},   {"local_copy_efficiency", 0.2}, {"call_latency", 20e-6}};
  return starts.at(parameter);
}

double most_of(const CalibrationEntry& entry) {
  const double high = topology::parameter_named(entry.parameter)->high;
  return entry.subject.starts_with("nvlink-") ? std::min(high, nvlink_payload) : high;
}

using Indices = std::array<int, constant_count>;  // into the entries, -1: the run has none

Indices indices_of(const FitRow& row, const Calibration& calibration) {
  Indices indices;
  for (std::size_t i = 0; i < constant_count; ++i) {
    const auto constant = static_cast<Constant>(i);
    const std::string subject = subject_of(row.run, constant);
    const CalibrationEntry* entry =
        subject.empty() ? nullptr : calibration.find(subject, parameter_of(constant));
    indices[i] = entry ? static_cast<int>(entry - calibration.entries.data()) : -1;
  }
  return indices;
}

// Rows with their entries looked up once: a fit asks a thousand times.
class Objective {
 public:
  Objective(std::span<const FitRow> rows, const Calibration& calibration) : rows_(rows) {
    std::map<std::pair<std::string, bool>, double> counts;
    for (const FitRow& row : rows) counts[{row.group, row.large()}] += 1;
    for (const FitRow& row : rows) {
      indices_.push_back(indices_of(row, calibration));
      const double share = row.large() ? weight_of_large : 1;
      weights_.push_back(share / counts[{row.group, row.large()}]);
    }
  }

  double operator()(const Calibration& calibration) const {
    double sum = 0;
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      const double predicted = predict(rows_[i].run, constants(i, calibration)).time.value;
      sum += weights_[i] * std::abs(std::log(predicted / rows_[i].measured.value));
    }
    return std::isfinite(sum) ? sum : std::numeric_limits<double>::max();
  }
  const std::vector<Indices>& indices() const { return indices_; }

 private:
  Constants constants(std::size_t row, const Calibration& calibration) const {
    Constants values{};
    for (std::size_t c = 0; c < constant_count; ++c)
      if (const int index = indices_[row][c]; index >= 0)
        values[c] = calibration.entries[static_cast<std::size_t>(index)].value;
    return values;
  }

  std::span<const FitRow> rows_;
  std::vector<Indices> indices_;
  std::vector<double> weights_;
};

bool is_of_model(const std::string& parameter) {
  for (std::size_t i = 0; i < constant_count; ++i)
    if (parameter == collectives::library::parameter_of(static_cast<Constant>(i))) return true;
  return false;
}

// What rows say nothing of stays where it started.
double penalty(double value, double start) {
  if (!(value > 0 && start > 0)) return value == start ? 0 : 1;
  const double away = std::log(value / start);
  return pull * away * away;
}

// One entry, one step up or down; true when it helped.
bool moved(Calibration& calibration, const Objective& objective, std::size_t entry, double start,
           double step, double& best) {
  const CalibrationEntry before = calibration.entries[entry];
  for (const double direction : {1.0, -1.0}) {
    CalibrationEntry& now = calibration.entries[entry];
    now.value = std::min(before.value * std::exp(direction * step), most_of(before));
    const double loss = objective(calibration) + penalty(now.value, start);
    if (loss < best + penalty(before.value, start) - improvement) {
      best = loss - penalty(now.value, start);
      return true;
    }
    now = before;
  }
  return false;
}

void descend(Calibration& calibration, const Objective& objective,
             const std::vector<std::size_t>& free) {
  double best = objective(calibration);
  std::vector<double> steps(free.size(), first_step), starts;
  for (const std::size_t entry : free) starts.push_back(calibration.entries[entry].value);
  for (int round = 0; round < most_rounds; ++round) {
    for (std::size_t i = 0; i < free.size(); ++i)
      steps[i] *=
          moved(calibration, objective, free[i], starts[i], steps[i], best) ? longer : shorter;
    if (std::all_of(steps.begin(), steps.end(), [](double step) { return step < last_step; }))
      break;
  }
}

// Whether the entry's value shows in the prediction: NVLS says nothing of rows that a ring serves.
bool shows(const Calibration& calibration, std::size_t entry, const FitRow& row) {
  constexpr double tenth = 1.1;
  const auto time_with = [&](double factor) {
    Calibration changed = calibration;
    changed.entries[entry].value *= factor;
    return predict(row.run, constants_of(row.run, changed)).time;
  };
  return time_with(tenth) != time_with(1 / tenth);
}

void record(Calibration& calibration, const std::vector<std::size_t>& free,
            std::span<const FitRow> rows, const std::vector<Indices>& indices) {
  for (const std::size_t index : free) {
    CalibrationEntry entry = calibration.entries[index];
    entry.n = 0;
    entry.valid_low = std::numeric_limits<double>::max();
    entry.valid_high = 0;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const auto& used = indices[i];
      if (std::find(used.begin(), used.end(), static_cast<int>(index)) == used.end() ||
          !shows(calibration, index, rows[i]))
        continue;
      const auto size = static_cast<double>(rows[i].run.size.count);
      ++entry.n;
      entry.valid_low = std::min(entry.valid_low, size);
      entry.valid_high = std::max(entry.valid_high, size);
    }
    if (entry.n > 0) calibration.entries[index] = entry;
  }
}

// What is left out together: a group (several of more than 32), or where there is one only, every
// k-th row.
std::vector<std::vector<std::size_t>> parts_of(std::span<const FitRow> rows) {
  std::map<std::string, std::size_t> number;
  for (const FitRow& row : rows) number.emplace(row.group, number.size());
  const std::size_t units = number.size() > 1 ? number.size() : rows.size();
  std::vector<std::vector<std::size_t>> parts(std::min<std::size_t>(units, most_left_out));
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::size_t unit = number.size() > 1 ? number[rows[i].group] : i;
    parts[unit % parts.size()].push_back(i);
  }
  return parts;
}

std::vector<FitRow> without(std::span<const FitRow> rows, const std::vector<std::size_t>& part) {
  std::vector<FitRow> rest;
  for (std::size_t i = 0; i < rows.size(); ++i)
    if (!std::binary_search(part.begin(), part.end(), i)) rest.push_back(rows[i]);
  return rest;
}

// Of values that each leave out one of as many parts.
double jackknife(const std::vector<double>& values) {
  const auto count = static_cast<double>(values.size());
  double mean = 0, sum = 0;
  for (const double value : values) mean += value / count;
  for (const double value : values) sum += (value - mean) * (value - mean);
  return std::sqrt((count - 1) / count * sum);
}

}  // namespace

std::vector<std::size_t> free_entries(const Calibration& calibration,
                                      std::span<const FitRow> rows) {
  std::set<int> used;
  for (const FitRow& row : rows)
    for (const int index : indices_of(row, calibration)) used.insert(index);
  std::vector<std::size_t> free;
  for (std::size_t i = 0; i < calibration.entries.size(); ++i) {
    const CalibrationEntry& entry = calibration.entries[i];
    if (entry.n > 0 && is_of_model(entry.parameter) && used.contains(static_cast<int>(i)))
      free.push_back(i);
  }
  return free;
}

Calibration fitted(Calibration calibration, std::span<const FitRow> rows, FitStart start) {
  for (CalibrationEntry& entry : calibration.entries)
    if (start == FitStart::round_figures && entry.n > 0 && is_of_model(entry.parameter))
      entry.value = start_of(entry.parameter);
  const std::vector<std::size_t> free = free_entries(calibration, rows);
  const Objective objective(rows, calibration);
  descend(calibration, objective, free);
  return calibration;
}

Calibration with_ranges(Calibration calibration, std::span<const FitRow> rows) {
  const std::vector<std::size_t> free = free_entries(calibration, rows);
  record(calibration, free, rows, Objective(rows, calibration).indices());
  return calibration;
}

LeftOut left_out(const Calibration& calibration, std::span<const FitRow> rows, FitStart start) {
  LeftOut result{calibration, std::vector<Seconds>(rows.size())};
  const std::vector<std::size_t> free = free_entries(calibration, rows);
  std::map<std::size_t, std::vector<double>> values;
  for (const auto& part : parts_of(rows)) {
    const std::vector<FitRow> rest = without(rows, part);
    const Calibration fit = fitted(calibration, rest, start);
    for (const std::size_t i : part)
      result.predicted[i] = predict(rows[i].run, constants_of(rows[i].run, fit)).time;
    // A constant that only the left-out part knows says nothing about its own error.
    for (const std::size_t index : free_entries(fit, rest))
      values[index].push_back(fit.entries[index].value);
  }
  for (const std::size_t index : free)
    if (values[index].size() > 1)
      result.calibration.entries[index].standard_error = jackknife(values[index]);
  return result;
}

}  // namespace railwright::coordinator
