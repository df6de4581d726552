#include "coordinator/planner/price.hpp"

#include <algorithm>
#include <cassert>
#include <limits>
#include <map>

#include "coordinator/planner/memory_gate.hpp"
#include "emulator/step.hpp"
#include "workload/layer.hpp"

namespace railwright::coordinator {

namespace {

using workload::Degrees;
using workload::Dimension;

int ranks_per_stage(const Degrees& degrees) {
  return static_cast<int>(degrees.world() / degrees.pp);
}

// What tells stages apart: ends of the pipeline have more work, mixed clusters differ by place.
struct StageKind {
  bool first = false, last = false;
  int first_group = 0, last_group = 0;  // node groups at both ends of the stage
  std::int64_t layers = 0, expert_layers = 0;
  auto operator<=>(const StageKind&) const = default;
};

StageKind kind_of_stage(const topology::Cluster& cluster, const workload::Model& model,
                        const Degrees& degrees, int stage) {
  const int ranks = ranks_per_stage(degrees);
  return {stage == 0,
          stage == degrees.pp - 1,
          cluster.group_of({stage * ranks}),
          cluster.group_of({(stage + 1) * ranks - 1}),
          stage_layers(model, degrees, stage),
          expert_layers(model, degrees, stage)};
}

Bytes message_to_next(const workload::Program& program) {
  for (const workload::Op& op : program.ops)
    if (op.kind == workload::OpKind::send && op.micro_batch >= 0) return op.bytes;
  return {};
}

}  // namespace

StepPricer::StepPricer(const topology::Cluster& cluster, const workload::Training& training,
                       const topology::Calibration& calibration)
    : cluster_(cluster),
      training_(training),
      calibration_(calibration),
      exchanges_(cluster, calibration) {}

std::vector<CauseSeconds> StepPricer::body_times(const workload::Program& program,
                                                 const Degrees& degrees, int stage) {
  const auto kinds = kinds_under(cluster_, degrees, stage);
  std::vector<CauseSeconds> times;  // of the slowest kind: it sets the pace
  for (const workload::Body& body : program.bodies) {
    CauseSeconds slowest(cluster_.graph.classes.size());
    for (const auto* kind : kinds) {
      CauseSeconds time(cluster_.graph.classes.size());
      time.add(workload::compute_time(body.kernels, *kind, training_.precision, calibration_));
      if (time.total() > slowest.total()) slowest = std::move(time);
    }
    times.push_back(std::move(slowest));
  }
  return times;
}

int StepPricer::crossings(int first, int count) const {
  int crossed = 0;
  for (int i = 1; i < count; ++i)
    crossed += cluster_.node_of({first + i}) != cluster_.node_of({first + i - 1}) ? 1 : 0;
  return crossed;
}

// Groups that straddle nodes are the slow ones; a pattern repeats within few groups.
GroupPlace StepPricer::slowest_tensor_group(const Degrees& degrees, int stage) const {
  constexpr int groups_looked_at = 64;
  const int ranks = ranks_per_stage(degrees);
  GroupPlace worst{stage * ranks, 1, degrees.tp};
  int most = -1;
  for (int g = 0; g < std::min(ranks / degrees.tp, groups_looked_at); ++g) {
    const int first = stage * ranks + g * degrees.tp;
    const int crossed = crossings(first, degrees.tp);
    if (crossed > most) worst.first = first;
    most = std::max(most, crossed);
  }
  return worst;
}

StepPricer::StagePlaces StepPricer::places_of(const Degrees& degrees, int stage) const {
  const int ranks = ranks_per_stage(degrees);
  StagePlaces places;
  for (int d = 0; d < workload::dimension_count; ++d) {
    const auto group = static_cast<Dimension>(d);
    places.groups[static_cast<std::size_t>(d)] = {
        stage * ranks, static_cast<int>(stride_of(group, degrees)), degree_of(degrees, group)};
  }
  places.of(Dimension::tp) = slowest_tensor_group(degrees, stage);
  places.of(Dimension::pp).first = 0;
  places.ends = {0, (degrees.pp - 1) * ranks, 2};
  return places;
}

const CauseSeconds* StepPricer::cost_of_op(const workload::Op& op, StagePlaces& places,
                                           const std::vector<CauseSeconds>& bodies) {
  switch (op.kind) {
    case workload::OpKind::compute:
      return &bodies[static_cast<std::size_t>(op.body)];
    case workload::OpKind::collective:
      return &exchanges_.price(op.operation, op.bytes, places.of(op.group));
    case workload::OpKind::send:
      // Once per step: the two ends of the pipeline exchange a tied embedding.
      if (op.micro_batch >= 0) return nullptr;
      return &exchanges_.price(op.operation, op.bytes, places.ends);
    case workload::OpKind::receive:
      return nullptr;
  }
  return nullptr;
}

Walk StepPricer::walk(const workload::Program& program, const Degrees& degrees, int stage) {
  const std::vector<CauseSeconds> bodies = body_times(program, degrees, stage);
  StagePlaces places = places_of(degrees, stage);
  std::vector<const CauseSeconds*> cost;
  for (const workload::Op& op : program.ops) cost.push_back(cost_of_op(op, places, bodies));
  return walk_program(program, cost, cluster_.graph.classes.size());
}

// Under ZeRO-2 and 3 the exchanges of one micro-batch run into the next one, or lag behind it: each
// costs what a second one adds to the whole. What the first one takes more or less than that comes
// once per step.
void StepPricer::let_follow(Walk& one, const Degrees& degrees, int stage) {
  workload::Training training = workload::shortest(training_, degrees);
  training.global_batch *= 2;
  const Walk two = walk(workload::stage_program(training, degrees, stage), degrees, stage);
  const auto until_meeting = [](const Walk& walk) {
    return walk.forward + walk.backward + walk.before_meeting;
  };
  const double first = until_meeting(one);
  const double further = until_meeting(two) - first;
  const double scale = further / (one.forward + one.backward);
  one.forward *= scale;
  one.backward *= scale;
  CauseSeconds scaled(cluster_.graph.classes.size());
  scaled.add(one.micro_batch, scale);
  one.micro_batch = std::move(scaled);
  one.before_meeting = first - further;
}

StepPricer::StageCost StepPricer::cost_of_stage(const Degrees& degrees, int stage) {
  const workload::Program program =
      workload::stage_program(workload::shortest(training_, degrees), degrees, stage);
  StageCost result{walk(program, degrees, stage), CauseSeconds(cluster_.graph.classes.size())};
  if (degrees.zero_stage >= 2 && workload::micro_batches(training_, degrees) > 1)
    let_follow(result.walk, degrees, stage);
  const int ranks = ranks_per_stage(degrees);
  if (stage + 1 < degrees.pp)
    result.send = exchanges_.price(workload::Operation::send, message_to_next(program),
                                   {stage * ranks, ranks, 2});
  return result;
}

// The busiest stage keeps its causes, with the sends over both of its borders.
CauseSeconds StepPricer::busiest_stage(const std::vector<const StageCost*>& stages,
                                       std::int64_t micro_batches) const {
  CauseSeconds busiest(cluster_.graph.classes.size());
  for (std::size_t i = 0; i < stages.size(); ++i) {
    CauseSeconds causes = stages[i]->walk.micro_batch;
    causes.add(stages[i]->send);
    if (i > 0) causes.add(stages[i - 1]->send);
    if (causes.total() > busiest.total()) busiest = std::move(causes);
  }
  CauseSeconds all(cluster_.graph.classes.size());
  all.add(busiest, static_cast<double>(micro_batches));
  return all;
}

StepPrice StepPricer::price(const Degrees& degrees) {
  assert(workload::violations(training_, degrees).empty());
  const bool plain = degrees.schedule == workload::PipelineSchedule::one_forward_one_backward;
  // Copies that sum their shards delay the gathers of the last backward, stage after stage.
  const bool copies = degrees.zero_stage >= 2 && degrees.shard > 0 && degrees.pp > 1;
  return plain && degrees.vpp == 1 && !copies ? closed_form(degrees) : emulated(degrees);
}

StepPrice StepPricer::emulated(const Degrees& degrees) const {
  const topology::Graph& graph = cluster_.graph;
  StepPrice price{
      {std::numeric_limits<double>::infinity()}, CauseSeconds(graph.classes.size()), {}};
  const auto plan = emulator::make_plan(cluster_, training_, degrees, calibration_);
  const auto step = plan ? emulator::emulate_step(cluster_, *plan, calibration_)
                         : Result<emulator::StepResult>(tl::unexpected<Errors>(plan.error()));
  if (!step) {
    price.refused = step.error();
    return price;
  }
  price.step = in_seconds(step->step_time);
  for (const emulator::BlameEntry& entry : step->blame)
    price.causes.add(entry.cause, in_seconds(entry.time), graph);
  return price;
}

StepPrice StepPricer::closed_form(const Degrees& degrees) {
  std::map<StageKind, StageCost> costs;
  std::vector<const StageCost*> stages;
  std::vector<StageTime> times;
  for (int stage = 0; stage < degrees.pp; ++stage) {
    const StageKind kind = kind_of_stage(cluster_, training_.model, degrees, stage);
    if (!costs.contains(kind)) costs.emplace(kind, cost_of_stage(degrees, stage));
    stages.push_back(&costs.at(kind));
    times.push_back(stages.back()->time());
  }
  const std::int64_t count = workload::micro_batches(training_, degrees);
  const std::vector<double> ends = last_backward_ends(times, count);
  std::size_t latest = 0, longest = 0;  // until the meeting, after it
  const auto meeting = [&](std::size_t i) { return ends[i] + stages[i]->walk.before_meeting; };
  for (std::size_t i = 1; i < stages.size(); ++i) {
    if (meeting(i) > meeting(latest)) latest = i;
    if (stages[i]->walk.after_meeting > stages[longest]->walk.after_meeting) longest = i;
  }
  StepPrice price{
      {meeting(latest) + stages[longest]->walk.after_meeting}, busiest_stage(stages, count), {}};
  price.causes.add(stages[latest]->walk.before_causes);
  price.causes.add(stages[longest]->walk.after_causes);
  // What is left is waiting for other stages.
  price.causes.of(Cause::pipeline_bubble) += std::max(0.0, price.step.value - price.causes.total());
  return price;
}

emulator::Blame blame_of(const StepPrice& price, const topology::Graph& graph) {
  emulator::BlameBuilder builder;
  builder.add_split(price.causes.named(graph), ceil_picoseconds(price.step));
  return builder.build();
}

emulator::Prediction prediction_of(const StepPrice& price, const workload::Training& training,
                                   const Degrees& degrees, const topology::Cluster& cluster) {
  emulator::Prediction prediction;
  prediction.step_time = in_seconds(ceil_picoseconds(price.step));
  const double step = prediction.step_time.value;
  double peak = 0;
  for (std::size_t group = 0; group < cluster.spec.nodes.size(); ++group) {
    const auto& kind = cluster.spec.accelerator_kinds[static_cast<std::size_t>(
        cluster.spec.nodes[group].accelerator_kind)];
    const std::int64_t used =
        std::min<std::int64_t>(cluster.first_accelerator[group + 1], degrees.world()) -
        cluster.first_accelerator[group];
    if (used > 0)
      peak += static_cast<double>(used) * workload::peak_rate(kind, training.precision).per_second;
  }
  if (peak > 0) prediction.mfu = workload::model_flops_per_step(training).count / (step * peak);
  prediction.tokens_per_s_per_accelerator =
      static_cast<double>(training.global_batch * training.sequence) /
      (step * static_cast<double>(degrees.world()));
  prediction.peak_memory = workload::peak_memory(training, degrees).total();
  prediction.blame = blame_of(price, cluster.graph);
  return prediction;
}

}  // namespace railwright::coordinator
