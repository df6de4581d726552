#include "coordinator/validation/training/report.hpp"

#include <fmt/format.h>

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

Json group_json(const TrainingGroup& group) {
  Json out{{"group", group.group},
           {"rows", group.rows},
           {"skipped", group.skipped},
           {"rows_on_a_default", group.on_defaults}};
  if (group.step.rows > 0) {
    add_errors(out, group.step);
    out["baseline_mape"] = group.step.baseline;
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
  Table rows{{"group", "rows", "skipped", "MAPE", "bias", "worst", "of", "baseline", "sets",
              "tau-b", "regret", "median"}};
  for (const TrainingGroup& group : evaluation.groups) {
    if (group.step.rows == 0) continue;
    const ChoiceErrors& choice = group.choice;
    const bool chose = choice.sets > 0;
    rows.push_back({group.group, std::to_string(group.step.rows), std::to_string(group.skipped),
                    percent(group.step.mape), percent(group.step.bias), percent(group.step.worst),
                    group.step.worst_id, percent(group.step.baseline), std::to_string(choice.sets),
                    chose ? fmt::format("{:.2f}", choice.kendall_tau) : "-",
                    chose ? percent(choice.regret_mean) : "-",
                    chose ? percent(choice.regret_median) : "-"});
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

}  // namespace

Json to_json(const TrainingEvaluation& evaluation, const std::vector<TrainingRow>& rows) {
  Json out;
  out["groups"] = Json::array();
  for (const TrainingGroup& group : evaluation.groups) out["groups"].push_back(group_json(group));
  out["rows"] = Json::array();
  for (const PredictedStep& step : evaluation.steps)
    out["rows"].push_back(row_json(step, rows[step.row]));
  Json training{{"macro_mape", evaluation.macro_mape}};
  add_choice(training, evaluation.choice);
  add_fit(training, evaluation.fit);
  training["rows_on_a_default"] = evaluation.rows_on_defaults;
  training["defaults"] = counts_json(evaluation.defaults, "default");
  training["skipped"] = counts_json(evaluation.skipped, "reason");
  out["training"] = std::move(training);
  return out;
}

std::string to_text(const TrainingEvaluation& evaluation) {
  std::string text;
  if (const std::string times = times_table(evaluation); !times.empty())
    text += "Step times: errors in per cent of what was measured.\n" + times +
            fmt::format("\nmean over the groups: {} %\n", percent(evaluation.macro_mape));
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
  return text;
}

}  // namespace railwright::coordinator
