#include "collectives/synthesis/arborescences.hpp"

#include <algorithm>
#include <cmath>

#include "collectives/bound/tightest_cut.hpp"

namespace railwright::collectives {

namespace {

constexpr double fine = 0x1p-24;        // of the fastest link: one unit when cuts are looked for
constexpr int most_units = 160;         // of each root
constexpr double near_enough = 0.9985;  // of the tightest cut
constexpr int most_looks = 1000;        // ways that are tried for a whole edge

struct Network {
  int vertices = 0,
      root = 0;  // with the source of all roots as the last vertex, where there is one
  std::vector<int> source, target;
  std::vector<Amount> capacity;
  std::vector<int> ranks;  // vertices that must be reached
};

class Units {
 public:
  Units(const Fabric& fabric, int root) : fabric_(fabric), gathering_{{}, fabric.vertex} {
    for (const Fabric::Link& link : fabric.links) fastest_ = std::max(fastest_, link.rate);
    gathering_.weight.assign(fabric.vertices(), 0);
    for (int rank = 0; rank < fabric.ranks(); ++rank)
      if (root < 0 || rank == root) gathering_.weight[fabric.vertex[rank]] = 1;
    if (root >= 0) std::erase(gathering_.sinks, fabric.vertex[root]);
  }

  // Bytes/s of a unit, and how many of them every root can send.
  std::pair<double, Amount> best() const {
    const double most = fine * fastest_ * weights_at(fine * fastest_);
    std::pair<double, Amount> best{0, 0};
    for (int units = 1; units <= most_units; ++units) {
      const double unit = most / units;
      const auto whole = static_cast<Amount>(weights_at(unit));
      if (unit * static_cast<double>(whole) > best.first * static_cast<double>(best.second))
        best = {unit, whole};
      if (best.first * static_cast<double>(best.second) >= near_enough * most) break;
    }
    return best;
  }

  Amount capacity_of(const Fabric::Link& link, double unit) const {
    return static_cast<Amount>(std::floor(link.rate / unit + 1e-6));
  }

 private:
  double weights_at(double unit) const {
    std::vector<int> source, target;
    std::vector<Amount> capacity;
    for (const Fabric::Link& link : fabric_.links) {
      source.push_back(link.source);
      target.push_back(link.target);
      capacity.push_back(capacity_of(link, unit));
    }
    FlowNetwork network(fabric_.vertices(), source, target, std::move(capacity), 1,
                        Direction::forward);
    const Cut cut = tightest_cut(network, gathering_);
    return static_cast<double>(cut.capacity) / static_cast<double>(cut.weight);
  }

  const Fabric& fabric_;
  Gathering gathering_;
  double fastest_ = 0;
};

class Packer {
 public:
  Packer(const Fabric& fabric, Network network, Amount total)
      : fabric_(fabric), network_(std::move(network)), missing_(total) {
    leaving_.resize(network_.vertices);
    for (std::size_t a = 0; a < network_.source.size(); ++a)
      leaving_[network_.source[a]].push_back(static_cast<int>(a));
    rank_at_.assign(network_.vertices, -1);
    for (int rank = 0; rank < fabric.ranks(); ++rank) rank_at_[fabric.vertex[rank]] = rank;
  }

  std::vector<WholeTree> trees();

 private:
  struct Candidate {
    std::vector<int> way;  // arcs
    Amount weight = 0;
  };

  bool grow();
  Candidate best_edge();
  void look_from(int from, Amount least, Candidate& best, int& looks);
  Amount possible(const std::vector<int>& way) const;
  Amount deficit(Amount weight, const std::vector<Amount>& uses, int next) const;
  void take(const Candidate& edge);
  Amount left(int arc) const { return network_.capacity[arc] - weight_ * uses_[arc]; }

