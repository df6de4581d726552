#include "collectives/synthesis.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "collectives/bound/group_limits.hpp"
#include "collectives/bound/group_reach.hpp"
#include "collectives/cost.hpp"
#include "collectives/synthesis/plan.hpp"
#include "collectives/synthesis/search.hpp"
#include "collectives/synthesis/streams.hpp"

namespace railwright::collectives {

namespace {

// Of what no plan beats: the other way is not tried. With many ranks a matching takes seconds.
constexpr double near_enough = 1.01, near_enough_of_many = 1.03;
constexpr int many_ranks = 32;
constexpr double worth_streams = 0.5;  // of the time: what bytes alone take, at least

bool spreads(Operation operation) {
  return operation == Operation::all_reduce || operation == Operation::all_gather ||
         operation == Operation::broadcast;
}
bool rooted(Operation operation) {
  return operation == Operation::broadcast || operation == Operation::reduce;
}

std::string refusal_of(const SynthesisTask& task) {
  const auto ranks = static_cast<int>(task.members.size());
  if (!reduces(task.operation) && !spreads(task.operation))
    return fmt::format(
        "synthesized does not do {}, only all_reduce, reduce_scatter, all_gather, broadcast, "
        "reduce",
        to_string(task.operation));
  if (ranks < 2) return "a schedule for fewer than two ranks has nothing to do";
  if (ranks > most_synthesized_ranks)
    return fmt::format("{} ranks are too many to make a schedule for in seconds; at most {}", ranks,
                       most_synthesized_ranks);
  if (task.size.count == 0) return "a schedule is made for a size; write at least one byte";
  if (task.root < 0 || task.root >= ranks)
    return fmt::format("root {} is not a rank: they count from 0 to {}", task.root, ranks - 1);
  if (task.chunks < 0 || task.chunks > 4096)
    return fmt::format("{} chunks; write 1 to 4096, or 0 to have the number chosen", task.chunks);
  return {};
}

Schedule schedule_of(const SynthesisTask& task, Forest forest) {
  Schedule schedule;
  schedule.operation = task.operation;
  schedule.algorithm = Algorithm::synthesized;
  schedule.ranks = static_cast<int>(task.members.size());
  schedule.root = rooted(task.operation) ? task.root : 0;
  schedule.forest = std::move(forest);
  return schedule;
}

bool equal_both_ways(const topology::Graph& graph) {
  for (int l = 0; l < graph.links(); ++l) {
    const topology::LinkId link{l};
    const auto back = graph.link_between(graph.target_of(link), graph.source_of(link));
    if (!back || graph.capacity(*back) != graph.capacity(link) ||
        graph.class_of(*back).latency != graph.class_of(link).latency)
      return false;
  }
  return true;
}

// A reversed way in a network that is equal both ways, over the links of the other directions.
Matching mirrored(Matching matching, const topology::Graph& graph) {
  for (MatchedSend& send : matching.sends)
    for (int& l : send.way) {
      const topology::LinkId link{l};
      l = graph.link_between(graph.target_of(link), graph.source_of(link))->index;
    }
  return matching;
}

std::optional<Synthesis> by_matching(const SynthesisTask& task, const topology::Cluster& cluster,
                                     const topology::Calibration& calibration) {
  const bool root = rooted(task.operation);
  SynthesisTask part = task;
  std::optional<Found> down, up;
  if (spreads(task.operation)) {
    down = best_matching(part, cluster, calibration, Towards::forward, root);
    if (!down) return std::nullopt;
    part.chunks = down->chunks;
  }
  if (down && reduces(task.operation) && equal_both_ways(cluster.graph))
    up = Found{mirrored(down->matching, cluster.graph), down->chunks, down->owner};
  else if (reduces(task.operation))
    up = best_matching(part, cluster, calibration, Towards::reversed, root);
  if (reduces(task.operation) && !up) return std::nullopt;
  const Found& found = up ? *up : *down;
  Plan plan = up ? collecting(up->matching) : Plan{};
  if (down) plan = followed_by(std::move(plan), spreading(down->matching));
  const Seconds time{static_cast<double>(plan.time) / 1e12};
  const int chunks = found.chunks;
  Forest forest = forest_of(std::move(plan), found.owner, cluster.graph);
  return Synthesis{schedule_of(task, std::move(forest)), time, chunks, "matching"};
}

// What no plan beats on the calibrated links; 0 where it is not known.
Seconds least_time(const SynthesisTask& task, const topology::Cluster& cluster,
                   const topology::Calibration& calibration) {
  NetworkLimits limits(task.members, cluster, effective_rates(cluster.graph, calibration));
  const auto bound = limits.bound(task.operation, task.root);
  const auto ranks = static_cast<int>(task.members.size());
  return bound ? bound_time(*bound, task.operation, ranks, task.size) : Seconds{};
}

std::optional<Synthesis> by_streams(const SynthesisTask& task, const topology::Cluster& cluster,
                                    const topology::Calibration& calibration) {
  auto streams = best_streams(task, cluster, calibration);
  if (!streams) return std::nullopt;
  Schedule schedule = schedule_of(task, std::move(streams->forest));
  schedule.segments = streams->segments;
  return Synthesis{std::move(schedule), streams->time, streams->chunks, "tree packing"};
}

}  // namespace

tl::expected<Synthesis, std::string> synthesize(const SynthesisTask& task,
                                                const topology::Cluster& whole,
                                                const topology::Calibration& calibration) {
  if (std::string refusal = refusal_of(task); !refusal.empty()) return tl::unexpected(refusal);
  const std::optional<topology::Cluster> reach = within_reach(task.members, whole);
  const topology::Cluster& cluster = reach ? *reach : whole;
  const Seconds least = least_time(task, cluster, calibration);
  const bool many = static_cast<int>(task.members.size()) > many_ranks;
  const Seconds enough = near_enough * least;
  auto streams = rooted(task.operation) ? by_streams(task, cluster, calibration) : std::nullopt;
  if (streams && streams->time <= (many ? near_enough_of_many : near_enough) * least)
    return std::move(*streams);
  auto matched = by_matching(task, cluster, calibration);
  if (!matched) return tl::unexpected<std::string>("some ranks cannot reach the others");
  const bool latency_counts = least < worth_streams * matched->time;
  if (!rooted(task.operation) && matched->time > enough && !latency_counts)
    streams = by_streams(task, cluster, calibration);
  return streams && streams->time < matched->time ? std::move(*streams) : std::move(*matched);
}

}  // namespace railwright::collectives
