#include <fmt/format.h>

#include <algorithm>

#include "coordinator/emulation/outputs.hpp"

namespace railwright::coordinator {

using workload::OpKind;
using workload::Stream;

const char* name_of(Stream stream) {
  switch (stream) {
    case Stream::compute:
      return "compute";
    case Stream::tensor_comm:
      return "tensor_comm";
    case Stream::data_comm:
      return "data_comm";
    case Stream::pipeline_comm:
      return "pipeline_send";
    case Stream::pipeline_receive:
      return "pipeline_receive";
  }
  return "";
}

std::string exact_seconds(Picoseconds time) {
  constexpr std::int64_t second = 1'000'000'000'000;
  return fmt::format("{}.{:012}", time.count / second, time.count % second);
}

Timeline::Timeline(const EmulationReport& report) : report_(report) {
  const emulator::Plan& plan = report.inputs.plan;
  for (int stage = 0; stage < plan.degrees.pp; ++stage)
    programs_.push_back(workload::stage_program(plan.training, plan.degrees, stage));
}

std::vector<std::int64_t> Timeline::ranks() const {
  std::vector<std::int64_t> ranks;
  for (const emulator::Interval& interval : report_.step.timeline)
    if (ranks.empty() || ranks.back() != interval.rank) ranks.push_back(interval.rank);
  return ranks;
}

int Timeline::stage(std::int64_t rank) const {
  const emulator::Plan& plan = report_.inputs.plan;
  return workload::coordinates_of(rank, plan.degrees, plan.placement.order).pp;
}

std::string Timeline::accelerator(std::int64_t rank) const {
  const emulator::Plan& plan = report_.inputs.plan;
  const topology::Cluster& cluster = report_.inputs.cluster;
  const auto where = emulator::accelerator_of(rank, plan.placement, plan.degrees);
  return cluster.graph.name_of(cluster.vertex_of(where));
}

Timeline::Entry Timeline::entry(const emulator::Interval& interval) const {
  const workload::Program& program = programs_[stage(interval.rank)];
  const workload::Op& op = program.ops[interval.op];
  std::string name;
  if (op.kind == OpKind::compute) name = program.bodies[op.body].name;
  if (op.kind == OpKind::collective)
    name = fmt::format("{} {}", to_string(op.operation), to_string(op.group));
  if (op.kind == OpKind::send) name = fmt::format("send to stage {}", op.peer_stage);
  if (op.kind == OpKind::receive) name = fmt::format("receive from stage {}", op.peer_stage);
  return {interval, op, program.stage, std::move(name)};
}

std::string timeline_csv(const EmulationReport& report) {
  const Timeline timeline(report);
  std::string text =
      "rank,accelerator,stage,stream,kind,op,group,micro_batch,pass,ready_s,start_s,end_s\n";
  constexpr const char* kinds[] = {"compute", "collective", "send", "receive"};
  std::size_t rows = 0;
  for (const emulator::Interval& interval : report.step.timeline) {
    if (rows++ == most_events) break;
    const Timeline::Entry entry = timeline.entry(interval);
    const workload::Op& op = entry.op;
    text += fmt::format(
        "{},{},{},{},{},{},{},{},{},{},{},{}\n", interval.rank, timeline.accelerator(interval.rank),
        entry.stage, name_of(op.stream), kinds[static_cast<int>(op.kind)], entry.name,
        op.kind == OpKind::collective ? to_string(op.group) : "",
        op.micro_batch < 0 ? "" : std::to_string(op.micro_batch),
        op.micro_batch < 0 ? "" : (op.backward ? "backward" : "forward"),
        exact_seconds(interval.ready - Instant{0}), exact_seconds(interval.start - Instant{0}),
        exact_seconds(interval.end - Instant{0}));
  }
  return text;
}

std::string links_csv(const EmulationReport& report) {
  const topology::Graph& graph = report.inputs.cluster.graph;
  const emulator::StepResult& step = report.step;
  std::string text = "class,link,links,bytes,utilization,busy_s,limiting_s,critical_s\n";
  for (std::size_t c = 0; c < graph.classes.size(); ++c)
    if (step.class_bytes[c] > 0)
      text += fmt::format("{},,{},{:.17g},{:.9g},{:.9g},{:.9g},\n", graph.classes[c].name,
                          step.class_used_links[c], step.class_bytes[c],
                          step.class_bytes[c] / step.class_offered_bytes[c],
                          step.class_busy_seconds[c], step.class_limiting_seconds[c]);
  for (const emulator::LinkLoad& load : step.links)
    if (load.bytes > 0)
      text +=
          fmt::format("{},{},1,{:.17g},{:.9g},{:.9g},{:.9g},{}\n", graph.class_of(load.link).name,
                      graph.name_of(load.link), load.bytes, load.utilization, load.busy_seconds,
                      load.limiting_seconds, exact_seconds(load.critical));
  return text;
}

}  // namespace railwright::coordinator
