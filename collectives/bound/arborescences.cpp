#include <algorithm>
#include <cmath>
#include <queue>

#include "collectives/bound/column_generation.hpp"

namespace railwright::collectives {

namespace {

constexpr std::size_t most_links_seen = 10'000'000;  // in all searches for ways: a second or so

struct Arc {
  int from = 0, to = 0;
  double cost = 0;
  int origin = 0;  // index of the arc before contraction
};

// Vertices of cycles among the cheapest arcs into each vertex get the number of their cycle, others
// -1; how many cycles there are.
int number_cycles(const std::vector<int>& into, const std::vector<Arc>& arcs, int root,
                  std::vector<int>& cycle) {
  const auto count = static_cast<int>(into.size());
  std::vector<int> seen(count, -1);
  cycle.assign(count, -1);
  int cycles = 0;
  for (int start = 0; start < count; ++start) {
    int v = start;
    while (v != root && seen[v] < 0) {
      seen[v] = start;
      v = arcs[into[v]].from;
    }
    if (v == root || seen[v] != start) continue;
    for (int u = v; cycle[u] < 0; u = arcs[into[u]].from) cycle[u] = cycles;
    ++cycles;
  }
  return cycles;
}

// Indices of arcs of the cheapest arborescence; every vertex can be reached. Cycles are contracted
// until there are none (Chu, Liu 1965; Edmonds 1967).
std::vector<int> cheapest_arborescence(int vertices, int root, const std::vector<Arc>& arcs) {
  std::vector<int> into(vertices, -1), chosen;
  for (std::size_t a = 0; a < arcs.size(); ++a) {
    const int to = arcs[a].to;
    if (to != root && (into[to] < 0 || arcs[a].cost < arcs[into[to]].cost))
      into[to] = static_cast<int>(a);
  }
  std::vector<int> cycle;
  const int cycles = number_cycles(into, arcs, root, cycle);
  if (cycles == 0) {
    for (int v = 0; v < vertices; ++v)
      if (v != root) chosen.push_back(into[v]);
    return chosen;
  }
  std::vector<int> name(vertices);
  int names = cycles;
  for (int v = 0; v < vertices; ++v) name[v] = cycle[v] >= 0 ? cycle[v] : names++;
  std::vector<Arc> smaller;
  for (std::size_t a = 0; a < arcs.size(); ++a) {
    const Arc& arc = arcs[a];
    if (name[arc.from] == name[arc.to] || arc.to == root) continue;
    const double saved = cycle[arc.to] >= 0 ? arcs[into[arc.to]].cost : 0;
    smaller.push_back({name[arc.from], name[arc.to], arc.cost - saved, static_cast<int>(a)});
  }
  std::vector<char> entered(vertices, 0);
  for (const int a : cheapest_arborescence(names, name[root], smaller)) {
    chosen.push_back(smaller[a].origin);
    entered[arcs[smaller[a].origin].to] = 1;
  }
  for (int v = 0; v < vertices; ++v)
    if (cycle[v] >= 0 && !entered[v]) chosen.push_back(into[v]);
  return chosen;
}

bool all_reached(int vertices, int root, const std::vector<Arc>& arcs) {
  std::vector<std::vector<int>> next(vertices);
  for (const Arc& arc : arcs) next[arc.from].push_back(arc.to);
  std::vector<char> reached(vertices, 0);
  std::vector<int> queue{root};
  reached[root] = 1;
  for (std::size_t i = 0; i < queue.size(); ++i)
    for (const int to : next[queue[i]])
      if (!reached[to]) {
        reached[to] = 1;
        queue.push_back(to);
      }
  return static_cast<int>(queue.size()) == vertices;
}

class CheapestArborescence {
 public:
  CheapestArborescence(const DirectedNetwork& network, int root);
  SpanningTree at(const std::vector<double>& price);

 private:
  void spread_from(int rank, const std::vector<double>& price);
  std::vector<int> way_between(int from, int to) const;

  const DirectedNetwork& network_;
  int root_;
  std::vector<int> rank_at_;
  std::vector<std::vector<int>> out_;
  std::vector<double> distance_;
  std::vector<std::vector<int>> link_to_;  // of the cheapest ways, by rank they come from
};

CheapestArborescence::CheapestArborescence(const DirectedNetwork& network, int root)
    : network_(network),
      root_(root),
      rank_at_(network.vertices, -1),
      out_(network.vertices),
      link_to_(network.ranks.size()) {
  for (std::size_t r = 0; r < network.ranks.size(); ++r)
    rank_at_[network.ranks[r]] = static_cast<int>(r);
  for (std::size_t l = 0; l < network.links.size(); ++l)
    out_[network.links[l].source].push_back(static_cast<int>(l));
}

// Cheapest ways that lead through no other rank.
void CheapestArborescence::spread_from(int rank, const std::vector<double>& price) {
  distance_.assign(network_.vertices, INFINITY);
  std::vector<int>& link_to = link_to_[rank];
  link_to.assign(network_.vertices, -1);
  using Entry = std::pair<double, int>;
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> queue;
  distance_[network_.ranks[rank]] = 0;
  queue.push({0, network_.ranks[rank]});
  while (!queue.empty()) {
    const auto [distance, v] = queue.top();
    queue.pop();
    if (distance > distance_[v] || (rank_at_[v] >= 0 && rank_at_[v] != rank)) continue;
    for (const int l : out_[v]) {
      const int to = network_.links[l].target;
      if (distance + price[l] >= distance_[to]) continue;
      distance_[to] = distance + price[l];
      link_to[to] = l;
      queue.push({distance_[to], to});
    }
  }
}

std::vector<int> CheapestArborescence::way_between(int from, int to) const {
  const std::vector<int>& link_to = link_to_[from];
  std::vector<int> way;
  for (int v = network_.ranks[to]; link_to[v] >= 0; v = network_.links[link_to[v]].source)
    way.push_back(link_to[v]);
  std::ranges::reverse(way);
  return way;
}

SpanningTree CheapestArborescence::at(const std::vector<double>& price) {
  const auto ranks = static_cast<int>(network_.ranks.size());
  std::vector<Arc> arcs;
  for (int from = 0; from < ranks; ++from) {
    spread_from(from, price);
    for (int to = 0; to < ranks; ++to) {
      const double cost = distance_[network_.ranks[to]];
      if (to != from && cost < INFINITY) arcs.push_back({from, to, cost, 0});
    }
  }
  if (!all_reached(ranks, root_, arcs)) return {};
  SpanningTree tree;
  for (const int a : cheapest_arborescence(ranks, root_, arcs))
    tree.edges.push_back({network_.ranks[arcs[a].from], network_.ranks[arcs[a].to],
                          way_between(arcs[a].from, arcs[a].to)});
  return tree;
}

}  // namespace

TreePacking packed_arborescences(const DirectedNetwork& network, int root) {
  std::vector<double> capacity;
  for (const DirectedNetwork::Link& link : network.links) capacity.push_back(link.capacity);
  CheapestArborescence cheapest(network, root);
  const std::size_t per_tree = network.ranks.size() * network.links.size() + 1;
  return packing_of(
      capacity, network.ranks.size() - 1,
      [&](const std::vector<double>& price) { return cheapest.at(price); },
      static_cast<int>(most_links_seen / per_tree));
}

}  // namespace railwright::collectives
