#include "collectives/synthesis/pipeline.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "collectives/attainable.hpp"
#include "collectives/bound/tree_packing.hpp"
#include "collectives/cost.hpp"
#include "collectives/synthesis/list_schedule.hpp"

namespace railwright::collectives {

namespace {

constexpr int most_segments = 1024;
constexpr int most_ranks_outwards = 32, most_links = 1500;  // a packing takes a second or so
constexpr std::size_t most_edges = 400'000;
constexpr double worthwhile = 0.999;  // of the time with a quarter of the segments

// A tree with its middle as the root, edges from the root outwards.
struct RootedTree {
  struct Edge {
    int parent = 0, child = 0;  // ranks
    std::vector<int> down, up;  // links of the graph
  };
  int root = 0, depth = 0;
  std::int64_t width = 0;
  std::vector<Edge> edges;
};

// Links of the graph along an edge, from one end to the other and back.
using Ways = std::pair<std::vector<int>, std::vector<int>>;

Ways ways_along(const SpanningTree::Edge& edge, bool forth, const UndirectedNetwork& network) {
  Ways ways;
  int at = forth ? edge.a : edge.b;
  std::vector<int> way = edge.way;
  if (!forth) std::ranges::reverse(way);
  for (const int l : way) {
    const UndirectedNetwork::Link& link = network.links[l];
    const bool along = link.a == at;
    ways.first.push_back(along ? link.forth : link.back);
    ways.second.push_back(along ? link.back : link.forth);
    at = along ? link.b : link.a;
  }
  std::ranges::reverse(ways.second);
  return ways;
}

template <class Along>
RootedTree rooted_at(int root, const SpanningTree& tree, const Fabric& fabric, Along along) {
  RootedTree rooted{root, 0, 0, {}};
  std::vector<int> depth(fabric.ranks(), -1), queue{root};
  depth[root] = 0;
  for (std::size_t i = 0; i < queue.size(); ++i)
    for (const SpanningTree::Edge& edge : tree.edges) {
      const int a = fabric.rank_at[edge.a], b = fabric.rank_at[edge.b];
      const bool forth = a == queue[i];
      const int child = forth ? b : a;
      if ((!forth && b != queue[i]) || depth[child] >= 0) continue;
      depth[child] = depth[queue[i]] + 1;
      rooted.depth = std::max(rooted.depth, depth[child]);
      queue.push_back(child);
      auto [down, up] = along(edge, forth);
      rooted.edges.push_back({queue[i], child, std::move(down), std::move(up)});
    }
  return rooted;
}

RootedTree centred(const SpanningTree& tree, const UndirectedNetwork& network,
                   const Fabric& fabric) {
  const auto along = [&](const SpanningTree::Edge& edge, bool forth) {
    return ways_along(edge, forth, network);
  };
  RootedTree best = rooted_at(0, tree, fabric, along);
  for (int root = 1; root < fabric.ranks(); ++root) {
    RootedTree other = rooted_at(root, tree, fabric, along);
    if (other.depth < best.depth) best = std::move(other);
  }
  return best;
}

RootedTree outwards(int root, const SpanningTree& tree, const Fabric& fabric) {
  return rooted_at(root, tree, fabric, [](const SpanningTree::Edge& edge, bool) {
    return Ways{edge.way, {}};
  });
}

// Whole chunks in proportion to the weights, the largest remainders rounded up.
std::vector<std::int64_t> widths_of(const TreePacking& packing, std::int64_t total) {
  std::vector<std::int64_t> width;
  std::vector<std::pair<double, std::size_t>> rest;
  for (const SpanningTree& tree : packing.trees) {
    const double share = tree.weight / packing.rate * static_cast<double>(total);
    rest.push_back({std::floor(share) - share, width.size()});
    width.push_back(static_cast<std::int64_t>(std::floor(share)));
  }
  std::ranges::sort(rest);
  const std::int64_t missing = total - std::accumulate(width.begin(), width.end(), std::int64_t{0});
  for (std::int64_t i = 0; i < missing; ++i) ++width[rest[static_cast<std::size_t>(i)].second];
  return width;
}

// How much longer than with the exact weights the busiest link takes.
double stretch_of(const std::vector<std::int64_t>& width, std::int64_t total,
                  const TreePacking& packing, const std::vector<double>& capacity) {
  std::vector<double> load(capacity.size(), 0);
  for (std::size_t t = 0; t < width.size(); ++t)
    for (const SpanningTree::Edge& edge : packing.trees[t].edges)
      for (const int l : edge.way) load[l] += static_cast<double>(width[t]);
  double worst = 0;
  for (std::size_t l = 0; l < load.size(); ++l) worst = std::max(worst, load[l] / capacity[l]);
  return worst * packing.rate / static_cast<double>(total);
}

std::vector<std::int64_t> best_widths(const TreePacking& packing,
                                      const std::vector<double>& capacity) {
  std::vector<std::int64_t> best;
  double least = INFINITY;
  const auto count = static_cast<std::int64_t>(packing.trees.size());
  for (std::int64_t total = count / 2 + 1; total <= 8 * count; ++total) {
    std::vector<std::int64_t> width = widths_of(packing, total);
    const double stretch = stretch_of(width, total, packing, capacity);
    if (stretch >= least * 0.999) continue;
    least = stretch;
    best = std::move(width);
  }
  return best;
}

class PipelineMaker {
 public:
  PipelineMaker(const SynthesisTask& task, const topology::Cluster& cluster,
                const topology::Calibration& calibration);

