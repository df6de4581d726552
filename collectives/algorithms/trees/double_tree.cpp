#include <array>
#include <bit>

#include "collectives/algorithms/trees/in_order_trees.hpp"
#include "collectives/algorithms/trees/pipeline.hpp"

namespace railwright::collectives {
namespace {

constexpr std::array operations = {Operation::all_reduce, Operation::broadcast, Operation::reduce};

bool reduces(const Schedule& schedule) { return schedule.operation != Operation::broadcast; }
bool broadcasts(const Schedule& schedule) { return schedule.operation != Operation::reduce; }

// A broadcast or reduction hangs both trees of the other ranks below its root; an all-reduce needs
// no common root.
TwoTrees trees_of(const Schedule& schedule) {
  const bool rooted = schedule.operation != Operation::all_reduce;
  return rooted ? TwoTrees{schedule.ranks, schedule.root} : TwoTrees{schedule.ranks};
}

std::int64_t chunk_count(const Schedule& schedule) { return 2 * std::int64_t{schedule.segments}; }

// Per direction, tree and side of the child in its family: what a rank sends to one child does not
// wait for what it sends to the other.
int channels(const Schedule& schedule) {
  return schedule.operation == Operation::all_reduce ? 8 : 4;
}

Stretches stretches(const Schedule& schedule) { return {schedule, trees_of(schedule).height()}; }
std::vector<Phase> phases(const Schedule& schedule) { return stretches(schedule).phases(); }
std::int64_t busiest_step(const Schedule& schedule, int phase) {
  return stretches(schedule)[phase].busiest;
}
std::int64_t waiting_steps(const Schedule& schedule, int phase, std::int64_t) {
  return stretches(schedule)[phase].latencies;
}

// Which segment passes between a rank at depth `child_depth` of a tree and its parent in a step.
std::int64_t segment_at(const Schedule& schedule, int height, int child_depth, bool reducing,
                        std::int64_t step) {
  const int outwards = child_depth - 1 + (reduces(schedule) ? height : 0);
  return step - (reducing ? height - child_depth : outwards);
}

Send over_edge(const Schedule& schedule, const TwoTrees& trees, int tree, int child, bool reducing,
               std::int64_t segment) {
  const ChunkRange chunks{tree * std::int64_t{schedule.segments} + segment, 1};
  const int parent = trees.parent(tree, child), channel = 2 * tree + trees.side(tree, child);
  if (reducing) return {child, parent, chunks, Action::reduce, channel};
  return {parent, child, chunks, Action::copy, channels(schedule) - 4 + channel};
}

void add_sends(const Schedule& schedule, int rank, int phase, std::int64_t step, bool sending,
               std::vector<Send>& sends) {
  const TwoTrees trees = trees_of(schedule);
  const int height = trees.height();
  step += Stretches(schedule, height)[phase].first;
  for (const int tree : {0, 1}) {
    const int depth = trees.depth(tree, rank);
    for (const bool reducing : {true, false}) {
      if (!(reducing ? reduces(schedule) : broadcasts(schedule))) continue;
      const bool to_parent = reducing == sending;
      if (to_parent && depth == 0) continue;
      const std::int64_t segment =
          segment_at(schedule, height, to_parent ? depth : depth + 1, reducing, step);
      if (segment < 0 || segment >= schedule.segments) continue;
      const auto children = to_parent ? std::array{rank, -1} : trees.children(tree, rank);
      for (const int child : children)
        if (child >= 0) sends.push_back(over_edge(schedule, trees, tree, child, reducing, segment));
    }
  }
}

// Sanders, Speck, Traeff: Two-tree algorithms for full bandwidth broadcast, reduction and scan,
// 2009. Height h, m segments of s = ceil(n / 2m) bytes per tree. Per step a rank sends at most 2 s
// one way (to two children, or to one parent in either tree), 4 s where both ways overlap:
//   broadcast, reduce   h latency + 2 (m + h-1) s / bandwidth
//   all-reduce        2 h latency + 4 (m + h-1) s / bandwidth
// at most: few ranks, or few segments, never load one rank that much.
Seconds closed_form(const Schedule& schedule, Bytes size, Hop hop) {
  const bool both = schedule.operation == Operation::all_reduce;
  const int height = trees_of(schedule).height();
  const auto segments = static_cast<double>(schedule.segments + height - 1);
  const Bytes segment{largest_bytes(schedule, 1, size)};
  return (both ? 2 : 1) * (height * hop.latency + 2 * segments * (segment / hop.bandwidth));
}

// The edges between two depths of a tree, one way, are a pattern.
int pattern_of(int child_depth, int tree, bool reducing) {
  return 4 * child_depth + 2 * tree + (reducing ? 1 : 0);
}

std::vector<Layer> layers(const Schedule& schedule, int phase) {
  const int height = trees_of(schedule).height();
  const Stretch stretch = Stretches(schedule, height)[phase];
  std::vector<Layer> layers;
  for (const int tree : {0, 1})
    for (const bool reducing : {true, false}) {
      if (!(reducing ? reduces(schedule) : broadcasts(schedule))) continue;
      for (int depth = 1; depth <= height; ++depth) {
        const std::int64_t segment =
            segment_at(schedule, height, depth, reducing, stretch.first + stretch.busiest);
        if (segment >= 0 && segment < schedule.segments)
          layers.push_back({.pattern = pattern_of(depth, tree, reducing)});
      }
    }
  return layers;
}

void connections(const Schedule& schedule, int pattern, const ConnectionSink& sink) {
  const TwoTrees trees = trees_of(schedule);
  const int depth = pattern / 4, tree = pattern / 2 % 2;
  const bool reducing = pattern % 2 == 1;
  for (const int side : {0, 1})
    trees.for_depth(tree, depth, [&](int child) {
      if (trees.side(tree, child) != side) return;
      const Send send = over_edge(schedule, trees, tree, child, reducing, 0);
      sink(send.source, send.target, send.channel);
    });
}

constexpr Maker maker{.operations = operations,
                      .refusal = refusal_of_segments,
                      .chunk_count = chunk_count,
                      .channel_count = channels,
                      .own_part = part_of_rank,
                      .phases = phases,
                      .busiest_step = busiest_step,
                      .waiting_steps = waiting_steps,
                      .sends = add_sends,
                      .closed_form = closed_form,
                      .layers = layers,
                      .connections = connections};

}  // namespace

const Maker& double_tree_maker() { return maker; }

}  // namespace railwright::collectives
