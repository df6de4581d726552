#include "coordinator/planner/price.hpp"

#include <algorithm>
#include <cassert>
#include <limits>
#include <map>

#include "coordinator/planner/bound.hpp"
#include "emulator/step.hpp"

namespace railwright::coordinator {

namespace {

using workload::Degrees;

Bytes message_to_next(const workload::Program& program) {
  for (const workload::Op& op : program.ops)
    if (op.kind == workload::OpKind::send && op.micro_batch >= 0) return op.bytes;
  return {};
}

}  // namespace

StepPricer::StepPricer(const topology::Cluster& cluster, const workload::Training& training,
                       const topology::Calibration& calibration, std::shared_ptr<GroupLines> groups)
    : cluster_(cluster),
      training_(training),
      calibration_(calibration),
      lines_(groups ? std::move(groups) : std::make_shared<GroupLines>(cluster, calibration)),
      times_(cluster, training, calibration),
      exchanges_(cluster, lines_),
      groups_(cluster) {}

const CauseSeconds& StepPricer::slowest(workload::Operation operation, Bytes size,
                                        const std::vector<GroupPlace>& places) {
  const CauseSeconds* slowest = nullptr;
  for (const GroupPlace& place : places) {
    const CauseSeconds& price = exchanges_.price(operation, size, place);
    if (slowest == nullptr || price.total() > slowest->total()) slowest = &price;
  }
  assert(slowest != nullptr);
  return *slowest;
}

const CauseSeconds* StepPricer::cost_of_exchange(const workload::Op& op, const Placed& placed,
                                                 int stage) {
  if (op.kind == workload::OpKind::collective)
    return &slowest(op.operation, op.bytes, groups_.distinct(op.group, placed, stage));
  // Once per step: the two ends of the pipeline exchange a tied embedding.
  const bool tied = op.kind == workload::OpKind::send && op.micro_batch < 0;
  if (!tied) return nullptr;
  return &exchanges_.price(
      op.operation, op.bytes,
      {0, static_cast<int>(first_rank(placed, placed.degrees.pp - 1)), 2, placed.axes});
}

Walk StepPricer::walk(const workload::Program& program, const std::vector<CauseSeconds>& bodies,
                      const Placed& placed, int stage) {
  // Of the thousands of exchanges of a program few differ.
  std::vector<std::pair<const workload::Op*, const CauseSeconds*>> known;
  const auto cost_of = [&](const workload::Op& op) {
    if (op.kind == workload::OpKind::compute) return &bodies[static_cast<std::size_t>(op.body)];
    if (op.kind != workload::OpKind::collective) return cost_of_exchange(op, placed, stage);
    for (const auto& [other, cost] : known)
      if (other->bytes == op.bytes && other->operation == op.operation && other->group == op.group)
        return cost;
    known.emplace_back(&op, cost_of_exchange(op, placed, stage));
    return known.back().second;
  };
  std::vector<const CauseSeconds*> cost;
  cost.reserve(program.ops.size());
  for (const workload::Op& op : program.ops) cost.push_back(cost_of(op));
  return walk_program(program, cost, cluster_.graph.classes.size());
}

// Under ZeRO-2 and 3 the exchanges of one micro-batch run into the next one, or lag behind it: each
// costs what a second one adds to the whole, its own compute at least. What the first one takes
// more or less than that comes once per step.
void StepPricer::let_follow(Walk& one, double compute, const std::vector<CauseSeconds>& bodies,
                            const Placed& placed, int stage) {
  const Degrees& degrees = placed.degrees;
  workload::Training training = workload::shortest(training_, degrees);
  training.global_batch *= 2;
  const workload::Program program = workload::stage_program(training, degrees, stage);
  assert(program.bodies.size() == bodies.size());  // what is computed, how often it may be
  const Walk two = walk(program, bodies, placed, stage);
  const auto until_meeting = [](const Walk& walk) {
    return walk.forward + walk.backward + walk.before_meeting;
  };
  const double first = until_meeting(one);
  const double further = std::max(until_meeting(two) - first, compute);
  const double scale = further / (one.forward + one.backward);
  one.forward *= scale;
  one.backward *= scale;
  CauseSeconds scaled(cluster_.graph.classes.size());
  scaled.add(one.micro_batch, scale);
  one.micro_batch = std::move(scaled);
  one.before_meeting = first - further;
}

StepPricer::StageCost StepPricer::cost_of_stage(const Placed& placed, int stage) {
  const Degrees& degrees = placed.degrees;
  const workload::Program program =
      workload::stage_program(workload::shortest(training_, degrees), degrees, stage);
  const auto bodies = times_.of(program, degrees, stage);
  StageCost result{walk(program, bodies, placed, stage),
                   CauseSeconds(cluster_.graph.classes.size())};
  if (degrees.zero_stage >= 2 && workload::micro_batches(training_, degrees) > 1)
    let_follow(result.walk, micro_batch_compute(program, bodies), bodies, placed, stage);
  if (stage + 1 < degrees.pp)
    result.send = exchanges_.price(workload::Operation::send, message_to_next(program),
                                   {static_cast<int>(first_rank(placed, stage)),
                                    static_cast<int>(first_rank(placed, 1)), 2, placed.axes});
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

StepPrice StepPricer::price(const Placed& placed) {
  const Degrees& degrees = placed.degrees;
  assert(workload::violations(training_, degrees).empty());
  const bool plain = degrees.schedule == workload::PipelineSchedule::one_forward_one_backward;
  // Copies that sum their shards delay the gathers of the last backward, stage after stage.
  const bool copies = degrees.zero_stage >= 2 && degrees.shard > 0 && degrees.pp > 1;
  return plain && degrees.vpp == 1 && !copies ? closed_form(placed) : emulated(placed);
}

StepPrice StepPricer::emulated(const Placed& placed, const emulator::StepOptions& options) const {
  const topology::Graph& graph = cluster_.graph;
  StepPrice price{
      {std::numeric_limits<double>::infinity()}, CauseSeconds(graph.classes.size()), false, {}};
  const auto plan =
      emulator::make_plan_in_order(placed.order, cluster_, training_, placed.degrees, calibration_,
                                   0, schedules_of(lines_), placed.axes);
  const auto step = plan ? emulator::emulate_step(cluster_, *plan, calibration_, options)
                         : Result<emulator::StepResult>(tl::unexpected<Errors>(plan.error()));
  if (!step) {
    price.refused = step.error();
    return price;
  }
  price.emulated = true;
  price.step = in_seconds(step->step_time);
  for (const emulator::BlameEntry& entry : step->blame)
    price.causes.add(entry.cause, in_seconds(entry.time), graph);
  return price;
}

StepPrice StepPricer::closed_form(const Placed& placed) {
  const Degrees& degrees = placed.degrees;
  std::map<StageKind, StageCost> costs;
  std::vector<const StageCost*> stages;
  std::vector<StageTime> times;
  for (int stage = 0; stage < degrees.pp; ++stage) {
    const StageKind kind = kind_of_stage(cluster_, training_.model, placed, stage);
    if (!costs.contains(kind)) costs.emplace(kind, cost_of_stage(placed, stage));
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
  StepPrice price{{meeting(latest) + stages[longest]->walk.after_meeting},
                  busiest_stage(stages, count),
                  false,
                  {}};
  price.causes.add(stages[latest]->walk.before_causes);
  price.causes.add(stages[longest]->walk.after_causes);
  // What is left is waiting for other stages.
  price.causes.of(Cause::pipeline_bubble) += std::max(0.0, price.step.value - price.causes.total());
  return price;
}

emulator::BestSchedule schedules_of(std::shared_ptr<GroupLines> groups) {
  return [groups = std::move(groups)](workload::Operation operation, Bytes size,
                                      const std::vector<topology::AcceleratorId>& members,
                                      const topology::Router& router) {
    return groups->best(operation, size, members, router);
  };
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