  std::optional<Pipeline> best();

 private:
  void pack_spanning(const topology::Graph& graph);
  void pack_outwards();
  template <class Rooted>
  void take(const TreePacking& packing, const std::vector<double>& capacity, Rooted rooted);
  std::vector<Job> jobs_of(int segments) const;
  void add_tree(const RootedTree& tree, int segment, double chunk, std::vector<Job>& jobs) const;
  Pipeline with(int segments) const;

  const SynthesisTask& task_;
  bool both_ways_, played_backwards_;  // an all-reduce; a reduction
  Fabric fabric_;
  SendTiming timing_;
  std::vector<RootedTree> trees_;
  std::int64_t chunks_ = 0;
};

PipelineMaker::PipelineMaker(const SynthesisTask& task, const topology::Cluster& cluster,
                             const topology::Calibration& calibration)
    : task_(task),
      both_ways_(task.operation == Operation::all_reduce),
      played_backwards_(task.operation == Operation::reduce),
      fabric_(fabric_of(task.members, cluster, calibration,
                        played_backwards_ ? Towards::reversed : Towards::forward)) {
  timing_ = {software_latency(calibration).value, task.occupancy == Occupancy::bytes_and_latency};
  if (both_ways_)
    pack_spanning(cluster.graph);
  else
    pack_outwards();
}

template <class Rooted>
void PipelineMaker::take(const TreePacking& packing, const std::vector<double>& capacity,
                         Rooted rooted) {
  const std::vector<std::int64_t> widths = best_widths(packing, capacity);
  for (std::size_t t = 0; t < widths.size(); ++t) {
    if (widths[t] == 0) continue;
    trees_.push_back(rooted(packing.trees[t]));
    trees_.back().width = widths[t];
    chunks_ += widths[t];
  }
}

void PipelineMaker::pack_spanning(const topology::Graph& graph) {
  const UndirectedNetwork network = undirected(graph, fabric_.vertex);
  std::vector<double> capacity;
  for (const UndirectedNetwork::Link& link : network.links) capacity.push_back(link.capacity);
  take(packed_trees(network), capacity,
       [&](const SpanningTree& tree) { return centred(tree, network, fabric_); });
}

void PipelineMaker::pack_outwards() {
  DirectedNetwork network{fabric_.vertices(), {}, fabric_.vertex};
  std::vector<double> capacity;
  for (const Fabric::Link& link : fabric_.links) {
    network.links.push_back({link.source, link.target, link.rate});
    capacity.push_back(link.rate);
  }
  take(packed_arborescences(network, task_.root), capacity,
       [&](const SpanningTree& tree) { return outwards(task_.root, tree, fabric_); });
}

// A job per edge and direction, the way up before the way down. Earlier segments go first; of one
// segment what has the longest way to go.
void PipelineMaker::add_tree(const RootedTree& tree, int segment, double chunk,
                             std::vector<Job>& jobs) const {
  const int first = static_cast<int>(jobs.size()), each = both_ways_ ? 2 : 1;
  std::vector<int> edge_into(fabric_.ranks(), -1), depth(fabric_.ranks(), 0);
  const double bytes = chunk * static_cast<double>(tree.width);
  for (std::size_t e = 0; e < tree.edges.size(); ++e) {
    const RootedTree::Edge& edge = tree.edges[e];
    const int at = depth[edge.child] = depth[edge.parent] + 1;
    edge_into[edge.child] = first + each * static_cast<int>(e);
    const std::int64_t base = segment * std::int64_t{1000} + tree.depth;
    if (both_ways_) jobs.push_back({edge.up, bytes, base - at, {}, 0, 0, 0, 0});
    jobs.push_back({edge.down, bytes, base + at, {}, 0, 0, 0, 0});
  }
  const auto follows = [&](int later, int earlier) {
    jobs[earlier].successors.push_back(later);
    ++jobs[later].waits;
  };
  for (std::size_t e = 0; e < tree.edges.size(); ++e) {
    const int job = first + each * static_cast<int>(e), above = edge_into[tree.edges[e].parent];
    if (above >= 0) {
      follows(job + each - 1, above + each - 1);
      if (both_ways_) follows(above, job);
      continue;
    }
    for (std::size_t other = 0; both_ways_ && other < tree.edges.size(); ++other)
      if (tree.edges[other].parent == tree.root)
        follows(first + each * static_cast<int>(other) + 1, job);
  }
}

std::vector<Job> PipelineMaker::jobs_of(int segments) const {
  const double chunk =
      static_cast<double>(task_.size.count) / static_cast<double>(chunks_ * segments);
  std::vector<Job> jobs;
  for (int segment = 0; segment < segments; ++segment)
    for (const RootedTree& tree : trees_) add_tree(tree, segment, chunk, jobs);
  return jobs;
}

Pipeline PipelineMaker::with(int segments) const {
  std::vector<Job> jobs = jobs_of(segments);
  Pipeline pipeline;
  pipeline.plan.time = schedule_jobs(fabric_, timing_, jobs);
  pipeline.chunks = static_cast<int>(chunks_) * segments;
  std::size_t next = 0;
  const auto add = [&](int source, int target, bool up) {
    Job& job = jobs[next++];
    const std::int64_t start = played_backwards_ ? pipeline.plan.time - job.arrival : job.start;
    if (played_backwards_) std::ranges::reverse(job.way);
    pipeline.plan.edges.push_back({static_cast<int>(pipeline.root.size()) - 1, source, target, up,
                                   start, start + job.left - job.start, std::move(job.way)});
  };
  for (int segment = 0; segment < segments; ++segment)
    for (const RootedTree& tree : trees_) {
      pipeline.root.push_back(tree.root);
      pipeline.width.push_back(tree.width);
      for (const RootedTree::Edge& edge : tree.edges) {
        if (both_ways_) add(edge.child, edge.parent, true);
        if (played_backwards_)
          add(edge.child, edge.parent, true);
        else
          add(edge.parent, edge.child, false);
      }
    }
  return pipeline;
}

std::optional<Pipeline> PipelineMaker::best() {
  if (trees_.empty()) return std::nullopt;
  std::size_t edges = 0;
  for (const RootedTree& tree : trees_) edges += (both_ways_ ? 2 : 1) * tree.edges.size();
  std::optional<Pipeline> best;
  int worse = 0;
  for (int segments = 1; segments <= most_segments && worse < 2;
       segments *= segments == 1 ? 2 : 4) {
    if (static_cast<std::size_t>(segments) * edges > most_edges) break;
    Pipeline next = with(segments);
    const bool better = !best || static_cast<double>(next.plan.time) <
                                     worthwhile * static_cast<double>(best->plan.time);
    worse = better ? 0 : worse + 1;
    if (better) best = std::move(next);
  }
  return best;
}

}  // namespace

std::optional<Pipeline> best_pipeline(const SynthesisTask& task, const topology::Cluster& cluster,
                                      const topology::Calibration& calibration) {
  if (task.operation == Operation::all_reduce) {
    const auto attainable = attainable_of(Operation::all_reduce, task.members, cluster);
    if (!attainable || attainable->how.find("trees") == std::string::npos) return std::nullopt;
  } else if (static_cast<int>(task.members.size()) > most_ranks_outwards) {
    return std::nullopt;
  }
  if (cluster.graph.links() > most_links) return std::nullopt;
  return PipelineMaker(task, cluster, calibration).best();
}

}  // namespace railwright::collectives
