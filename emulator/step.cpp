#include "emulator/step.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "emulator/step/critical_path.hpp"
#include "emulator/step/engine.hpp"
#include "emulator/step/run.hpp"

namespace railwright::emulator {

using workload::OpKind;

namespace {

Picoseconds length_of(const StepRecord& record) {
  Instant end{0};
  for (const Instant at : record.end) end = std::max(end, at);
  return end - Instant{0};
}

double fraction(double part, double whole) { return whole > 0 ? part / whole : 0; }

std::map<topology::LinkId, std::int64_t> limiting_times(const StepRecord& record,
                                                        const Network& network) {
  std::map<topology::LinkId, std::int64_t> times;
  for (const Exchange& exchange : record.exchanges) {
    Instant at = exchange.start;
    for (std::size_t p = 0; p < exchange.cost->phases.size(); ++p) {
      at = at + exchange.cost->phases[p].latency;
      const TransferId transfer = record.transfers[exchange.first_transfer + p];
      if (transfer.index < 0) continue;
      for (const Piece& piece : network.pieces(transfer)) {
        times[piece.link] += (piece.end - at).count;
        at = piece.end;
      }
    }
  }
  return times;
}

void report_links(StepResult& result, const topology::Cluster& cluster, const Network& network,
                  const StepRecord& record,
                  const std::map<topology::LinkId, std::int64_t>& critical,
                  std::size_t listed_links) {
  const topology::Graph& graph = cluster.graph;
  auto limiting = limiting_times(record, network);
  for (auto* per_class :
       {&result.class_bytes, &result.class_busy_seconds, &result.class_limiting_seconds})
    per_class->assign(graph.classes.size(), 0);
  for (const topology::LinkId link : network.used_links()) {
    const LinkUse use = network.use_of(link);
    const double limited = in_seconds(Picoseconds{limiting[link]}).value;
    const std::size_t link_class = graph.link_class[link.index];
    result.class_bytes[link_class] += use.bytes;
    result.class_busy_seconds[link_class] += use.busy_seconds;
    result.class_limiting_seconds[link_class] += limited;
    const auto held_back = critical.find(link);
    result.links.push_back({link,
                            use.bytes,
                            fraction(use.bytes, use.offered_bytes),
                            use.busy_seconds,
                            limited,
                            {held_back == critical.end() ? 0 : held_back->second}});
  }
  // used_links() ascends, so equals stay in the order of their ids.
  std::stable_sort(
      result.links.begin(), result.links.end(), [](const LinkLoad& a, const LinkLoad& b) {
        return std::pair(a.critical, a.utilization) > std::pair(b.critical, b.utilization);
      });
  if (result.links.size() > listed_links) result.links.resize(listed_links);
}

// One entry per collective of every group, seen by the group's first rank.
template <class Visit>
void for_each_collective(const Layout& layout, Visit visit) {
  for (int d = 0; d < dimension_count; ++d) {
    const GroupTable& groups = layout.groups(static_cast<workload::Dimension>(d));
    for (std::int64_t group = 0; group < groups.count; ++group) {
      const std::int64_t rank = groups.first(group);
      for (const int op : layout.of_rank(rank).collectives[d]) visit(rank, op);
    }
  }
}

using OnCollective = std::function<void(const CollectiveUse&, Picoseconds)>;

void report_collectives(StepResult& result, const StepRecord& record, const Layout& layout,
                        const StepCosts& costs, const OnCollective& on_collective) {
  result.collectives = costs.uses();
  for_each_collective(layout, [&](std::int64_t rank, int op) {
    const Exchange& exchange = record.exchanges[layout.exchange(rank, op)];
    const Picoseconds time = record.end[layout.instance(rank, op)] - exchange.start;
    CollectiveUse& use = result.collectives[exchange.cost->use];
    ++use.count;
    use.total += in_seconds(time);
    use.expected += exchange.cost->expected;
    if (on_collective) on_collective(use, time);
  });
}

Instant start_of(std::int64_t rank, int op, const StepRecord& record, const Layout& layout) {
  const Instant ready = record.ready[layout.instance(rank, op)];
  switch (layout.op(rank, op).kind) {
    case OpKind::collective:
    case OpKind::send:
      return record.exchanges[layout.exchange(rank, op)].start;
    case OpKind::receive: {
      const int send = layout.of_rank(rank).peer_op[op];
      return std::max(ready,
                      record.exchanges[layout.exchange(layout.peer_of(rank, op), send)].start);
    }
    case OpKind::compute:
      break;
  }
  return ready;
}

std::vector<Interval> timeline_of(const StepRecord& record, const Layout& layout) {
  std::vector<Interval> timeline;
  timeline.reserve(record.end.size());
  for (std::int64_t rank = 0; rank < layout.ranks(); ++rank)
    for (int op = 0; op < layout.of_rank(rank).ops(); ++op) {
      const std::int64_t instance = layout.instance(rank, op);
      timeline.push_back({rank, op, record.ready[instance], start_of(rank, op, record, layout),
                          record.end[instance]});
    }
  return timeline;
}

// FLOP/s of all ranks at the data sheet's rate.
double peak_of(const Plan& plan, const topology::Cluster& cluster) {
  std::vector<std::int64_t> count(cluster.spec.accelerator_kinds.size(), 0);
  for (std::int64_t rank = 0; rank < plan.degrees.world(); ++rank) {
    const auto where = accelerator_of(rank, plan.placement, plan.degrees);
    ++count[cluster.spec.nodes[cluster.group_of(where)].accelerator_kind];
  }
  double sum = 0;
  for (std::size_t kind = 0; kind < count.size(); ++kind)
    sum += static_cast<double>(count[kind]) *
           workload::peak_rate(cluster.spec.accelerator_kinds[kind], plan.training.precision)
               .per_second;
  return sum;
}

double mfu_of(const Plan& plan, const topology::Cluster& cluster, Picoseconds step) {
  const double flops = model_flops_per_step(plan.training).count;
  return fraction(flops, peak_of(plan, cluster) * in_seconds(step).value);
}

// What real software adds to the time at peak needs room below the end of event time.
bool beyond_event_time(const Plan& plan, const topology::Cluster& cluster,
                       const StepFaults& faults) {
  const Seconds end_of_time = in_seconds(Picoseconds{INT64_MAX});
  const double at_peak =
      fraction(model_flops_per_step(plan.training).count, peak_of(plan, cluster));
  std::map<topology::AcceleratorId, double> speed;
  double slowest = 1;
  for (const Slowdown& slow : faults.accelerators)
    slowest = std::min(slowest, speed.emplace(slow.accelerator, 1.0).first->second *= slow.factor);
  return at_peak > 0.2 * slowest * end_of_time.value;
}

Errors too_long() {
  return {{{},
           "a step takes weeks; event time ends after 106 days",
           "use more accelerators, a smaller global batch, or milder faults"}};
}

std::int64_t ops_of_all_stages(workload::Training training, const workload::Degrees& degrees,
                               std::int64_t micro_batches) {
  training.global_batch = micro_batches * degrees.micro_batch * degrees.dp;
  std::int64_t ops = 0;
  for (int stage = 0; stage < degrees.pp; ++stage)
    ops += static_cast<std::int64_t>(stage_program(training, degrees, stage).ops.size());
  return ops;
}

// Each micro-batch adds the same ops, so that two short steps tell the size of a long one before
// its programs fill the memory.
Errors check_size(const Plan& plan) {
  const std::int64_t micro_batches = workload::micro_batches(plan.training, plan.degrees);
  const std::int64_t one = ops_of_all_stages(plan.training, plan.degrees, 1);
  const std::int64_t two = ops_of_all_stages(plan.training, plan.degrees, 2);
  const std::int64_t ops = one + (micro_batches - 1) * (two - one);
  const std::int64_t ranks = plan.degrees.world();
  return size_refused(ranks, ops, ranks / plan.degrees.pp * ops);
}

Errors check_fit(const topology::Cluster& cluster, const Plan& plan, const StepFaults& faults) {
  Errors errors;
  for (const std::string& rule : violations(plan.training, plan.degrees))
    errors.push_back({{}, rule, {}});
  for (std::int64_t rank = 0; errors.empty() && rank < plan.degrees.world(); ++rank) {
    const int index = accelerator_of(rank, plan.placement, plan.degrees).index;
    if (index >= cluster.accelerators())
      errors.push_back({{},
                        fmt::format("the plan puts rank {} on accelerator {}; the cluster has {}",
                                    rank, index, cluster.accelerators()),
                        {}});
  }
  if (errors.empty()) errors = check_size(plan);
  if (errors.empty() && beyond_event_time(plan, cluster, faults)) return too_long();
  return errors;
}

}  // namespace

Result<StepResult> run_programs(const topology::Cluster& cluster, const Plan& plan,
                                std::vector<workload::Program> programs,
                                const topology::Calibration& calibration,
                                const StepOptions& options) {
  const Result<Layout> layout = Layout::make(plan, std::move(programs));
  if (!layout) return tl::unexpected<Errors>(layout.error());
  StepCosts costs(cluster, plan, *layout, calibration, options.faults);
  Network network(cluster.graph, calibration);
  const StepRecord record =
      StepEngine(*layout, costs, network, options.faults).run(options.progress);
  if (record.outlasts_time) return tl::unexpected<Errors>(too_long());

  StepResult result;
  result.step_time = length_of(record);
  result.mfu = mfu_of(plan, cluster, result.step_time);
  CriticalPath path = critical_path(record, *layout, costs, network, cluster.graph);
  result.blame = std::move(path.blame);
  network.advance_to(Instant{} + result.step_time);  // what links could carry counts to the end
  report_links(result, cluster, network, record, path.limits, options.listed_links);
  report_collectives(result, record, *layout, costs, options.on_collective);
  result.rank_wait = record.rank_wait;
  result.events = record.events;
  result.ranks = layout->ranks();
  if (options.keep_timeline) result.timeline = timeline_of(record, *layout);
  return result;
}

Result<StepResult> emulate_step(const topology::Cluster& cluster, const Plan& plan,
                                const topology::Calibration& calibration,
                                const StepOptions& options) {
  Errors errors = check_fit(cluster, plan, options.faults);
  if (!errors.empty()) return tl::unexpected<Errors>(std::move(errors));
  std::vector<workload::Program> programs;
  for (int stage = 0; stage < plan.degrees.pp; ++stage)
    programs.push_back(stage_program(plan.training, plan.degrees, stage));
  return run_programs(cluster, plan, std::move(programs), calibration, options);
}

Prediction prediction_of(const StepResult& result, const Plan& plan, const topology::Cluster&) {
  Prediction prediction;
  prediction.step_time = in_seconds(result.step_time);
  prediction.mfu = result.mfu;
  const auto tokens = static_cast<double>(plan.training.global_batch * plan.training.sequence);
  prediction.tokens_per_s_per_accelerator =
      fraction(tokens, prediction.step_time.value * static_cast<double>(result.ranks));
  prediction.peak_memory = peak_memory(plan.training, plan.degrees).total();
  prediction.blame = result.blame;
  return prediction;
}

}  // namespace railwright::emulator
