#include "coordinator/planner/report.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "coordinator/planner/reasons.hpp"
#include "coordinator/planner/variants.hpp"

namespace railwright::coordinator {

namespace {

using workload::Degrees;

// "linear" in the default order, else the order; exceptions are counted.
std::string placement_word(const emulator::Placement& placement, const Degrees& degrees) {
  const auto linear =
      emulator::identity_placement(degrees, workload::default_order, placement.first_accelerator);
  if (placement == linear) return "linear";
  if (placement.exceptions.empty()) return in_words({degrees, placement.order, placement.axes});
  return fmt::format("strided, {} exceptions", placement.exceptions.size());
}

// What the columns do not show, in the words of --fix.
std::string other_degrees(const Degrees& d) {
  std::vector<std::string> words;
  if (d.vpp > 1) words.push_back(fmt::format("vpp={}", d.vpp));
  if (d.schedule != workload::PipelineSchedule::one_forward_one_backward)
    words.push_back(workload::to_string(d.schedule));
  if (d.cp > 1) words.push_back(fmt::format("cp={}", d.cp));
  if (d.cp > 1 && d.context != workload::ContextExchange::ring)
    words.push_back(workload::to_string(d.context));
  if (d.ep > 1) words.push_back(fmt::format("ep={}", d.ep));
  if (d.etp > 1) words.push_back(fmt::format("etp={}", d.etp));
  if (d.shard > 0) words.push_back(fmt::format("shard={}", d.shard));
  if (!d.layers.empty()) words.push_back(fmt::format("layers={}", fmt::join(d.layers, ":")));
  return fmt::format("{}", fmt::join(words, " "));
}

Json candidate_json(const Candidate& candidate) {
  const Degrees& d = candidate.plan.degrees;
  const emulator::Prediction& p = candidate.plan.prediction;
  Json json = {{"tp", d.tp},
               {"pp", d.pp},
               {"vpp", d.vpp},
               {"cp", d.cp},
               {"ep", d.ep},
               {"etp", d.etp},
               {"dp", d.dp},
               {"zero_stage", d.zero_stage},
               {"shard", d.zero_stage == 0 ? 1 : d.shard_ranks()},
               {"sequence_parallel", d.sequence_parallel},
               {"micro_batch", d.micro_batch},
               {"recompute", workload::to_string(d.recompute)},
               {"schedule", workload::to_string(d.schedule)},
               {"placement", placement_word(candidate.plan.placement, d)},
               {"step_time_s", p.step_time.value},
               {"mfu", p.mfu},
               {"tokens_per_s_per_accelerator", p.tokens_per_s_per_accelerator},
               {"peak_memory_bytes", p.peak_memory.count},
               {"energy_j", candidate.energy.value},
               {"cost_usd", candidate.cost.value},
               {"blame", blame_json(p.blame)}};
  const workload::Training& training = candidate.plan.training;
  const auto tokens = static_cast<double>(training.global_batch * training.sequence);
  if (candidate.cost.value > 0) json["tokens_per_dollar"] = tokens / candidate.cost.value;
  if (candidate.energy.value > 0) json["tokens_per_joule"] = tokens / candidate.energy.value;
  json["emulated"] = candidate.emulated;
  json["alike"] = candidate.alike;
  if (candidate.linear_step.value > 0) json["placement_gain"] = candidate.linear_step / p.step_time;
  if (d.cp > 1) json["context"] = workload::to_string(d.context);
  if (!d.layers.empty()) json["layers_per_stage"] = d.layers;
  return json;
}

Json pareto_json(const Planning& planning) {
  Json list = Json::array();
  for (const ParetoPoint& point : planning.pareto)
    list.push_back({{"degrees", workload::to_string(point.degrees)},
                    {"placement", point.placement},
                    {"step_time_s", point.step.value},
                    {"peak_memory_bytes", point.memory.count},
                    {"cost_usd", point.cost.value},
                    {"energy_j", point.energy.value}});
  return list;
}

std::string percent_of(Picoseconds part, Picoseconds whole) {
  return fmt::format("{:.0f}%",
                     100 * static_cast<double>(part.count) / static_cast<double>(whole.count));
}

// "tensor_peak 61%, link:rail 12%": what bounds a plan, largest first.
std::string bounds(const emulator::Blame& blame) {
  Picoseconds total;
  for (const auto& entry : blame) total += entry.time;
  std::string out;
  for (std::size_t i = 0; i < std::min<std::size_t>(blame.size(), 3); ++i)
    out += fmt::format("{}{} {}", i == 0 ? "" : ", ", blame[i].cause,
                       percent_of(blame[i].time, total));
  return out;
}

std::vector<std::string> row_of(const std::string& label, const Candidate& candidate) {
  const Degrees& d = candidate.plan.degrees;
  const emulator::Prediction& p = candidate.plan.prediction;
  return {label,
          std::to_string(d.tp),
          std::to_string(d.pp),
          std::to_string(d.dp),
          other_degrees(d),
          std::to_string(d.micro_batch),
          std::to_string(d.zero_stage),
          d.sequence_parallel ? "yes" : "no",
          workload::to_string(d.recompute),
          to_string(p.step_time),
          fmt::format("{:.1f}%", 100 * p.mfu),
          fmt::format("{:.0f}", p.tokens_per_s_per_accelerator),
          fmt::format("{:.1f} GiB", in_gibibytes(p.peak_memory)),
          bounds(p.blame)};
}

std::string gain_line(const Planning& planning) {
  if (!planning.baseline_fits) return "The rule of thumb finds nothing that fits into memory.\n";
  const double ratio = planning.baseline.plan.prediction.step_time.value /
                       planning.candidates.front().plan.prediction.step_time.value;
  return fmt::format("The best plan is {:.2f} x as fast as the rule of thumb.\n", ratio);
}

std::string alike_line(const Planning& planning) {
  std::size_t alike = 0;
  for (const Candidate& candidate : planning.candidates) alike += candidate.alike;
  if (alike == 0) return {};
  return fmt::format(
      "{} more that differ from these in shard, etp, vpp or sequence parallelism alone: --all "
      "--top {}.\n",
      alike, std::min(most_listed, planning.candidates.size() + alike));
}

std::string uncertainty_line(const Planning& planning) {
  return fmt::format("Steps are predicted to +- {:.0f} % (one standard deviation).\n",
                     100 * planning.uncertainty);
}

std::string reasons_text(const Planning& planning) {
  std::string text;
  for (const Reason& reason : planning.reasons)
    text += fmt::format("  {:<9} {}\n", reason.about, reason.text);
  for (const std::string& assumption : planning.assumptions)
    text += fmt::format("  {:<9} {}\n", "assumed", assumption);
  return text.empty() ? "" : "Why:\n" + text;
}

// Plans that no other beats in time, memory and cost at once.
std::string pareto_text(const Planning& planning) {
  if (planning.pareto.size() < 2) return {};
  std::vector<std::vector<std::string>> rows = {{"step", "memory", "$/step", "J/step", "degrees"}};
  for (const ParetoPoint& point : planning.pareto)
    rows.push_back({to_string(point.step), fmt::format("{:.1f} GiB", in_gibibytes(point.memory)),
                    fmt::format("{:.3g}", point.cost.value),
                    fmt::format("{:.3g}", point.energy.value), short_words(point.degrees)});
  return "Pareto front of time, memory and cost:\n" + table(rows);
}

}  // namespace

Json blame_json(const emulator::Blame& blame) {
  Json list = Json::array();
  for (const auto& entry : blame)
    list.push_back({{"cause", entry.cause},
                    {"seconds", in_seconds(entry.time).value},
                    {"picoseconds", entry.time.count}});
  return list;
}

Json planning_json(const Planning& planning, double wall_s) {
  Json plans = Json::array();
  for (const Candidate& candidate : planning.candidates) {
    plans.push_back(candidate_json(candidate));
    plans.back()["uncertainty"] = planning.uncertainty;
  }
  Json document = {{"plans", plans}};
  if (planning.baseline_fits) document["baseline"] = candidate_json(planning.baseline);
  if (!planning.candidates.empty()) {
    document["pareto"] = pareto_json(planning);
    document["reasons"] = Json::array();
    for (const Reason& reason : planning.reasons)
      document["reasons"].push_back({{"about", reason.about}, {"text", reason.text}});
  }
  if (!planning.assumptions.empty()) document["assumptions"] = planning.assumptions;
  document["search"] = planning.pruned ? "pruned" : "exhaustive";
  document["points_total"] = planning.points_total;
  document["points_rejected_memory"] = planning.points_rejected_memory;
  document["points_pruned"] = planning.points_pruned;
  document["points_evaluated"] = planning.points_evaluated;
  document["points_emulated"] = planning.points_emulated;
  if (!planning.infeasible_reason.empty())
    document.update({{"infeasible_reason", planning.infeasible_reason},
                     {"infeasible_hint", planning.infeasible_hint}});
  document["wall_s"] = wall_s;
  return document;
}

std::string planning_text(const Planning& planning, double wall_s) {
  std::vector<std::vector<std::string>> rows = {{"#", "tp", "pp", "dp", "other", "micro_batch",
                                                 "zero", "seq_par", "recompute", "step", "MFU",
                                                 "tokens/s/GPU", "memory", "bounded by"}};
  for (std::size_t i = 0; i < planning.candidates.size(); ++i)
    rows.push_back(row_of(std::to_string(i + 1), planning.candidates[i]));
  rows.push_back(row_of("rule", planning.baseline));
  constexpr std::ptrdiff_t other = 4;
  const bool shows_other = std::any_of(rows.begin() + 1, rows.end(),
                                       [](const auto& row) { return !row[other].empty(); });
  if (!shows_other)
    for (auto& row : rows) row.erase(row.begin() + other);
  return table(rows) + alike_line(planning) + gain_line(planning) + uncertainty_line(planning) +
         reasons_text(planning) + pareto_text(planning) +
         fmt::format(
             "{} points: {} do not fit into memory, {} pruned, {} priced; {} plans emulated; in "
             "{:.2f} s.\n",
             planning.points_total, planning.points_rejected_memory, planning.points_pruned,
             planning.points_evaluated, planning.points_emulated, wall_s);
}

}  // namespace railwright::coordinator
