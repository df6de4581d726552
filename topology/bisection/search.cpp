#include "topology/bisection/search.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace railwright::topology {

CutGraph::CutGraph(const Cluster& cluster) {
  const Graph& graph = cluster.graph;
  std::vector<std::int64_t> count(static_cast<std::size_t>(graph.vertices()) + 1, 0);
  for (int l = 0; l < graph.links(); ++l) {
    ++count[graph.source[l] + 1];
    ++count[graph.target[l] + 1];
  }
  std::partial_sum(count.begin(), count.end(), count.begin());
  first_ = count;
  neighbours_.resize(static_cast<std::size_t>(first_.back()));
  for (int l = 0; l < graph.links(); ++l) {
    const int from = graph.source[l], to = graph.target[l];
    const double half = graph.capacity(LinkId{l}).bytes_per_second / 2;
    neighbours_[count[from]++] = {to, half};
    neighbours_[count[to]++] = {from, half};
  }
  weighs_.assign(graph.vertices(), 0);
  for (int a = 0; a < cluster.accelerators(); ++a) {
    accelerators_.push_back(cluster.vertex_of({a}).index);
    weighs_[accelerators_.back()] = 1;
  }
}

namespace {

// Up to here a search takes a second or two, and its passes shrink with the size.
constexpr int most_links = 1'000'000;

// The cheaper of the two directions across the cut.
Bandwidth cut_of(const Graph& graph, const Sides& sides) {
  Bandwidth across[2];
  for (int l = 0; l < graph.links(); ++l) {
    const char from = sides[graph.source[l]];
    if (from != sides[graph.target[l]])
      across[static_cast<int>(from)] = across[static_cast<int>(from)] + graph.capacity(LinkId{l});
  }
  return std::min(across[0], across[1]);
}

// Moves every switch to the side that more capacity leads to; a few rounds reach the top tiers.
void settle(const CutGraph& graph, Sides& sides) {
  bool moved = true;
  for (int round = 0; round < 8 && moved; ++round) {
    moved = false;
    for (int v = 0; v < graph.vertices(); ++v) {
      if (graph.weighs(v)) continue;
      double pull = 0;
      for (auto n = graph.begin(v); n != graph.end(v); ++n)
        pull += sides[n->vertex] ? n->capacity : -n->capacity;
      const char side = pull > 0 ? 1 : pull < 0 ? 0 : sides[v];
      moved = moved || side != sides[v];
      sides[v] = side;
    }
  }
}

void remove_mean_and_scale(std::vector<double>& x) {
  const double mean = std::accumulate(x.begin(), x.end(), 0.0) / static_cast<double>(x.size());
  double norm = 0;
  for (double& value : x) {
    value -= mean;
    norm += value * value;
  }
  for (double& value : x) value /= std::sqrt(norm) + 1e-300;
}

}  // namespace

Sides halved(const CutGraph& graph, const std::vector<int>& order) {
  Sides sides(graph.vertices(), 0);
  for (std::size_t i = 0; i < order.size() / 2; ++i) sides[order[i]] = 1;
  settle(graph, sides);
  return sides;
}

std::vector<int> spectral_order(const CutGraph& graph, int rounds) {
  const int n = graph.vertices();
  std::vector<double> degree(n, 0), x(n), y(n);
  for (int v = 0; v < n; ++v)
    for (auto u = graph.begin(v); u != graph.end(v); ++u) degree[v] += u->capacity;
  const double most = *std::max_element(degree.begin(), degree.end());
  for (int v = 0; v < n; ++v) x[v] = std::sin(1.0 + 0.7 * v) + static_cast<double>(v) / n;
  // x <- (2 most I - Laplacian) x: its largest eigenvector beside the constant one is the
  // Laplacian's second smallest.
  for (int round = 0; round < rounds; ++round) {
    remove_mean_and_scale(x);
    for (int v = 0; v < n; ++v) {
      y[v] = (2 * most - degree[v]) * x[v];
      for (auto u = graph.begin(v); u != graph.end(v); ++u) y[v] += u->capacity * x[u->vertex];
    }
    x.swap(y);
  }
  std::vector<int> order = graph.accelerators();
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return x[a] < x[b]; });
  return order;
}

Bisection searched_bisection(const Cluster& cluster) {
  const CutGraph graph(cluster);
  const int links = cluster.graph.links();
  Sides ordered = halved(graph, graph.accelerators());
  if (links > most_links) return {cut_of(cluster.graph, ordered), false, "accelerators in order"};
  const int passes = std::clamp(most_links / std::max(links, 1), 1, 12);
  improve(graph, ordered, passes);
  Sides spectral = halved(graph, spectral_order(graph, 25 * passes));
  improve(graph, spectral, passes);
  const Bandwidth a = cut_of(cluster.graph, ordered), b = cut_of(cluster.graph, spectral);
  return {std::min(a, b), false, b < a ? "spectral" : "fiduccia-mattheyses"};
}

}  // namespace railwright::topology
