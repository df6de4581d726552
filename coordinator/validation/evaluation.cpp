#include "coordinator/validation/evaluation.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <utility>

#include "collectives/cost.hpp"

namespace railwright::coordinator {
namespace {

using collectives::library::Run;
using topology::Calibration;

// The value of which the relative errors sum to the least: the median, each value weighing 1 / v.
double best_single_value(std::vector<double> measured) {
  std::ranges::sort(measured);
  double weight = 0, below = 0;
  for (const double value : measured) weight += 1 / value;
  for (const double value : measured)
    if (below += 1 / value; below >= weight / 2) return value;
  return measured.back();
}

void add_floors(std::vector<PredictedRow>& rows, const std::vector<std::string>& systems) {
  using Key = std::pair<std::string, std::uint64_t>;
  std::map<Key, std::vector<double>> measured;
  const auto key_of = [&](std::size_t i) { return Key{systems[i], rows[i].fit.run.size.count}; };
  for (std::size_t i = 0; i < rows.size(); ++i)
    measured[key_of(i)].push_back(rows[i].fit.measured.value);
  std::map<Key, Seconds> floor;
  for (const auto& [key, values] : measured) floor[key] = seconds(best_single_value(values));
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i].floor = floor[key_of(i)];
}

// ---- the baseline: time = latency + bytes on the busiest link / (share x line rate)

// What a ring puts on the slowest kind of link, in seconds at its line rate.
double line_time(const Run& run) {
  return collectives::bus_bandwidth_factor(run.operation, run.ranks) *
         (run.size / collectives::library::line_rate(run)).value;
}

struct LinePoint {
  double line = 0, measured = 0;  // seconds
};

double sum_of_errors(const std::vector<LinePoint>& points, double share, double latency) {
  double sum = 0;
  for (const LinePoint& point : points)
    sum += std::abs(std::log((latency + point.line / share) / point.measured));
  return sum;
}

// Both constants over a grid that is finer than the differences it shows.
void add_baseline(Evaluation& evaluation) {
  std::vector<LinePoint> points;
  for (const PredictedRow& row : evaluation.rows)
    points.push_back({line_time(row.fit.run), row.fit.measured.value});
  double least = std::numeric_limits<double>::infinity();
  for (int percent = 30; percent <= 100; percent += 2)
    for (double latency = 1e-6; latency < 1e-3; latency *= 1.25) {
      const double error = sum_of_errors(points, percent / 100.0, latency);
      if (error >= least) continue;
      least = error;
      evaluation.baseline_share = percent / 100.0;
      evaluation.baseline_latency = seconds(latency);
    }
  for (PredictedRow& row : evaluation.rows)
    row.baseline =
        evaluation.baseline_latency + seconds(line_time(row.fit.run) / evaluation.baseline_share);
}

// ---- errors

double relative(Seconds predicted, Seconds measured) {
  return (predicted.value - measured.value) / measured.value;
}

void add(ErrorSummary& summary, const PredictedRow& row) {
  const Seconds measured = row.fit.measured;
  const double error = relative(row.prediction.time, measured);
  ++summary.rows;
  summary.mape += std::abs(error);
  summary.bias += error;
  if (std::abs(error) > std::abs(summary.worst)) summary.worst = error;
  summary.floor += std::abs(relative(row.floor, measured));
  summary.baseline += std::abs(relative(row.baseline, measured));
  summary.left_out += std::abs(relative(row.left_out, measured));
}

void finish(ErrorSummary& summary) {
  if (summary.rows == 0) return;
  const auto rows = static_cast<double>(summary.rows);
  for (double* sum :
       {&summary.mape, &summary.bias, &summary.floor, &summary.baseline, &summary.left_out})
    *sum /= rows;
}

int decade_of(Bytes size) {
  return size.count == 0 ? 0 : static_cast<int>(std::log10(static_cast<double>(size.count)));
}

// Groups in the order in which they were first named.
class Groups {
 public:
  explicit Groups(std::vector<GroupErrors>& groups) : groups_(groups) {
    for (std::size_t i = 0; i < groups.size(); ++i) place_[groups[i].group] = i;
  }
  GroupErrors& named(const std::string& name) {
    const auto [found, fresh] = place_.emplace(name, groups_.size());
    if (fresh) groups_.emplace_back().group = name;
    return groups_[found->second];
  }

 private:
  std::vector<GroupErrors>& groups_;
  std::map<std::string, std::size_t> place_;
};

void summarise(Evaluation& evaluation) {
  Groups groups(evaluation.groups);
  for (const PredictedRow& row : evaluation.rows) {
    GroupErrors& group = groups.named(row.fit.group);
    add(group.all, row);
    add(row.fit.large() ? group.large : group.small, row);
    add(group.decades[decade_of(row.fit.run.size)], row);
    add(evaluation.all, row);
  }
  for (GroupErrors& group : evaluation.groups) {
    finish(group.all);
    finish(group.large);
    finish(group.small);
    for (auto& [decade, summary] : group.decades) finish(summary);
  }
  finish(evaluation.all);
}

// Describes the rows; those without a prediction are only counted.
std::vector<std::string> describe(Evaluation& evaluation,
                                  const std::vector<Measurement>& measurements) {
  std::vector<std::string> systems;
  Groups groups(evaluation.groups);
  for (std::size_t i = 0; i < measurements.size(); ++i) {
    const Described row = described(measurements[i]);
    GroupErrors& group = groups.named(measurements[i].group);
    if (!row.why_not.empty()) {
      ++group.skipped;
      ++evaluation.skipped[row.why_not];
      continue;
    }
    for (const std::string& what : row.defaults) ++evaluation.defaults[what];
    evaluation.rows_on_defaults += !row.defaults.empty();
    PredictedRow predicted;
    predicted.measurement = i;
    predicted.fit = {row.run, measurements[i].time, measurements[i].group};
    evaluation.rows.push_back(std::move(predicted));
    systems.push_back(system_of(row));
  }
  return systems;
}

void add_left_out(Evaluation& evaluation, const Calibration& calibration) {
  std::vector<FitRow> rows;
  std::set<std::string> groups;
  for (const PredictedRow& row : evaluation.rows) {
    rows.push_back(row.fit);
    groups.insert(row.fit.group);
  }
  if (groups.size() < 2) return;
  const LeftOut out = left_out(calibration, rows, FitStart::round_figures);
  for (std::size_t i = 0; i < rows.size(); ++i) evaluation.rows[i].left_out = out.predicted[i];
  evaluation.has_left_out = true;
}

}  // namespace

Evaluation evaluate(const std::vector<Measurement>& measurements, const Calibration& calibration,
                    const EvaluationOptions& options) {
  Evaluation evaluation;
  const std::vector<std::string> systems = describe(evaluation, measurements);
  if (evaluation.rows.empty()) return evaluation;
  for (PredictedRow& row : evaluation.rows)
    row.prediction = predict(row.fit.run, constants_of(row.fit.run, calibration));
  add_floors(evaluation.rows, systems);
  add_baseline(evaluation);
  if (options.leave_out) add_left_out(evaluation, calibration);
  summarise(evaluation);
  return evaluation;
}

double macro_excess(const Evaluation& evaluation, bool large, bool left_out) {
  double sum = 0;
  int groups = 0;
  for (const GroupErrors& group : evaluation.groups) {
    const ErrorSummary& half = large ? group.large : group.small;
    if (half.rows == 0) continue;
    sum += left_out ? half.left_out_excess() : half.excess();
    ++groups;
  }
  return groups > 0 ? sum / groups : 0;
}

}  // namespace railwright::coordinator
