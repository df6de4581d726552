#include "collectives/bound/tree_packing.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <queue>
#include <random>

namespace railwright::collectives {

namespace {

using Link = UndirectedNetwork::Link;

constexpr double tolerance = 1e-6, tiny = 1e-9;
constexpr double most_work = 2e9;  // entries of the inverse that are touched

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

// The simplex method with the inverse of the basis kept; rows are links, columns trees and slacks.
// Capacities are shifted by up to a millionth at random, so that no step has length zero.
class Program {
 public:
  explicit Program(const UndirectedNetwork& network);
  TreePacking solve();

 private:
  static constexpr int slack = -1;

  double& inverse(std::size_t row, std::size_t column) { return inverse_[row * rows_ + column]; }
  std::vector<double> uses_of(const SpanningTree& tree) const;
  double cost_of(const std::vector<double>& uses) const;
  void enter(const std::vector<double>& column, int tree, double gain);
  bool enter_slack();
  double value() const;
  double value_of_prices() const;
  TreePacking result();

  const UndirectedNetwork& network_;
  CheapestTree cheapest_;
  std::size_t rows_;
  double scale_ = 0;  // largest capacity
  std::vector<double> capacity_, inverse_, amount_, price_;
  std::vector<int> basis_;  // tree of each row, or slack
  std::vector<SpanningTree> trees_;
  double bound_ = INFINITY, work_ = 0;
};

Program::Program(const UndirectedNetwork& network)
    : network_(network),
      cheapest_(network),
      rows_(network.links.size()),
      inverse_(rows_ * rows_, 0),
      price_(rows_, 0),
      basis_(rows_, slack) {
  for (const Link& link : network.links) scale_ = std::max(scale_, link.capacity);
  std::mt19937_64 random(1);
  for (std::size_t l = 0; l < rows_; ++l) {
    const double shift = static_cast<double>(random() >> 11) * 0x1p-53 * tolerance / 4;
    capacity_.push_back(network.links[l].capacity / scale_ * (1 - shift));
    inverse(l, l) = 1;
  }
  amount_ = capacity_;
}

std::vector<double> Program::uses_of(const SpanningTree& tree) const {
  std::vector<double> uses(rows_, 0);
  for (const SpanningTree::Edge& edge : tree.edges)
    for (const int l : edge.way) uses[l] += 1;
  return uses;
}

double Program::cost_of(const std::vector<double>& uses) const {
  return std::inner_product(uses.begin(), uses.end(), price_.begin(), 0.0);
}

double Program::value() const {
  double sum = 0;
  for (std::size_t r = 0; r < rows_; ++r)
    if (basis_[r] != slack) sum += amount_[r];
  return sum;
}

double Program::value_of_prices() const {
  double sum = 0;
  for (std::size_t l = 0; l < rows_; ++l) sum += std::max(0.0, price_[l]) * capacity_[l];
  return sum;
}

// One step of the method: `gain` is the reduced cost of the column.
void Program::enter(const std::vector<double>& column, int tree, double gain) {
  std::vector<double> direction(rows_, 0);
  for (std::size_t r = 0; r < rows_; ++r)
    for (std::size_t l = 0; l < rows_; ++l)
      if (column[l] != 0) direction[r] += inverse(r, l) * column[l];
  std::size_t leaving = rows_;
  double least = INFINITY;
  for (std::size_t r = 0; r < rows_; ++r)
    if (direction[r] > tiny && amount_[r] / direction[r] < least) {
      least = amount_[r] / direction[r];
      leaving = r;
    }
  if (leaving == rows_) return;
  for (std::size_t l = 0; l < rows_; ++l) inverse(leaving, l) /= direction[leaving];
  for (std::size_t r = 0; r < rows_; ++r) {
    if (r == leaving || std::abs(direction[r]) < 1e-14) continue;
    for (std::size_t l = 0; l < rows_; ++l) inverse(r, l) -= direction[r] * inverse(leaving, l);
    amount_[r] = std::max(0.0, amount_[r] - direction[r] * least);
  }
  amount_[leaving] = least;
  basis_[leaving] = tree;
  for (std::size_t l = 0; l < rows_; ++l) price_[l] += gain * inverse(leaving, l);
  work_ += 2 * static_cast<double>(rows_ * rows_);
}

// A link with a price below zero is better left free.
bool Program::enter_slack() {
  const auto lowest = std::ranges::min_element(price_);
  if (lowest == price_.end() || *lowest > -tiny) return false;
  std::vector<double> column(rows_, 0);
  column[lowest - price_.begin()] = 1;
  enter(column, slack, -*lowest);
  return true;
}

TreePacking Program::solve() {
  if (rows_ == 0 || scale_ == 0) return {};
  while (work_ < most_work) {
    if (enter_slack()) continue;
    std::vector<double> price = price_;
    for (double& p : price) p = std::max(p, 0.0) + tiny / 1000;  // the shorter of two free ways
    SpanningTree tree = cheapest_.at(price);
    if (tree.edges.size() + 1 < network_.ranks.size()) return {};
    const std::vector<double> uses = uses_of(tree);
    const double cost = cost_of(uses);
    if (cost > 0) bound_ = std::min(bound_, value_of_prices() / cost);
    if (cost >= 1 - tiny || value() >= bound_ * (1 - tolerance / 2)) break;
    trees_.push_back(std::move(tree));
    enter(uses, static_cast<int>(trees_.size()) - 1, 1 - cost);
  }
  return result();
}

// Rounding in the inverse must not overload a link: all weights give way to the worst.
TreePacking Program::result() {
  TreePacking packing;
  std::vector<double> load(rows_, 0);
  for (std::size_t r = 0; r < rows_; ++r) {
    if (basis_[r] == slack || amount_[r] <= tiny) continue;
    packing.trees.push_back(trees_[basis_[r]]);
    packing.trees.back().weight = amount_[r] * scale_;
    const std::vector<double> uses = uses_of(packing.trees.back());
    for (std::size_t l = 0; l < rows_; ++l) load[l] += uses[l] * packing.trees.back().weight;
  }
  double worst = 1;
  for (std::size_t l = 0; l < rows_; ++l)
    if (load[l] > 0) worst = std::max(worst, load[l] / network_.links[l].capacity);
  for (SpanningTree& tree : packing.trees) packing.rate += tree.weight /= worst;
  packing.bound = bound_ * scale_ * (1 + tolerance);
  return packing;
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

TreePacking packed_trees(const UndirectedNetwork& network) { return Program(network).solve(); }

}  // namespace railwright::collectives
