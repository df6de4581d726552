#include "collectives/bound/tree_packing.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <queue>

#include "collectives/bound/column_generation.hpp"

namespace railwright::collectives {

namespace {

using Link = UndirectedNetwork::Link;

// The cheapest spanning tree of ranks: every vertex belongs to its nearest rank, and the links
// between such regions are the edges to choose from.
class CheapestTree {
 public:
  explicit CheapestTree(const UndirectedNetwork& network);
  SpanningTree at(const std::vector<double>& price);

 private:
  void spread(const std::vector<double>& price);
  std::vector<int> way_to(int vertex) const;

  const UndirectedNetwork& network_;
  std::vector<std::vector<int>> links_at_;
  std::vector<double> distance_;
  std::vector<int> nearest_, link_to_;  // rank vertex of each region; first link back to it
};

CheapestTree::CheapestTree(const UndirectedNetwork& network)
    : network_(network), links_at_(network.vertices) {
  for (std::size_t l = 0; l < network.links.size(); ++l)
    for (const int v : {network.links[l].a, network.links[l].b})
      links_at_[v].push_back(static_cast<int>(l));
}

void CheapestTree::spread(const std::vector<double>& price) {
  distance_.assign(network_.vertices, INFINITY);
  nearest_.assign(network_.vertices, -1);
  link_to_.assign(network_.vertices, -1);
  using Entry = std::pair<double, int>;
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> queue;
  for (const int rank : network_.ranks) {
    distance_[rank] = 0;
    nearest_[rank] = rank;
    queue.push({0, rank});
  }
  while (!queue.empty()) {
    const auto [distance, v] = queue.top();
    queue.pop();
    if (distance > distance_[v]) continue;
    for (const int l : links_at_[v]) {
      const Link& link = network_.links[l];
      const int to = link.a == v ? link.b : link.a;
      if (distance + price[l] >= distance_[to]) continue;
      distance_[to] = distance + price[l];
      nearest_[to] = nearest_[v];
      link_to_[to] = l;
      queue.push({distance_[to], to});
    }
  }
}

// Links from the nearest rank to the vertex.
std::vector<int> CheapestTree::way_to(int vertex) const {
  std::vector<int> way;
  for (int v = vertex; link_to_[v] >= 0;) {
    const Link& link = network_.links[link_to_[v]];
    way.push_back(link_to_[v]);
    v = link.a == v ? link.b : link.a;
  }
  std::ranges::reverse(way);
  return way;
}

SpanningTree CheapestTree::at(const std::vector<double>& price) {
  spread(price);
  std::vector<std::pair<double, int>> order;
  for (std::size_t l = 0; l < network_.links.size(); ++l) {
    const Link& link = network_.links[l];
    if (nearest_[link.a] < 0 || nearest_[link.a] == nearest_[link.b]) continue;
    order.push_back({distance_[link.a] + price[l] + distance_[link.b], static_cast<int>(l)});
  }
  std::ranges::sort(order);
  std::vector<int> parent(network_.vertices);
  std::iota(parent.begin(), parent.end(), 0);
  const auto root_of = [&](int v) {
    while (parent[v] != v) v = parent[v] = parent[parent[v]];
    return v;
  };
  SpanningTree tree;
  for (const auto& [cost, l] : order) {
    const Link& link = network_.links[l];
    const int a = root_of(nearest_[link.a]), b = root_of(nearest_[link.b]);
    if (a == b) continue;
    parent[a] = b;
    std::vector<int> way = way_to(link.a), rest = way_to(link.b);
    way.push_back(l);
    way.insert(way.end(), rest.rbegin(), rest.rend());
    tree.edges.push_back({nearest_[link.a], nearest_[link.b], std::move(way)});
  }
  return tree;
}

}  // namespace

UndirectedNetwork undirected(const topology::Graph& graph, std::vector<int> ranks) {
  UndirectedNetwork network{graph.vertices(), {}, std::move(ranks)};
  for (int l = 0; l < graph.links(); ++l) {
    const topology::LinkId link{l};
    const topology::VertexId a = graph.source_of(link), b = graph.target_of(link);
    const auto back = graph.link_between(b, a);
    if (a > b || !back) continue;
    const double rate = std::min(graph.capacity(link), graph.capacity(*back)).bytes_per_second;
    if (rate > 0) network.links.push_back({a.index, b.index, rate, l, back->index});
  }
  return network;
}

TreePacking packed_trees(const UndirectedNetwork& network) {
  std::vector<double> capacity;
  for (const Link& link : network.links) capacity.push_back(link.capacity);
  CheapestTree cheapest(network);
  return packing_of(capacity, network.ranks.size() - 1,
                    [&](const std::vector<double>& price) { return cheapest.at(price); });
}

}  // namespace railwright::collectives
