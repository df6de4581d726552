#include "coordinator/validation/training/evaluation.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <tuple>

#include "coordinator/validation/training/choice.hpp"
#include "coordinator/validation/training/constants.hpp"
#include "coordinator/validation/training/fit.hpp"

namespace railwright::coordinator {
namespace {

using topology::Calibration;

constexpr double counted_difference = 0.03;
constexpr std::size_t least_layouts = 4;

// ---- baseline: hardware FLOPs at the median utilisation of the accelerator and precision

void add_baselines(TrainingEvaluation& evaluation, const TrainingTable& table) {
  using Key = std::pair<std::string, topology::Precision>;
  const auto ideal = [&](const PredictedStep& step) {
    const TrainingSetup& setup = table.setup(step.row);
    const auto& kind = setup.cluster.accelerator_kinds.front();
    return workload::hardware_flops_per_step(setup.training, step.degrees.recompute).count /
           (workload::peak_rate(kind, setup.training.precision).per_second *
            table.row(step.row).accelerators);
  };
  const auto key = [&](const PredictedStep& step) {
    const TrainingSetup& setup = table.setup(step.row);
    return Key{setup.cluster.accelerator_kinds.front().name, setup.training.precision};
  };
  std::map<Key, std::vector<double>> utilisation;
  for (const PredictedStep& step : evaluation.steps)
    if (const auto& measured = table.row(step.row).step_time)
      utilisation[key(step)].push_back(ideal(step) / measured->value);
  for (auto& [name, values] : utilisation)
    std::ranges::nth_element(values,
                             values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2));
  for (PredictedStep& step : evaluation.steps) {
    const auto found = utilisation.find(key(step));
    if (found != utilisation.end())
      step.baseline = seconds(ideal(step) / found->second[found->second.size() / 2]);
  }
}

// ---- errors

template <class Errors>
void add(Errors& errors, double predicted, double measured, const std::string& id) {
  if (!(measured > 0)) return;
  const double error = predicted / measured - 1;
  ++errors.rows;
  errors.mape += std::abs(error);
  errors.bias += error;
  if (std::abs(error) <= std::abs(errors.worst)) return;
  errors.worst = error;
  errors.worst_id = id;
}

template <class Errors>
void finish(Errors& errors) {
  if (errors.rows == 0) return;
  errors.mape /= static_cast<double>(errors.rows);
  errors.bias /= static_cast<double>(errors.rows);
}

void add(FitErrors& fit, const TrainingRow& row, const PredictedStep& step) {
  const bool ran = row.step_time || row.peak_memory || row.fits.value_or(false);
  if (row.fits && !*row.fits) {
    ++fit.out_of_memory;
    fit.out_of_memory_called_infeasible += !step.fits;
  } else if (ran) {
    ++fit.ran;
    fit.ran_called_infeasible += !step.fits;
  }
}

void add(TrainingGroup& group, const TrainingRow& row, const PredictedStep& step) {
  if (row.step_time) {
    add(group.step, step.predicted.value, row.step_time->value, row.id);
    group.step.baseline += std::abs(step.baseline / *row.step_time - 1);
    group.step.left_out += std::abs(step.left_out / *row.step_time - 1);
  }
  if (row.peak_memory) add(group.memory, step.peak_memory, *row.peak_memory, row.id);
  if (row.activation_memory)
    add(group.memory, step.activation_memory, *row.activation_memory, row.id);
  if (row.state_memory) add(group.memory, step.state_memory, *row.state_memory, row.id);
  add(group.fit, row, step);
}

// ---- choosing: sets of rows with the same model, shape, accelerators and batch

using SetKey = std::tuple<std::string, std::string, std::int64_t, std::int64_t, std::int64_t,
                          std::int64_t, std::int64_t, std::string, int>;

SetKey set_of(const TrainingRow& row) {
  return {row.group,    row.accelerator,  row.model.layers, row.model.hidden, row.model.ffn_hidden,
          row.sequence, row.global_batch, row.precision,    row.accelerators};
}

void summarise(ChoiceErrors& choice, std::vector<double> regrets, const std::vector<double>& taus) {
  choice.sets = regrets.size();
  if (regrets.empty()) return;
  std::ranges::sort(regrets);
  const auto count = static_cast<double>(regrets.size());
  for (const double regret : regrets) choice.regret_mean += regret / count;
  const std::size_t half = regrets.size() / 2;
  choice.regret_median =
      regrets.size() % 2 == 1 ? regrets[half] : (regrets[half - 1] + regrets[half]) / 2;
  choice.regret_worst = regrets.back();
  for (const double tau : taus) choice.kendall_tau += tau / static_cast<double>(taus.size());
}

void add_choices(TrainingEvaluation& evaluation, const std::vector<TrainingRow>& rows) {
  std::map<SetKey, std::vector<MeasuredAndPredicted>> sets;
  for (const PredictedStep& step : evaluation.steps)
    if (const auto& measured = rows[step.row].step_time)
      sets[set_of(rows[step.row])].push_back({*measured, step.predicted});
  std::map<std::string, std::pair<std::vector<double>, std::vector<double>>> of_group;
  std::vector<double> regrets, taus;
  for (const auto& [key, layouts] : sets) {
    if (layouts.size() < least_layouts) continue;
    auto& [own_regrets, own_taus] = of_group[std::get<0>(key)];
    regrets.push_back(regret_of(layouts));
    taus.push_back(kendall_tau(layouts, counted_difference));
    own_regrets.push_back(regrets.back());
    own_taus.push_back(taus.back());
  }
  summarise(evaluation.choice, regrets, taus);
  for (TrainingGroup& group : evaluation.groups)
    summarise(group.choice, of_group[group.group].first, of_group[group.group].second);
}

void summarise(TrainingEvaluation& evaluation, const std::vector<TrainingRow>& rows) {
  std::map<std::string, std::size_t> place;
  for (std::size_t i = 0; i < evaluation.groups.size(); ++i) place[evaluation.groups[i].group] = i;
  for (const PredictedStep& step : evaluation.steps) {
    const TrainingRow& row = rows[step.row];
    add(evaluation.groups[place[row.group]], row, step);
    add(evaluation.fit, row, step);
  }
  std::size_t timed = 0;
  for (TrainingGroup& group : evaluation.groups) {
    finish(group.step);
    finish(group.memory);
    if (group.step.rows == 0) continue;
    group.step.baseline /= static_cast<double>(group.step.rows);
    group.step.left_out /= static_cast<double>(group.step.rows);
    evaluation.macro_mape += group.step.mape;
    evaluation.macro_left_out += group.step.left_out;
    ++timed;
  }
  if (timed > 0) evaluation.macro_mape /= static_cast<double>(timed);
  if (timed > 0) evaluation.macro_left_out /= static_cast<double>(timed);
  add_choices(evaluation, rows);
}

TrainingGroup& group_named(TrainingEvaluation& evaluation, const std::string& name) {
  const auto found = std::ranges::find(evaluation.groups, name, &TrainingGroup::group);
  if (found != evaluation.groups.end()) return *found;
  evaluation.groups.emplace_back().group = name;
  return evaluation.groups.back();
}

}  // namespace

TrainingEvaluation evaluate(const std::vector<TrainingRow>& rows, const Calibration& calibration,
                            const TrainingOptions& options) {
  TrainingEvaluation evaluation;
  const TrainingTable table(rows);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    TrainingGroup& group = group_named(evaluation, rows[i].group);
    const TrainingSetup& setup = table.setup(i);
    if (!table.predictable(i)) {
      ++group.skipped;
      ++evaluation.skipped[setup.why_not];
      continue;
    }
    for (std::string& subject : subjects_of(setup))
      if (std::ranges::find(evaluation.subjects, subject) == evaluation.subjects.end())
        evaluation.subjects.push_back(std::move(subject));
    ++group.rows;
    for (const std::string& what : setup.defaults) ++evaluation.defaults[what];
    group.on_defaults += !setup.defaults.empty();
    evaluation.rows_on_defaults += !setup.defaults.empty();
  }
  evaluation.steps = table.predict(table.predictable_rows(), calibration);
  if (options.leave_out) {
    evaluation.has_left_out = true;
    add_left_out(table, calibration, evaluation.steps);
  }
  add_baselines(evaluation, table);
  summarise(evaluation, rows);
  return evaluation;
}

}  // namespace railwright::coordinator
