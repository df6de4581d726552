#include "coordinator/validation/training/report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "coordinator/validation/training/constants.hpp"

namespace railwright::coordinator {
namespace {

using Table = std::vector<std::vector<std::string>>;
using Counts = std::map<std::string, std::size_t>;

std::string percent(double fraction) { return fmt::format("{:.1f}", 100 * fraction); }

template <class Errors>
void add_errors(Json& out, const Errors& errors) {
  out["mape"] = errors.mape;
  out["bias"] = errors.bias;
  out["worst"] = errors.worst;
  out["worst_id"] = errors.worst_id;
}

void add_choice(Json& out, const ChoiceErrors& choice) {
  if (choice.sets == 0) return;
  out["choice_sets"] = choice.sets;
  out["kendall_tau"] = choice.kendall_tau;
  out["regret"] = choice.regret_mean;
  out["regret_median"] = choice.regret_median;
  out["regret_worst"] = choice.regret_worst;
}

void add_fit(Json& out, const FitErrors& fit) {
  out["ran"] = fit.ran;
  out["ran_called_infeasible"] = fit.ran_called_infeasible;
  out["out_of_memory"] = fit.out_of_memory;
  out["out_of_memory_called_infeasible"] = fit.out_of_memory_called_infeasible;
}

Json group_json(const TrainingGroup& group, bool has_left_out) {
  Json out{{"group", group.group},
           {"rows", group.rows},
           {"skipped", group.skipped},
           {"rows_on_a_default", group.on_defaults}};
  if (group.step.rows > 0) {
    add_errors(out, group.step);
    out["baseline_mape"] = group.step.baseline;
    if (has_left_out) out["left_out_mape"] = group.step.left_out;
  }
  if (group.memory.rows > 0) {
    Json memory{{"rows", group.memory.rows}};
    add_errors(memory, group.memory);
    out["memory"] = std::move(memory);
  }
  add_choice(out, group.choice);
  return out;
}

Json row_json(const PredictedStep& step, const TrainingRow& row) {
  Json out{{"id", row.id}};
  if (row.step_time) out["measured_s"] = row.step_time->value;
  out["predicted_s"] = step.predicted.value;
  out["uncertainty"] = step.uncertainty;
  if (step.left_out.value > 0) out["left_out_s"] = step.left_out.value;
  if (row.peak_memory) out["measured_peak_memory_bytes"] = *row.peak_memory;
  out["peak_memory_bytes"] = step.peak_memory;
  out["fits"] = step.fits;
  return out;
}

Json counts_json(const Counts& counts, const char* key) {
  Json out = Json::array();
  for (const auto& [what, rows] : counts) out.push_back(Json{{key, what}, {"rows", rows}});
  return out;
}

std::string counts_text(const Counts& counts) {
  std::string text;
  for (const auto& [what, rows] : counts)
    text += fmt::format("{}{} ({})", text.empty() ? "" : ", ", what, rows);
  return text;
}

std::string times_table(const TrainingEvaluation& evaluation) {
  Table rows{{"group", "rows", "skipped", "MAPE", "bias", "worst", "of", "baseline", "left out",
              "sets", "tau-b", "regret", "median"}};
  for (const TrainingGroup& group : evaluation.groups) {
    if (group.step.rows == 0) continue;
    const ChoiceErrors& choice = group.choice;
    const bool chose = choice.sets > 0;
    rows.push_back(
        {group.group, std::to_string(group.step.rows), std::to_string(group.skipped),
         percent(group.step.mape), percent(group.step.bias), percent(group.step.worst),
         group.step.worst_id, percent(group.step.baseline),
         evaluation.has_left_out ? percent(group.step.left_out) : "-", std::to_string(choice.sets),
         chose ? fmt::format("{:.2f}", choice.kendall_tau) : "-",
         chose ? percent(choice.regret_mean) : "-", chose ? percent(choice.regret_median) : "-"});
  }
  return rows.size() > 1 ? table(rows) : "";
}

std::string memory_table(const TrainingEvaluation& evaluation) {
  Table rows{{"group", "rows", "MAPE", "bias", "worst", "of"}};
  for (const TrainingGroup& group : evaluation.groups)
    if (const MemoryErrors& memory = group.memory; memory.rows > 0)
      rows.push_back({group.group, std::to_string(memory.rows), percent(memory.mape),
                      percent(memory.bias), percent(memory.worst), memory.worst_id});
  return rows.size() > 1 ? table(rows) : "";
}

std::string fit_line(const FitErrors& fit) {
  return fmt::format(
      "{} of {} rows that ran are called infeasible, {} of {} that went out of memory\n",
      fit.ran_called_infeasible, fit.ran, fit.out_of_memory_called_infeasible, fit.out_of_memory);
}

using topology::Calibration;
using topology::CalibrationEntry;

// Of the subjects that the predictions read, what was fitted or measured.
std::vector<const CalibrationEntry*> constants_of(const TrainingEvaluation& evaluation,
                                                  const Calibration& calibration) {
  std::vector<const CalibrationEntry*> entries;
  for (const std::string& subject : evaluation.subjects)
    for (const CalibrationEntry& entry : calibration.entries)
      if (entry.subject == subject && topology::subject_sort(subject) != topology::SubjectSort::any)
        entries.push_back(&entry);
  return entries;
}

Json constants_json(const TrainingEvaluation& evaluation, const Calibration& calibration) {
  Json out = Json::array();
  for (const CalibrationEntry* entry : constants_of(evaluation, calibration))
    out.push_back(Json{{"subject", entry->subject},
                       {"parameter", entry->parameter},
                       {"value", entry->value},
                       {"standard_error", entry->standard_error},
                       {"unit", entry->unit},
                       {"n", entry->n}});
  return out;
}

std::string constants_table(const TrainingEvaluation& evaluation, const Calibration& calibration) {
  Table rows{{"constant of", "parameter", "value", "error", "unit", "n"}};
  for (const CalibrationEntry* entry : constants_of(evaluation, calibration))
    rows.push_back({entry->subject, entry->parameter, fmt::format("{:.4g}", entry->value),
                    fmt::format("{:.2g}", entry->standard_error), entry->unit,
                    std::to_string(entry->n)});
  return table(rows);
}

// The most that any thing has of what it may have.
std::string limits_line(const Calibration& calibration) {
  std::map<std::size_t, std::size_t> most;
  for (const ConstantCount& count : constant_counts(calibration))
    most[count.limit] = std::max(most[count.limit], count.count);
  return fmt::format(
      "constants: at most {} per accelerator (limit 8), {} per network (limit 4), {} per "
      "framework (limit 3)\n",
      most[8], most[4], most[3]);
}

}  // namespace

Json to_json(const TrainingEvaluation& evaluation, const std::vector<TrainingRow>& rows,
             const Calibration& calibration) {
  Json out;
  out["groups"] = Json::array();
  for (const TrainingGroup& group : evaluation.groups)
    out["groups"].push_back(group_json(group, evaluation.has_left_out));
  out["rows"] = Json::array();
  for (const PredictedStep& step : evaluation.steps)
    out["rows"].push_back(row_json(step, rows[step.row]));
  Json training{{"macro_mape", evaluation.macro_mape}};
  if (evaluation.has_left_out) training["macro_left_out_mape"] = evaluation.macro_left_out;
  add_choice(training, evaluation.choice);
  add_fit(training, evaluation.fit);
  training["rows_on_a_default"] = evaluation.rows_on_defaults;
  training["defaults"] = counts_json(evaluation.defaults, "default");
  training["skipped"] = counts_json(evaluation.skipped, "reason");
  training["constants"] = constants_json(evaluation, calibration);
  out["training"] = std::move(training);
  return out;
}

std::string to_text(const TrainingEvaluation& evaluation, const Calibration& calibration) {
  std::string text;
  if (const std::string times = times_table(evaluation); !times.empty())
    text += "Step times: errors in per cent of what was measured.\n" + times +
            fmt::format("\nmean over the groups: {} %\n", percent(evaluation.macro_mape));
  if (evaluation.has_left_out)
    text += fmt::format("mean over the groups, each left out of the fit: {} %\n",
                        percent(evaluation.macro_left_out));
  if (const ChoiceErrors& choice = evaluation.choice; choice.sets > 0)
    text += fmt::format(
        "choosing among the layouts of {} sets: regret {} % on the mean, {} % median, {} % at "
        "worst; tau-b {:.2f}\n",
        choice.sets, percent(choice.regret_mean), percent(choice.regret_median),
        percent(choice.regret_worst), choice.kendall_tau);
  if (const std::string memory = memory_table(evaluation); !memory.empty())
    text += "\nMemory: errors in per cent of what was measured.\n" + memory;
  if (evaluation.fit.ran + evaluation.fit.out_of_memory > 0)
    text += "\n" + fit_line(evaluation.fit);
  text += fmt::format("{} of {} rows rest on a default", evaluation.rows_on_defaults,
                      evaluation.steps.size());
  if (!evaluation.defaults.empty()) text += ": " + counts_text(evaluation.defaults);
  text += "\n";
  if (!evaluation.skipped.empty()) text += "skipped: " + counts_text(evaluation.skipped) + "\n";
  return text + "\n" + constants_table(evaluation, calibration) + limits_line(calibration);
}

}  // namespace railwright::coordinator
