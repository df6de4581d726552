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

constexpr int most_segments = 512;
constexpr std::size_t most_edges = 200'000;
constexpr double worthwhile = 0.999;  // of the time with half as many segments

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

RootedTree rooted_at(int root, const SpanningTree& tree, const UndirectedNetwork& network,
                     const Fabric& fabric) {
  RootedTree rooted{root, 0, 0, {}};
  std::vector<int> depth(fabric.ranks(), -1), queue{root};
  depth[root] = 0;
  for (std::size_t i = 0; i < queue.size(); ++i)
    for (const SpanningTree::Edge& edge : tree.edges) {
      const int a = fabric.rank_at[edge.a], b = fabric.rank_at[edge.b];
      const bool forth = a == queue[i];
      if (!forth && b != queue[i]) continue;
      const int child = forth ? b : a;
      if (depth[child] >= 0) continue;
      depth[child] = depth[queue[i]] + 1;
      rooted.depth = std::max(rooted.depth, depth[child]);
      queue.push_back(child);
      RootedTree::Edge out{queue[i], child, {}, {}};
      int at = fabric.vertex[queue[i]];
      std::vector<int> way = edge.way;
      if (!forth) std::ranges::reverse(way);
      for (const int l : way) {
        const UndirectedNetwork::Link& link = network.links[l];
        const bool along = link.a == at;
        out.down.push_back(along ? link.forth : link.back);
        out.up.push_back(along ? link.back : link.forth);
        at = along ? link.b : link.a;
      }
      std::ranges::reverse(out.up);
      rooted.edges.push_back(std::move(out));
    }
  return rooted;
}

RootedTree centred(const SpanningTree& tree, const UndirectedNetwork& network,
                   const Fabric& fabric) {
  RootedTree best = rooted_at(0, tree, network, fabric);
  for (int root = 1; root < fabric.ranks(); ++root) {
    RootedTree other = rooted_at(root, tree, network, fabric);
    if (other.depth < best.depth) best = std::move(other);
  }
  return best;
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
                  const TreePacking& packing, const UndirectedNetwork& network) {
  std::vector<double> load(network.links.size(), 0);
  for (std::size_t t = 0; t < width.size(); ++t)
    for (const SpanningTree::Edge& edge : packing.trees[t].edges)
      for (const int l : edge.way) load[l] += static_cast<double>(width[t]);
  double worst = 0;
  for (std::size_t l = 0; l < load.size(); ++l)
    worst = std::max(worst, load[l] / network.links[l].capacity);
  return worst * packing.rate / static_cast<double>(total);
}

std::vector<std::int64_t> best_widths(const TreePacking& packing,
                                      const UndirectedNetwork& network) {
  std::vector<std::int64_t> best;
  double least = INFINITY;
  const auto count = static_cast<std::int64_t>(packing.trees.size());
  for (std::int64_t total = count / 2 + 1; total <= 8 * count; ++total) {
    std::vector<std::int64_t> width = widths_of(packing, total);
    const double stretch = stretch_of(width, total, packing, network);
    if (stretch >= least * 0.999) continue;
    least = stretch;
    best = std::move(width);
  }
  return best;
}

class PipelineMaker {
 public:
  PipelineMaker(const SynthesisTask& task, const topology::Cluster& cluster,
                const topology::Calibration& calibration)
      : task_(task), fabric_(fabric_of(task.members, cluster, calibration, Towards::forward)) {
    timing_ = {software_latency(calibration).value, task.occupancy == Occupancy::bytes_and_latency};
    const UndirectedNetwork network = undirected(cluster.graph, fabric_.vertex);
    const TreePacking packing = packed_trees(network);
    const std::vector<std::int64_t> widths = best_widths(packing, network);
    for (std::size_t t = 0; t < widths.size(); ++t) {
      if (widths[t] == 0) continue;
      trees_.push_back(centred(packing.trees[t], network, fabric_));
      trees_.back().width = widths[t];
      chunks_ += widths[t];
    }
  }

  std::optional<Pipeline> best();

 private:
  std::vector<Job> jobs_of(int segments) const;
  void add_tree(const RootedTree& tree, int segment, double chunk, std::vector<Job>& jobs) const;
  Pipeline with(int segments) const;

  const SynthesisTask& task_;
  Fabric fabric_;
  SendTiming timing_;
  std::vector<RootedTree> trees_;
  std::int64_t chunks_ = 0;
};

// Jobs 2 i and 2 i + 1 are the ways up and down of edge i. Earlier segments go first; of one
// segment what has the longest way to go.
void PipelineMaker::add_tree(const RootedTree& tree, int segment, double chunk,
                             std::vector<Job>& jobs) const {
  const auto first = static_cast<int>(jobs.size());
  std::vector<int> edge_into(fabric_.ranks(), -1), depth(fabric_.ranks(), 0);
  for (std::size_t e = 0; e < tree.edges.size(); ++e) {
    const RootedTree::Edge& edge = tree.edges[e];
    depth[edge.child] = depth[edge.parent] + 1;
    edge_into[edge.child] = first + 2 * static_cast<int>(e);
    const std::int64_t base = segment * std::int64_t{1000};
    jobs.push_back({edge.up,
                    chunk * static_cast<double>(tree.width),
                    base + tree.depth - depth[edge.child],
                    {},
                    0,
                    0,
                    0,
                    0});
    jobs.push_back({edge.down,
                    chunk * static_cast<double>(tree.width),
                    base + tree.depth + depth[edge.child],
                    {},
                    0,
                    0,
                    0,
                    0});
  }
  const auto follows = [&](int later, int earlier) {
    jobs[earlier].successors.push_back(later);
    ++jobs[later].waits;
  };
  for (std::size_t e = 0; e < tree.edges.size(); ++e) {
    const int up = first + 2 * static_cast<int>(e), above = edge_into[tree.edges[e].parent];
    if (above >= 0) {
      follows(above, up);
      follows(up + 1, above + 1);
      continue;
    }
    for (std::size_t other = 0; other < tree.edges.size(); ++other)
      if (tree.edges[other].parent == tree.root)
        follows(first + 2 * static_cast<int>(other) + 1, up);
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
  std::size_t job = 0;
  for (int segment = 0; segment < segments; ++segment)
    for (const RootedTree& tree : trees_) {
      const auto number = static_cast<int>(pipeline.root.size());
      pipeline.root.push_back(tree.root);
      pipeline.width.push_back(tree.width);
      for (const RootedTree::Edge& edge : tree.edges) {
        Job &up = jobs[job++], &down = jobs[job++];
        pipeline.plan.edges.push_back(
            {number, edge.child, edge.parent, true, up.start, up.left, std::move(up.way)});
        pipeline.plan.edges.push_back(
            {number, edge.parent, edge.child, false, down.start, down.left, std::move(down.way)});
      }
    }
  return pipeline;
}

std::optional<Pipeline> PipelineMaker::best() {
  if (trees_.empty()) return std::nullopt;
  std::size_t edges = 0;
  for (const RootedTree& tree : trees_) edges += 2 * tree.edges.size();
  std::optional<Pipeline> best;
  int worse = 0;
  for (int segments = 1; segments <= most_segments && worse < 2; segments *= 2) {
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
  const auto attainable = attainable_of(Operation::all_reduce, task.members, cluster);
  if (!attainable || attainable->how.find("trees") == std::string::npos) return std::nullopt;
  return PipelineMaker(task, cluster, calibration).best();
}

}  // namespace railwright::collectives