  const Fabric& fabric_;
  Network network_;
  Amount missing_;
  std::vector<std::vector<int>> leaving_;
  std::vector<int> rank_at_;
  // Of the tree that grows.
  Amount weight_ = 0;
  std::vector<Amount> uses_;
  std::vector<int> reached_;  // vertices, the nearest to the root first
  std::vector<int> depth_;
  std::vector<char> joined_;
  std::vector<Candidate> edges_;
};

// What some rank lacks of the units that are missing when the tree, of this weight, uses its arcs
// and `next` belongs to it.
Amount Packer::deficit(Amount weight, const std::vector<Amount>& uses, int next) const {
  std::vector<int> source = network_.source, target = network_.target;
  std::vector<Amount> capacity = network_.capacity;
  for (std::size_t a = 0; a < capacity.size(); ++a) capacity[a] -= weight * uses[a];
  const int tree = network_.vertices;
  const auto add = [&](int from, int to, Amount amount) {
    source.push_back(from);
    target.push_back(to);
    capacity.push_back(amount);
  };
  add(network_.root, tree, weight);
  for (const int v : reached_) add(tree, v, missing_);
  add(tree, next, missing_);
  FlowNetwork flow(tree + 1, source, target, std::move(capacity), 1, Direction::forward);
  flow.clear(1);
  std::vector<Amount> supply(tree + 1, 0);
  VertexSet sinks(tree + 1, 0);
  supply[network_.root] = missing_;
  int held = network_.root;
  const auto gathered = [&](int at) {
    if (at == held) return true;
    sinks[held] = 0;
    sinks[at] = 1;
    flow.push(supply, sinks);
    if (supply[held] > 0) return false;
    supply[at] = missing_;
    held = at;
    return true;
  };
  if (!gathered(next)) return supply[held];
  for (const int v : network_.ranks)
    if (v != network_.root && !gathered(v)) return supply[held];
  return 0;
}

// The largest weight of the tree with which it may grow along the way.
Amount Packer::possible(const std::vector<int>& way) const {
  std::vector<Amount> uses = uses_;
  for (const int a : way) ++uses[a];
  Amount weight = weight_;
  for (const int a : way) weight = std::min(weight, network_.capacity[a] / uses[a]);
  while (weight > 0) {
    const Amount lacking = deficit(weight, uses, network_.target[way.back()]);
    if (lacking == 0) return weight;
    weight -= lacking;
  }
  return 0;
}

// Ways to ranks outside the tree, over vertices that are no ranks, nearest first.
void Packer::look_from(int from, Amount least, Candidate& best, int& looks) {
  std::vector<int> into(network_.vertices, -1), queue{from};
  std::vector<char> seen(network_.vertices, 0);
  seen[from] = 1;
  for (std::size_t i = 0; i < queue.size(); ++i)
    for (const int a : leaving_[queue[i]]) {
      const int to = network_.target[a];
      if (seen[to] || left(a) < least) continue;
      seen[to] = 1;
      into[to] = a;
      if (rank_at_[to] < 0) {
        queue.push_back(to);
        continue;
      }
      if (joined_[to]) continue;
      Candidate candidate;
      for (int v = to; v != from; v = network_.source[into[v]]) candidate.way.push_back(into[v]);
      std::ranges::reverse(candidate.way);
      candidate.weight = possible(candidate.way);
      if (candidate.weight > best.weight) best = std::move(candidate);
      if (best.weight == weight_ || --looks == 0) return;
    }
}

// Edges that leave the tree its weight first, then the one that leaves it most.
Packer::Candidate Packer::best_edge() {
  Candidate best;
  for (const Amount least : {weight_, Amount{1}}) {
    int looks = least == weight_ ? most_looks * 4 : most_looks;
    for (const int from : reached_) {
      if (looks == 0 || best.weight == weight_) break;
      if (from == network_.root && rank_at_[from] < 0 && reached_.size() > 1) continue;
      look_from(from, least, best, looks);
    }
    if (best.weight > 0) break;
  }
  return best;
}

void Packer::take(const Candidate& edge) {
  weight_ = edge.weight;
  for (const int a : edge.way) ++uses_[a];
  const int next = network_.target[edge.way.back()];
  joined_[next] = 1;
  depth_[next] = depth_[network_.source[edge.way.front()]] + 1;
  const auto deeper = [&](int one, int other) { return depth_[one] < depth_[other]; };
  reached_.insert(std::ranges::upper_bound(reached_, next, deeper), next);
  edges_.push_back(edge);
}

bool Packer::grow() {
  weight_ = missing_;
  uses_.assign(network_.source.size(), 0);
  joined_.assign(network_.vertices, 0);
  joined_[network_.root] = 1;
  depth_.assign(network_.vertices, 0);
  reached_ = {network_.root};
  edges_.clear();
  const std::size_t all = network_.ranks.size() + (rank_at_[network_.root] < 0 ? 1 : 0);
  while (reached_.size() < all) {
    const Candidate edge = best_edge();
    if (edge.weight == 0) return false;
    take(edge);
  }
  missing_ -= weight_;
  for (std::size_t a = 0; a < uses_.size(); ++a) network_.capacity[a] -= weight_ * uses_[a];
  return true;
}

std::vector<WholeTree> Packer::trees() {
  std::vector<WholeTree> trees;
  while (missing_ > 0) {
    if (!grow()) return {};
    WholeTree tree{rank_at_[reached_[rank_at_[network_.root] < 0 ? 1 : 0]], weight_, {}};
    for (const Candidate& edge : edges_) {
      const int parent = rank_at_[network_.source[edge.way.front()]];
      if (parent >= 0)  // else from the source of all roots
        tree.edges.push_back({parent, rank_at_[network_.target[edge.way.back()]], edge.way});
    }
    trees.push_back(std::move(tree));
  }
  return trees;
}

}  // namespace

WholePacking whole_packing(const Fabric& fabric, int root) {
  const Units units(fabric, root);
  const auto [unit, weight] = units.best();
  if (weight == 0) return {};
  Network network{fabric.vertices(), root < 0 ? fabric.vertices() : fabric.vertex[root], {}, {}, {},
                  fabric.vertex};
  for (const Fabric::Link& link : fabric.links) {
    network.source.push_back(link.source);
    network.target.push_back(link.target);
    network.capacity.push_back(units.capacity_of(link, unit));
  }
  if (root < 0) {
    ++network.vertices;
    for (const int v : fabric.vertex) {
      network.source.push_back(network.root);
      network.target.push_back(v);
      network.capacity.push_back(weight);
    }
  }
  const Amount total = weight * (root < 0 ? fabric.ranks() : 1);
  return {unit, Packer(fabric, std::move(network), total).trees()};
}

}  // namespace railwright::collectives
