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

// Whether this actor speaks for the exchange: the source of a send, the first member of a meeting.
bool leads(const Layout& layout, int actor, int op) {
  const workload::Op& what = layout.op(actor, op);
  if (what.kind == OpKind::send) return true;
  return what.kind == OpKind::collective &&
         layout.members(what.group, layout.group_of(actor, what.group)).front() == actor;
}

// Seconds that the links of a class, named by its first one, held transfers back, all in all.
std::map<topology::LinkId, double> limiting_times(const StepRecord& record, const Layout& layout,
                                                  const Network& network) {
  std::map<topology::LinkId, double> times;
  for (int actor = 0; actor < layout.actors(); ++actor)
    for (int op = 0; op < layout.of_actor(actor).ops(); ++op) {
      if (!leads(layout, actor, op)) continue;
      const Exchange& exchange = record.exchanges[layout.exchange(actor, op)];
      const auto copies = static_cast<double>(layout.copies(actor, op));
      Instant at = exchange.start;
      for (std::size_t p = 0; p < exchange.cost->phases.size(); ++p) {
        at = at + exchange.cost->phases[p].latency;
        const TransferId transfer = record.transfers[exchange.first_transfer + p];
        if (transfer.index < 0) continue;
        for (const Piece& piece : network.pieces(transfer)) {
          times[piece.link] += copies * in_seconds(piece.end - at).value;
          at = piece.end;
        }
      }
    }
  return times;
}

// What every link of the class did; only its first one lies on the critical path.
LinkLoad load_of(topology::LinkId first, const LinkUse& use, double limiting_seconds) {
  LinkLoad load;
  load.link = first;
  load.bytes = use.bytes;
  load.utilization = fraction(use.bytes, use.offered_bytes);
  load.busy_seconds = use.busy_seconds;
  load.limiting_seconds = limiting_seconds;
  return load;
}

// Longest on the critical path first, then busiest, then the lowest.
void sort_links(std::vector<LinkLoad>& links) {
  std::sort(links.begin(), links.end(), [](const LinkLoad& a, const LinkLoad& b) {
    const auto weight = [](const LinkLoad& load) {
      return std::pair(load.critical, load.utilization);
    };
    return weight(a) != weight(b) ? weight(a) > weight(b) : a.link < b.link;
  });
}

// The links of all those classes; unfolded, every link is its own.
std::vector<LinkLoad> all_links(const std::vector<LinkLoad>& classes, const Folding& folding) {
  if (folding.link_first.empty()) return classes;
  std::map<int, const LinkLoad*> load_of_class;
  for (const LinkLoad& load : classes) load_of_class[load.link.index] = &load;
  std::vector<LinkLoad> links;
  for (int link = 0; link < static_cast<int>(folding.link_first.size()); ++link) {
    const auto found = load_of_class.find(folding.link_first[link]);
    if (found == load_of_class.end()) continue;
    links.push_back(*found->second);
    if (link != found->first) links.back().critical = {};
    links.back().link = {link};
  }
  return links;
}

void report_links(StepResult& result, const topology::Cluster& cluster, const Network& network,
                  const StepRecord& record, const Layout& layout,
                  const std::map<topology::LinkId, std::int64_t>& critical,
                  std::size_t listed_links) {
  const topology::Graph& graph = cluster.graph;
  auto limiting = limiting_times(record, layout, network);
  for (auto* per_class :
       {&result.class_bytes, &result.class_busy_seconds, &result.class_limiting_seconds})
    per_class->assign(graph.classes.size(), 0);
  for (const topology::LinkId link : network.used_links()) {
    const LinkUse use = network.use_of(link);
    const int count = layout.folding().count_of(link);
    const std::size_t link_class = graph.link_class[link.index];
    result.class_bytes[link_class] += count * use.bytes;
    result.class_busy_seconds[link_class] += count * use.busy_seconds;
    result.class_limiting_seconds[link_class] += limiting[link];
    result.links.push_back(load_of(link, use, limiting[link] / count));
    const auto held_back = critical.find(link);
    if (held_back != critical.end()) result.links.back().critical = {held_back->second};
  }
  sort_links(result.links);
  if (result.links.size() > listed_links) result.links.resize(listed_links);
  result.links = all_links(result.links, layout.folding());
  sort_links(result.links);
  if (result.links.size() > listed_links) result.links.resize(listed_links);
}

using OnCollective =
    std::function<void(const CollectiveUse&, Picoseconds duration, std::int64_t count)>;

void report_collectives(StepResult& result, const StepRecord& record, const Layout& layout,
                        const StepCosts& costs, const OnCollective& on_collective) {
  result.collectives = costs.uses();
  for (int actor = 0; actor < layout.actors(); ++actor)
    for (int op = 0; op < layout.of_actor(actor).ops(); ++op) {
      if (layout.op(actor, op).kind != OpKind::collective || !leads(layout, actor, op)) continue;
      const Exchange& exchange = record.exchanges[layout.exchange(actor, op)];
      const Picoseconds time = record.end[layout.instance(actor, op)] - exchange.start;
      const std::int64_t copies = layout.copies(actor, op);
      CollectiveUse& use = result.collectives[exchange.cost->use];
      use.count += copies;
      use.total += static_cast<double>(copies) * in_seconds(time);
      use.expected += static_cast<double>(copies) * exchange.cost->expected;
      if (on_collective) on_collective(use, time, copies);
    }
}

Instant start_of(int actor, int op, const StepRecord& record, const Layout& layout) {
  const Instant ready = record.ready[layout.instance(actor, op)];
  switch (layout.op(actor, op).kind) {
    case OpKind::collective:
    case OpKind::send:
      return record.exchanges[layout.exchange(actor, op)].start;
    case OpKind::receive: {
      const int send = layout.of_actor(actor).peer_op[op];
      return std::max(ready,
                      record.exchanges[layout.exchange(layout.peer_of(actor, op), send)].start);
    }
    case OpKind::compute:
      break;
  }
  return ready;
}

std::vector<Interval> timeline_of(const StepRecord& record, const Layout& layout) {
  std::vector<Interval> timeline;
  for (std::int64_t rank = 0; rank < layout.ranks(); ++rank) {
    const int actor = layout.actor_of(rank);
    for (int op = 0; op < layout.of_actor(actor).ops(); ++op) {
      const std::int64_t instance = layout.instance(actor, op);
      timeline.push_back({rank, op, record.ready[instance], start_of(actor, op, record, layout),
                          record.end[instance]});
    }
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
  return programs_refused(one + (micro_batches - 1) * (two - one));
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
  const Result<Programs> tables = Programs::make(plan, std::move(programs));
  if (!tables) return tl::unexpected<Errors>(tables.error());
  const topology::Router router(cluster);
  const Result<Folding> folding = options.fold
                                      ? folded(*tables, plan, router, calibration, options.faults)
                                      : Result<Folding>(unfolded(*tables));
  if (!folding) return tl::unexpected<Errors>(folding.error());
  const Result<Layout> layout = Layout::make(*tables, *folding);
  if (!layout) return tl::unexpected<Errors>(layout.error());
  StepCosts costs(router, plan, *layout, calibration, options.faults);
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
  report_links(result, cluster, network, record, *layout, path.limits, options.listed_links);
  report_collectives(result, record, *layout, costs, options.on_collective);
  for (std::int64_t rank = 0; rank < layout->ranks(); ++rank)
    result.rank_wait.push_back(record.wait[layout->actor_of(rank)]);
  result.events = record.events;
  result.ranks = layout->ranks();
  result.classes = layout->actors();
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
