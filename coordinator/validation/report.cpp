#include "coordinator/validation/report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "topology/quantity.hpp"

namespace railwright::coordinator {
namespace {

using topology::Calibration;
using topology::CalibrationEntry;

std::string percent(double fraction) { return fmt::format("{:.1f}", 100 * fraction); }

// The constants that the rows rest on and a fit may move.
std::vector<const CalibrationEntry*> constants_in(const Evaluation& evaluation,
                                                  const Calibration& calibration) {
  std::vector<FitRow> rows;
  for (const PredictedRow& row : evaluation.rows) rows.push_back(row.fit);
  std::vector<const CalibrationEntry*> entries;
  for (const std::size_t index : free_entries(calibration, rows))
    entries.push_back(&calibration.entries[index]);
  return entries;
}

Json summary_json(const ErrorSummary& summary, bool left_out) {
  Json out{{"rows", summary.rows},   {"mape", summary.mape},   {"bias", summary.bias},
           {"worst", summary.worst}, {"floor", summary.floor}, {"baseline_mape", summary.baseline}};
  if (left_out) out["left_out_mape"] = summary.left_out;
  return out;
}

Json group_json(const GroupErrors& group, bool left_out) {
  Json out{{"group", group.group}, {"rows", group.all.rows}, {"skipped", group.skipped}};
  if (group.all.rows == 0) return out;
  const Json all = summary_json(group.all, left_out);
  for (const auto& [key, value] : all.items())
    if (key != "rows") out[key] = value;
  if (group.large.rows > 0) out["from_1_mib"] = summary_json(group.large, left_out);
  if (group.small.rows > 0) out["below_1_mib"] = summary_json(group.small, left_out);
  for (const auto& [decade, summary] : group.decades) {
    Json item = summary_json(summary, left_out);
    item["from_bytes"] = std::pow(10.0, decade);
    out["decades"].push_back(std::move(item));
  }
  return out;
}

Json counts_json(const std::map<std::string, std::size_t>& counts, const char* key) {
  Json out = Json::array();
  for (const auto& [what, rows] : counts) out.push_back(Json{{key, what}, {"rows", rows}});
  return out;
}

Json collectives_json(const Evaluation& evaluation, const Calibration& calibration) {
  Json out = summary_json(evaluation.all, evaluation.has_left_out);
  out["excess_from_1_mib"] = macro_excess(evaluation, true, false);
  out["excess_below_1_mib"] = macro_excess(evaluation, false, false);
  if (evaluation.has_left_out) {
    out["left_out_excess_from_1_mib"] = macro_excess(evaluation, true, true);
    out["left_out_excess_below_1_mib"] = macro_excess(evaluation, false, true);
  }
  out["rows_on_a_default"] = evaluation.rows_on_defaults;
  out["defaults"] = counts_json(evaluation.defaults, "default");
  out["skipped"] = counts_json(evaluation.skipped, "reason");
  out["baseline"] = Json{{"share_of_line_rate", evaluation.baseline_share},
                         {"latency_s", evaluation.baseline_latency.value}};
  out["constants"] = Json::array();
  for (const CalibrationEntry* entry : constants_in(evaluation, calibration))
    out["constants"].push_back(Json{{"subject", entry->subject},
                                    {"parameter", entry->parameter},
                                    {"unit", entry->unit},
                                    {"value", entry->value},
                                    {"standard_error", entry->standard_error}});
  return out;
}

using Table = std::vector<std::vector<std::string>>;

std::vector<std::string> half_cells(const ErrorSummary& half, bool left_out) {
  if (half.rows == 0) return std::vector<std::string>(left_out ? 6 : 5, "-");
  std::vector<std::string> cells{std::to_string(half.rows), percent(half.mape), percent(half.bias),
                                 percent(half.floor), percent(half.baseline)};
  if (left_out) cells.push_back(percent(half.left_out));
  return cells;
}

std::string halves_table(const Evaluation& evaluation, bool large) {
  Table rows{{"group", "rows", "MAPE", "bias", "floor", "baseline"}};
  if (evaluation.has_left_out) rows.front().emplace_back("left out");
  for (const GroupErrors& group : evaluation.groups) {
    std::vector<std::string> cells =
        half_cells(large ? group.large : group.small, evaluation.has_left_out);
    cells.insert(cells.begin(), group.group);
    rows.push_back(std::move(cells));
  }
  return table(rows);
}

std::string decades_table(const Evaluation& evaluation) {
  std::map<int, std::string> known;
  for (const GroupErrors& group : evaluation.groups)
    for (const auto& [decade, summary] : group.decades) known[decade] = fmt::format("1e{}", decade);
  Table rows(1, {"MAPE from"});
  for (const auto& [decade, title] : known) rows.front().push_back(title);
  for (const GroupErrors& group : evaluation.groups) {
    std::vector<std::string> cells{group.group};
    for (const auto& [decade, title] : known) {
      const auto found = group.decades.find(decade);
      cells.push_back(found == group.decades.end() ? "-" : percent(found->second.mape));
    }
    rows.push_back(std::move(cells));
  }
  return table(rows);
}

std::string excess_line(const Evaluation& evaluation, bool large) {
  const auto counts = [&](const GroupErrors& group) {
    return (large ? group.large : group.small).rows > 0;
  };
  if (std::ranges::none_of(evaluation.groups, counts)) return {};
  std::string line = fmt::format("macro-average of max(0, MAPE - floor) {}: {} points",
                                 large ? "from 1 MiB" : "below 1 MiB",
                                 percent(macro_excess(evaluation, large, false)));
  if (evaluation.has_left_out)
    line += fmt::format("; {} with each group left out of the fit",
                        percent(macro_excess(evaluation, large, true)));
  return line + "\n";
}

std::string counts_text(const std::map<std::string, std::size_t>& counts) {
  std::string text;
  for (const auto& [what, rows] : counts)
    text += fmt::format("{}{} ({})", text.empty() ? "" : ", ", what, rows);
  return text;
}

std::string constants_table(const Evaluation& evaluation, const Calibration& calibration) {
  Table rows{{"constant of", "parameter", "value", "error", "unit", "n"}};
  for (const CalibrationEntry* entry : constants_in(evaluation, calibration))
    rows.push_back({entry->subject, entry->parameter, fmt::format("{:.4g}", entry->value),
                    fmt::format("{:.2g}", entry->standard_error), entry->unit,
                    std::to_string(entry->n)});
  return table(rows);
}

}  // namespace

Json to_json(const Evaluation& evaluation, const std::vector<Measurement>& measurements,
             const Calibration& calibration) {
  Json out;
  out["groups"] = Json::array();
  for (const GroupErrors& group : evaluation.groups)
    out["groups"].push_back(group_json(group, evaluation.has_left_out));
  out["rows"] = Json::array();
  for (const PredictedRow& row : evaluation.rows)
    out["rows"].push_back(
        Json{{"id", measurements[row.measurement].id},
             {"measured_s", row.fit.measured.value},
             {"predicted_s", row.prediction.time.value},
             {"algorithm", collectives::library::to_string(row.prediction.means)},
             {"protocol", collectives::nccl::to_string(row.prediction.protocol)}});
  out["collectives"] = collectives_json(evaluation, calibration);
  return out;
}

std::string to_text(const Evaluation& evaluation, const Calibration& calibration) {
  std::string text = "Errors in per cent of the measured time.\n\nFrom 1 MiB\n";
  text += halves_table(evaluation, true) + "\nBelow 1 MiB\n" + halves_table(evaluation, false);
  text += "\n" + decades_table(evaluation) + "\n";
  text += excess_line(evaluation, true) + excess_line(evaluation, false);
  text += fmt::format("baseline: {:.0f} % of the line rate and {}\n",
                      100 * evaluation.baseline_share, to_string(evaluation.baseline_latency));
  text += fmt::format("{} of {} rows rest on a default", evaluation.rows_on_defaults,
                      evaluation.rows.size());
  if (!evaluation.defaults.empty()) text += ": " + counts_text(evaluation.defaults);
  text += "\n";
  if (!evaluation.skipped.empty()) text += "skipped: " + counts_text(evaluation.skipped) + "\n";
  return text + "\n" + constants_table(evaluation, calibration);
}

}  // namespace railwright::coordinator
