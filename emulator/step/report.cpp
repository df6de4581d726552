#include "emulator/step/report.hpp"

#include <algorithm>
#include <map>

#include "emulator/step/critical_path.hpp"
#include "emulator/step/exchange_walk.hpp"

namespace railwright::emulator {

using workload::OpKind;

namespace {

double fraction(double part, double whole) { return whole > 0 ? part / whole : 0; }

// Whether this actor speaks for the exchange: the source of a send, the first member of a meeting.
bool leads(const Layout& layout, int actor, int op) {
  const workload::Op& what = layout.op(actor, op);
  if (what.kind == OpKind::send) return true;
  return what.kind == OpKind::collective &&
         layout.members(what.group, layout.group_of(actor, what.group)).front() == actor;
}

// What every link of the class did; only its first one lies on the critical path.
LinkLoad load_of(topology::LinkId first, const LinkUse& use, double links) {
  LinkLoad load;
  load.link = first;
  load.bytes = use.bytes;
  load.utilization = fraction(use.bytes, use.offered_bytes);
  load.busy_seconds = use.busy_seconds;
  load.limiting_seconds = use.limiting_seconds / links;
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

// The links of all those classes, as far as they are named; unfolded, every link is its own.
std::vector<LinkLoad> all_links(const std::vector<LinkLoad>& classes, const Folding& folding) {
  std::vector<LinkLoad> links;
  for (const LinkLoad& load : classes) {
    links.push_back(load);
    const auto set = folding.links.named.find(load.link);
    if (set == folding.links.named.end()) continue;
    for (const topology::LinkId link : folding.links.sets[set->second].lowest) {
      if (link == load.link) continue;
      links.push_back(load);
      links.back().critical = {};
      links.back().link = link;
    }
  }
  return links;
}

void report_links(StepResult& result, const topology::Cluster& cluster, const Network& network,
                  const Layout& layout, const std::map<topology::LinkId, std::int64_t>& critical,
                  std::size_t listed_links) {
  const topology::Graph& graph = cluster.graph;
  for (auto* per_class : {&result.class_bytes, &result.class_offered_bytes,
                          &result.class_busy_seconds, &result.class_limiting_seconds})
    per_class->assign(graph.classes.size(), 0);
  result.class_used_links.assign(graph.classes.size(), 0);
  for (const topology::LinkId link : network.used_links()) {
    const LinkUse use = network.use_of(link);
    const auto count = static_cast<double>(layout.folding().count_of(link));
    const std::size_t link_class = graph.link_class[link.index];
    result.class_bytes[link_class] += count * use.bytes;
    result.class_offered_bytes[link_class] += count * use.offered_bytes;
    if (use.bytes > 0) result.class_used_links[link_class] += layout.folding().count_of(link);
    result.class_busy_seconds[link_class] += count * use.busy_seconds;
    result.class_limiting_seconds[link_class] += use.limiting_seconds;
    result.links.push_back(load_of(link, use, count));
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

// Ranks that stand for the rest, ascending.
std::vector<std::int64_t> shown_ranks(const StepRecord& record, const Layout& layout,
                                      std::size_t most) {
  std::vector<int> actors;
  const auto least = std::min_element(record.wait.begin(), record.wait.end());
  actors.push_back(static_cast<int>(least - record.wait.begin()));
  for (int stage = 0; stage < layout.stages(); ++stage)
    for (int actor = 0; actor < layout.actors(); ++actor)
      if (layout.stage_of(actor) == stage) {
        actors.push_back(actor);
        break;
      }
  for (int actor = 0; actor < layout.actors(); ++actor) actors.push_back(actor);
  std::vector<std::int64_t> ranks;
  for (const int actor : actors) {
    if (ranks.size() == most) break;
    if (std::ranges::find(ranks, layout.rank_of(actor)) == ranks.end())
      ranks.push_back(layout.rank_of(actor));
  }
  std::ranges::sort(ranks);
  return ranks;
}

std::vector<Interval> timeline_of(const StepRecord& record, const Layout& layout,
                                  std::size_t most_ranks) {
  std::vector<Interval> timeline;
  if (most_ranks == 0) return timeline;
  for (const std::int64_t rank : shown_ranks(record, layout, most_ranks)) {
    const int actor = layout.actor_of(rank);
    for (int op = 0; op < layout.of_actor(actor).ops(); ++op) {
      const std::int64_t instance = layout.instance(actor, op);
      timeline.push_back({rank, op, record.ready[instance], start_of(actor, op, record, layout),
                          record.end[instance]});
    }
  }
  return timeline;
}

}  // namespace

std::map<topology::LinkId, double> link_bytes(StepCosts& costs, const Layout& layout) {
  std::map<topology::LinkId, double> bytes;
  for (int actor = 0; actor < layout.actors(); ++actor)
    for (int op = 0; op < layout.of_actor(actor).ops(); ++op) {
      if (!leads(layout, actor, op)) continue;
      for (const ExchangePhase& phase : costs.exchange(actor, op).phases)
        for (const topology::LinkShare& use : phase.consumption)
          bytes[use.link] += use.share * phase.bytes;
    }
  return bytes;
}

StepResult beside_others(const StepResult& alone, const Execution& execution, const Layout& layout,
                         const topology::Cluster& cluster, const topology::Calibration& calibration,
                         const StepOptions& options) {
  const StepRecord& record = execution.record;
  StepResult result = alone;
  result.sensitivities.clear();
  result.courses.clear();
  result.step_time = length_of(record);
  result.mfu *= in_seconds(alone.step_time) / in_seconds(result.step_time);
  CriticalPath path =
      critical_path(record, layout, *execution.costs, *execution.network, cluster.graph);
  result.blame = std::move(path.blame);
  result.links.clear();
  for (const auto& [link, bytes] : link_bytes(*execution.costs, layout)) {
    LinkLoad load{.link = link, .bytes = bytes};
    const Bandwidth capacity = effective_capacity(cluster.graph, link, calibration);
    load.utilization = bytes / (capacity.bytes_per_second * in_seconds(result.step_time).value);
    const auto held_back = path.limits.find(link);
    if (held_back != path.limits.end()) load.critical = {held_back->second};
    result.links.push_back(load);
  }
  sort_links(result.links);
  report_collectives(result, record, layout, *execution.costs, {});
  result.rank_wait.clear();
  for (std::int64_t rank = 0; rank < layout.ranks(); ++rank)
    result.rank_wait.push_back(record.wait[layout.actor_of(rank)]);
  result.events = record.events;
  result.classes = layout.actors();
  result.timeline = timeline_of(record, layout, options.timeline_ranks);
  return result;
}

std::vector<LinkCourse> courses_of(const PreparedStep& step, const topology::Cluster& cluster,
                                   const topology::Calibration& calibration,
                                   const StepResult& result, const StepOptions& options) {
  std::vector<LinkCourse> courses;
  std::vector<double> before;  // bytes
  for (const LinkLoad& load : result.links)
    if (courses.size() < options.course_links) courses.push_back({load.link, {}});
  before.resize(courses.size());
  std::vector<Instant> times;
  const auto spans = static_cast<std::int64_t>(options.course_spans);
  for (std::int64_t i = 1; i <= spans; ++i)
    times.push_back(Instant{result.step_time.count / spans * i});
  const Seconds span = in_seconds({result.step_time.count / spans});
  std::map<topology::LinkId, topology::LinkId> stands_for;  // it: the link of its class that runs
  for (const collectives::LinkSet& set : step.layout().folding().links.sets)
    for (const topology::LinkId link : set.lowest) stands_for[link] = set.lowest.front();
  if (courses.empty() || span.value <= 0) return {};
  step.run(cluster, {}, [&](Network& network, StepEngine& engine) {
    engine.look_at(times, [&](Instant now) {
      network.pass_until(now);
      for (std::size_t c = 0; c < courses.size(); ++c) {
        const topology::LinkId link = courses[c].link;
        const auto runs = stands_for.find(link);
        const double bytes = network.use_of(runs == stands_for.end() ? link : runs->second).bytes;
        const Bandwidth capacity = effective_capacity(cluster.graph, link, calibration);
        courses[c].utilization.push_back((bytes - before[c]) /
                                         (capacity.bytes_per_second * span.value));
        before[c] = bytes;
      }
    });
  });
  return courses;
}

StepResult report_of(Execution& execution, const Layout& layout, const topology::Cluster& cluster,
                     const StepOptions& options) {
  const StepRecord& record = execution.record;
  const StepCosts& costs = *execution.costs;
  Network& network = *execution.network;
  StepResult result;
  result.step_time = length_of(record);
  CriticalPath path = critical_path(record, layout, costs, network, cluster.graph);
  result.blame = std::move(path.blame);
  network.advance_to(Instant{} + result.step_time);  // what links could carry counts to the end
  report_links(result, cluster, network, layout, path.limits, options.listed_links);
  report_collectives(result, record, layout, costs, options.on_collective);
  for (std::int64_t rank = 0; rank < layout.ranks(); ++rank)
    result.rank_wait.push_back(record.wait[layout.actor_of(rank)]);
  result.events = record.events;
  result.ranks = layout.ranks();
  result.classes = layout.actors();
  result.timeline = timeline_of(record, layout, options.timeline_ranks);
  return result;
}

}  // namespace railwright::emulator
