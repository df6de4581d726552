#include "collectives/synthesis/streams.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "collectives/bound/tree_packing.hpp"
#include "collectives/cost.hpp"
#include "collectives/synthesis/arborescences.hpp"

namespace railwright::collectives {

namespace {

constexpr int most_ranks_in_parts = 40;  // trees at every rank are found in seconds
constexpr std::size_t most_links = 700;  // a linear program over spanning trees as well
constexpr double near_enough = 0.9985;   // of the rate of the linear program
constexpr std::size_t most_sends = 2'000'000;
constexpr double filling = 0.006;             // of the time, at most, goes into filling the trees
constexpr std::uint64_t smallest_chunk = 64;  // bytes

// Edges from the root outwards; depth of their upper end.
struct StreamTree {
  struct Edge {
    int parent = 0, child = 0, depth = 0;  // ranks
    std::vector<int> down, up;             // links of the graph
  };
  int root = 0, levels = 0;
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

StreamTree rooted_at(int root, const SpanningTree& tree, const UndirectedNetwork& network,
                     const Fabric& fabric) {
  StreamTree rooted{root, 0, 0, {}};
  std::vector<int> depth(fabric.ranks(), -1), queue{root};
  depth[root] = 0;
  for (std::size_t i = 0; i < queue.size(); ++i)
    for (const SpanningTree::Edge& edge : tree.edges) {
      const int a = fabric.rank_at[edge.a], b = fabric.rank_at[edge.b];
      const bool forth = a == queue[i];
      const int child = forth ? b : a;
      if ((!forth && b != queue[i]) || depth[child] >= 0) continue;
      depth[child] = depth[queue[i]] + 1;
      rooted.levels = std::max(rooted.levels, depth[child]);
      queue.push_back(child);
      auto [down, up] = ways_along(edge, forth, network);
      rooted.edges.push_back({queue[i], child, depth[queue[i]], std::move(down), std::move(up)});
    }
  return rooted;
}

StreamTree centred(const SpanningTree& tree, const UndirectedNetwork& network,
                   const Fabric& fabric) {
  StreamTree best = rooted_at(0, tree, network, fabric);
  for (int root = 1; root < fabric.ranks(); ++root) {
    StreamTree other = rooted_at(root, tree, network, fabric);
    if (other.levels < best.levels) best = std::move(other);
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

// Bytes/s of one chunk of the width at which the busiest link is full.
double rate_of(const std::vector<std::int64_t>& width, const TreePacking& packing,
               const UndirectedNetwork& network) {
  std::vector<double> load(network.links.size(), 0);
  for (std::size_t t = 0; t < width.size(); ++t)
    for (const SpanningTree::Edge& edge : packing.trees[t].edges)
      for (const int l : edge.way) load[l] += static_cast<double>(width[t]);
  double rate = INFINITY;
  for (std::size_t l = 0; l < load.size(); ++l)
    if (load[l] > 0) rate = std::min(rate, network.links[l].capacity / load[l]);
  return rate;
}

// As few chunks as come close to the exact weights: every chunk is looked at when it is sent.
std::vector<std::int64_t> best_widths(const TreePacking& packing,
                                      const UndirectedNetwork& network) {
  std::vector<std::int64_t> best;
  double most = 0;
  const auto count = static_cast<std::int64_t>(packing.trees.size());
  for (std::int64_t total = count / 2 + 1; total <= 32 * count && most < near_enough * packing.rate;
       ++total) {
    std::vector<std::int64_t> width = widths_of(packing, total);
    const double rate = rate_of(width, packing, network) * static_cast<double>(total);
    if (rate <= most * 1.0005) continue;
    most = rate;
    best = std::move(width);
  }
  return best;
}

// Edges of trees, a channel for each at its source.
class StreamForest {
 public:
  explicit StreamForest(int ranks) : channels_(ranks, 0) { forest_.shares_links = true; }

  void plant(int root, std::int64_t width) {
    forest_.root.push_back(root);
    forest_.width.push_back(width);
  }
  int channel_at(int source) { return channels_[source]++; }
  void add_up(int source, int target, std::int64_t step, int channel, const std::vector<int>& way) {
    forest_.up.push_back(edge(source, target, step, channel, way));
  }
  void add_down(int source, int target, std::int64_t step, int channel,
                const std::vector<int>& way) {
    forest_.down.push_back(edge(source, target, step, channel, way));
  }
  Forest take() && {
    const auto key = [](const Forest::Edge& edge) { return std::pair(edge.step, edge.source); };
    std::ranges::stable_sort(forest_.up, {}, key);
    std::ranges::stable_sort(forest_.down, {}, key);
    return std::move(forest_);
  }

 private:
  Forest::Edge edge(int source, int target, std::int64_t step, int channel,
                    const std::vector<int>& way) {
    const auto [place, first] = routes_.try_emplace(way, static_cast<int>(forest_.routes.size()));
    if (first) {
      forest_.routes.emplace_back();
      for (const int link : way) forest_.routes.back().push_back({link});
    }
    return {
        static_cast<int>(forest_.root.size()) - 1, source, target, step, channel, place->second};
  }

  Forest forest_;
  std::vector<int> channels_;  // of each rank
  std::map<std::vector<int>, int> routes_;
};

class StreamMaker {
 public:
  StreamMaker(const SynthesisTask& task, const topology::Cluster& cluster,
              const topology::Calibration& calibration);

  std::optional<Streams> best();

 private:
  bool both_ways() const { return task_.operation == Operation::all_reduce; }
  bool backwards() const {
    return task_.operation == Operation::reduce || task_.operation == Operation::reduce_scatter;
  }
  bool comes_up() const { return reduces(task_.operation); }
  bool goes_down() const { return !backwards(); }
  void take_whole(const WholePacking& packing);
  void take_spanning(const topology::Graph& graph);
  void measure();
  int best_segments() const;
  void add_tree(const StreamTree& tree, int segments, StreamForest& forest) const;
  double segment_time(int segments) const {
    return static_cast<double>(task_.size.count) /
           (static_cast<double>(chunks_) * segments * rate_);
  }

  const SynthesisTask& task_;
  bool in_parts_;
  Fabric fabric_;
  double software_latency_;
  std::vector<StreamTree> trees_;  // ascending by root
  std::int64_t chunks_ = 0;        // of the buffer, in one segment
  double rate_ = 0;                // bytes/s of one of them
  double latency_ = 0;             // of the slowest path, s
  int levels_ = 0;                 // of the highest tree, both ways
  std::size_t edges_ = 0;
};

StreamMaker::StreamMaker(const SynthesisTask& task, const topology::Cluster& cluster,
                         const topology::Calibration& calibration)
    : task_(task),
      in_parts_(in_parts(task.operation)),
      fabric_(fabric_of(task.members, cluster, calibration,
                        backwards() ? Towards::reversed : Towards::forward)),
      software_latency_(software_latency(calibration, cluster).value) {
  if (both_ways())
    take_spanning(cluster.graph);
  else if (!in_parts_ || fabric_.ranks() <= most_ranks_in_parts)
    take_whole(whole_packing(fabric_, in_parts_ ? -1 : task.root));
  measure();
}

void StreamMaker::take_whole(const WholePacking& packing) {
  rate_ = packing.unit;
  for (const WholeTree& tree : packing.trees) {
    StreamTree stream{tree.root, 0, tree.weight, {}};
    std::vector<int> depth(fabric_.ranks(), 0);
    for (const WholeTree::Edge& edge : tree.edges) {
      depth[edge.child] = depth[edge.parent] + 1;
      stream.levels = std::max(stream.levels, depth[edge.child]);
      std::vector<int> up(edge.way.rbegin(), edge.way.rend());
      stream.edges.push_back({edge.parent, edge.child, depth[edge.parent], edge.way, up});
    }
    trees_.push_back(std::move(stream));
  }
  std::ranges::stable_sort(trees_, {}, &StreamTree::root);
}

void StreamMaker::take_spanning(const topology::Graph& graph) {
  UndirectedNetwork network = undirected(graph, fabric_.vertex);
  if (network.links.size() > most_links) return;
  for (UndirectedNetwork::Link& link : network.links)
    link.capacity = std::min(fabric_.links[link.forth].rate, fabric_.links[link.back].rate);
  const TreePacking packing = packed_trees(network);
  const std::vector<std::int64_t> widths = best_widths(packing, network);
  rate_ = rate_of(widths, packing, network);
  for (std::size_t t = 0; t < widths.size(); ++t) {
    if (widths[t] == 0) continue;
    trees_.push_back(centred(packing.trees[t], network, fabric_));
    trees_.back().width = widths[t];
  }
}

void StreamMaker::measure() {
  for (const StreamTree& tree : trees_) {
    std::vector<double> arrival(fabric_.ranks(), 0);
    for (const StreamTree::Edge& edge : tree.edges) {
      double latency = software_latency_;
      for (const int l : edge.down) latency += fabric_.links[l].latency;
      arrival[edge.child] = arrival[edge.parent] + latency;
    }
    const int ways = both_ways() ? 2 : 1;
    latency_ = std::max(latency_, ways * *std::ranges::max_element(arrival));
    levels_ = std::max(levels_, ways * tree.levels);
    edges_ += ways * tree.edges.size();
    chunks_ += tree.width;
  }
}

// As many as keep the filling short, as long as that is worth its sends and chunks hold some bytes.
int StreamMaker::best_segments() const {
  const auto wanted = static_cast<std::size_t>(std::ceil((levels_ - 1) / filling));
  const auto bytes = task_.size.count / (smallest_chunk * static_cast<std::uint64_t>(chunks_));
  return static_cast<int>(
      std::max<std::size_t>(1, std::min({wanted, most_sends / edges_, std::size_t{bytes}})));
}

// Parts lie rank after rank, so there every segment is a tree of its own.
void StreamMaker::add_tree(const StreamTree& tree, int segments, StreamForest& forest) const {
  const int levels = both_ways() ? levels_ / 2 : levels_;
  std::vector<int> up_channel, down_channel;
  for (const StreamTree::Edge& edge : tree.edges) {
    up_channel.push_back(comes_up() ? forest.channel_at(edge.child) : 0);
    down_channel.push_back(goes_down() ? forest.channel_at(edge.parent) : 0);
  }
  for (int segment = 0; segment < segments; ++segment) {
    forest.plant(tree.root, tree.width);
    for (std::size_t e = 0; e < tree.edges.size(); ++e) {
      const StreamTree::Edge& edge = tree.edges[e];
      const int up = levels - 1 - edge.depth, down = (comes_up() ? levels : 0) + edge.depth;
      if (comes_up()) forest.add_up(edge.child, edge.parent, up + segment, up_channel[e], edge.up);
      if (goes_down())
        forest.add_down(edge.parent, edge.child, down + segment, down_channel[e], edge.down);
    }
  }
}

std::optional<Streams> StreamMaker::best() {
  if (trees_.empty()) return std::nullopt;
  const int segments = best_segments();
  StreamForest forest(fabric_.ranks());
  for (const StreamTree& tree : trees_) add_tree(tree, in_parts_ ? segments : 1, forest);
  const double time = (segments - 1 + levels_) * segment_time(segments) + latency_;
  const std::int64_t roots = in_parts_ ? fabric_.ranks() : 1;
  return Streams{std::move(forest).take(),
                 in_parts_ ? 1 : segments,
                 static_cast<int>(chunks_ * segments / roots),
                 {time}};
}

}  // namespace

std::optional<Streams> best_streams(const SynthesisTask& task, const topology::Cluster& cluster,
                                    const topology::Calibration& calibration) {
  if (task.occupancy != Occupancy::bytes || task.chunks > 0) return std::nullopt;
  return StreamMaker(task, cluster, calibration).best();
}

}  // namespace railwright::collectives
