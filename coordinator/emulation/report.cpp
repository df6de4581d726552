#include "coordinator/emulation/report.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "coordinator/planner/report.hpp"
#include "coordinator/training.hpp"

namespace railwright::coordinator {

using emulator::LinkLoad;
using emulator::StepResult;

namespace {

constexpr std::size_t links_in_json = 64, links_in_text = 8;

std::string links_table(const EmulationReport& report) {
  const topology::Graph& graph = report.inputs.cluster.graph;
  std::vector<std::vector<std::string>> rows = {
      {"link", "class", "utilization", "busy", "holds back"}};
  for (const LinkLoad& load : report.step.links) {
    if (rows.size() > links_in_text) break;
    rows.push_back({graph.name_of(load.link), graph.class_of(load.link).name,
                    fmt::format("{:.1f}%", 100 * load.utilization),
                    to_string(seconds(load.busy_seconds)), to_string(in_seconds(load.critical))});
  }
  return table(rows);
}

std::string sensitivities_table(const StepResult& step) {
  std::vector<std::vector<std::string>> rows = {{"10 % more", "step", "gain"}};
  for (const emulator::Sensitivity& entry : step.sensitivities)
    rows.push_back({entry.what, to_string(in_seconds(entry.step_time)),
                    fmt::format("{:.2f}%", 100 * gain_of(entry, step))});
  return table(rows);
}

std::string heading(const EmulationReport& report) {
  const emulator::Plan& plan = report.inputs.plan;
  const auto prediction = emulator::prediction_of(report.step, plan, report.inputs.cluster);
  return fmt::format(
      "{} on {}, {} ranks: {}\n"
      "global batch {} x {} tokens\n\n"
      "step {} +- {:.0f} %   MFU {:.1f} %   {:.0f} tokens/s per accelerator   memory {} of {}\n",
      plan.training.model.name, plan.cluster.name, report.step.ranks, to_string(plan.degrees),
      plan.training.global_batch, plan.training.sequence,
      to_string(in_seconds(report.step.step_time)), 100 * uncertainty_of(report.inputs),
      100 * prediction.mfu, prediction.tokens_per_s_per_accelerator,
      to_string(prediction.peak_memory), to_string(memory_capacity(report.inputs)));
}

Json links_json(const EmulationReport& report) {
  const topology::Graph& graph = report.inputs.cluster.graph;
  Json links = Json::array();
  for (const LinkLoad& load : report.step.links) {
    if (links.size() == links_in_json) break;
    links.push_back({{"name", graph.name_of(load.link)},
                     {"class", graph.class_of(load.link).name},
                     {"utilization", load.utilization},
                     {"bytes", load.bytes},
                     {"busy_s", load.busy_seconds},
                     {"critical_s", in_seconds(load.critical).value}});
  }
  return links;
}

Json sensitivities_json(const StepResult& step) {
  Json entries = Json::array();
  for (const emulator::Sensitivity& entry : step.sensitivities)
    entries.push_back({{"what", entry.what},
                       {"change", emulator::sensitivity_change},
                       {"step_time_s", in_seconds(entry.step_time).value},
                       {"gain", gain_of(entry, step)}});
  return entries;
}

Json link_classes_json(const EmulationReport& report) {
  const topology::Graph& graph = report.inputs.cluster.graph;
  const StepResult& step = report.step;
  Json classes = Json::array();
  for (std::size_t c = 0; c < graph.classes.size(); ++c) {
    if (step.class_bytes[c] <= 0) continue;
    classes.push_back({{"class", graph.classes[c].name},
                       {"links", step.class_used_links[c]},
                       {"utilization", step.class_bytes[c] / step.class_offered_bytes[c]},
                       {"bytes", step.class_bytes[c]},
                       {"busy_s", step.class_busy_seconds[c]},
                       {"limiting_s", step.class_limiting_seconds[c]}});
  }
  return classes;
}

Json collectives_json(const StepResult& step) {
  Json uses = Json::array();
  for (const emulator::CollectiveUse& use : step.collectives)
    uses.push_back({{"group", to_string(use.group)},
                    {"op", to_string(use.operation)},
                    {"algorithm", to_string(use.algorithm)},
                    {"bytes", use.size.count},
                    {"count", use.count},
                    {"time_s", use.total.value},
                    {"expected_s", use.expected.value}});
  return uses;
}

}  // namespace

std::string blame_table(const emulator::StepResult& step) {
  std::vector<std::vector<std::string>> rows = {{"cause", "time", "share", ""}};
  const std::vector<int> shares = per_mille(step.blame);
  for (std::size_t i = 0; i < step.blame.size(); ++i)
    rows.push_back({step.blame[i].cause, to_string(in_seconds(step.blame[i].time)),
                    fmt::format("{}.{}%", shares[i] / 10, shares[i] % 10),
                    std::string(static_cast<std::size_t>((shares[i] + 12) / 25), '#')});
  rows.push_back({"step", to_string(in_seconds(step.step_time)), "100.0%", ""});
  return table(rows);
}

double gain_of(const emulator::Sensitivity& entry, const emulator::StepResult& step) {
  return 1 - in_seconds(entry.step_time) / in_seconds(step.step_time);
}

std::vector<int> per_mille(const emulator::Blame& blame) {
  emulator::BlameBuilder builder;
  std::vector<std::pair<std::string, Seconds>> parts;
  for (const auto& entry : blame) parts.push_back({entry.cause, in_seconds(entry.time)});
  builder.add_split(parts, {parts.empty() ? 0 : 1000});
  std::map<std::string, int> shares;
  for (const auto& entry : builder.build())
    shares[entry.cause] = static_cast<int>(entry.time.count);
  std::vector<int> in_order;
  for (const auto& entry : blame) in_order.push_back(shares[entry.cause]);
  return in_order;
}

Json emulation_json(const EmulationReport& report) {
  const auto prediction =
      emulator::prediction_of(report.step, report.inputs.plan, report.inputs.cluster);
  Json document = {{"step_time_s", prediction.step_time.value},
                   {"uncertainty", uncertainty_of(report.inputs)},
                   {"mfu", prediction.mfu},
                   {"tokens_per_s_per_accelerator", prediction.tokens_per_s_per_accelerator},
                   {"peak_memory_bytes", prediction.peak_memory.count},
                   {"steps", report.steps},
                   {"virtual_time_s", in_seconds(report.virtual_time - Instant{0}).value},
                   {"blame", blame_json(report.step.blame)},
                   {"links", links_json(report)},
                   {"link_classes", link_classes_json(report)},
                   {"collectives", collectives_json(report.step)},
                   {"events", report.step.events},
                   {"ranks", report.step.ranks},
                   {"classes", report.step.classes},
                   {"wall_s", report.wall_s},
                   {"peak_rss_bytes", Stopwatch::peak_rss_bytes()}};
  if (!report.step.sensitivities.empty())
    document["sensitivities"] = sensitivities_json(report.step);
  return document;
}

std::string emulation_text(const EmulationReport& report) {
  std::string text = heading(report) + "\nwhere the time goes\n" + blame_table(report.step);
  if (!report.step.sensitivities.empty())
    text +=
        "\nwhat a tenth more would give, all else being equal\n" + sensitivities_table(report.step);
  if (!report.step.links.empty())
    text +=
        "\nlinks, by the time that they hold the step back, then by load\n" + links_table(report);
  if (report.steps > 1)
    text += fmt::format("\n{} steps in {} of virtual time; the figures are of the last one\n",
                        report.steps, to_string(in_seconds(report.virtual_time - Instant{0})));
  return text + fmt::format("\nemulated {} events in {}\n", report.step.events,
                            to_string(seconds(report.wall_s)));
}

}  // namespace railwright::coordinator
