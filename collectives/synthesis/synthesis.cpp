#include "collectives/synthesis.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "collectives/bound.hpp"
#include "collectives/bound/group_reach.hpp"
#include "collectives/cost.hpp"
#include "collectives/synthesis/pipeline.hpp"
#include "collectives/synthesis/plan.hpp"
#include "collectives/synthesis/search.hpp"

namespace railwright::collectives {

namespace {

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

// Whether a packing of trees, which takes another second or two, may gain much.
bool leaves_much(const Synthesis& synthesis, const SynthesisTask& task,
                 const topology::Cluster& cluster) {
  const auto bound = bound_of(task.operation, task.members, cluster, task.root);
  const auto ranks = static_cast<int>(task.members.size());
  const double much = rooted(task.operation) ? 1.1 : 1.01;
  return !bound ||
         synthesis.time.value > much * bound_time(*bound, task.operation, ranks, task.size).value;
}

std::optional<Synthesis> by_packing(const SynthesisTask& task, const topology::Cluster& cluster,
                                    const topology::Calibration& calibration) {
  const bool whole = rooted(task.operation) || task.operation == Operation::all_reduce;
  if (!whole || task.chunks > 0) return std::nullopt;
  auto pipeline = best_pipeline(task, cluster, calibration);
  if (!pipeline) return std::nullopt;
  const Seconds time{static_cast<double>(pipeline->plan.time) / 1e12};
  Forest forest = forest_of(std::move(pipeline->plan), std::move(pipeline->root), cluster.graph);
  forest.width = std::move(pipeline->width);
  return Synthesis{schedule_of(task, std::move(forest)), time, pipeline->chunks, "tree packing"};
}

}  // namespace

tl::expected<Synthesis, std::string> synthesize(const SynthesisTask& task,
                                                const topology::Cluster& whole,
                                                const topology::Calibration& calibration) {
  if (std::string refusal = refusal_of(task); !refusal.empty()) return tl::unexpected(refusal);
  const std::optional<topology::Cluster> reach = within_reach(task.members, whole);
  const topology::Cluster& cluster = reach ? *reach : whole;
  auto best = by_matching(task, cluster, calibration);
  if (!best) return tl::unexpected<std::string>("some ranks cannot reach the others");
  if (!leaves_much(*best, task, cluster)) return std::move(*best);
  auto packed = by_packing(task, cluster, calibration);
  return packed && packed->time < best->time ? std::move(*packed) : std::move(*best);
}

}  // namespace railwright::collectives
