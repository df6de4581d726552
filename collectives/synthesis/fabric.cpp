#include "collectives/synthesis/fabric.hpp"

#include <algorithm>
#include <numeric>

#include "collectives/bound/group_reach.hpp"

namespace railwright::collectives {

namespace {

using topology::Graph;

void add_links(const Graph& graph, const topology::Calibration& calibration, Towards towards,
               Fabric& fabric) {
  for (int l = 0; l < graph.links(); ++l) {
    Fabric::Link link{graph.source[l], graph.target[l],
                      topology::effective_capacity(graph, {l}, calibration).bytes_per_second,
                      graph.class_of(topology::LinkId{l}).latency.value};
    if (towards == Towards::reversed) std::swap(link.source, link.target);
    fabric.links.push_back(link);
  }
  fabric.first_out.assign(graph.vertices() + 1, 0);
  for (const Fabric::Link& link : fabric.links) ++fabric.first_out[link.source + 1];
  std::partial_sum(fabric.first_out.begin(), fabric.first_out.end(), fabric.first_out.begin());
  fabric.out.resize(fabric.links.size());
  std::vector<int> next(fabric.first_out.begin(), fabric.first_out.end() - 1);
  for (std::size_t l = 0; l < fabric.links.size(); ++l)
    fabric.out[next[fabric.links[l].source]++] = static_cast<int>(l);
}

// Links that enter a vertex, as lists of their sources.
std::vector<std::vector<int>> entering(const Fabric& fabric) {
  std::vector<std::vector<int>> sources(fabric.vertices());
  for (const Fabric::Link& link : fabric.links)
    if (link.rate > 0) sources[link.target].push_back(link.source);
  return sources;
}

std::vector<int> distances_to(int rank, const Fabric& fabric,
                              const std::vector<std::vector<int>>& sources,
                              const std::vector<char>& forwards) {
  std::vector<int> distance(fabric.vertices(), -1), queue{fabric.vertex[rank]};
  distance[queue.front()] = 0;
  for (std::size_t i = 0; i < queue.size(); ++i) {
    const int v = queue[i];
    if (i > 0 && (fabric.rank_at[v] >= 0 || !forwards[v])) continue;
    for (const int u : sources[v])
      if (distance[u] < 0) {
        distance[u] = distance[v] + 1;
        queue.push_back(u);
      }
  }
  return distance;
}

int root_of(std::vector<int>& parent, int v) {
  while (parent[v] != v) v = parent[v] = parent[parent[v]];
  return v;
}

// Single linkage over the links, fastest first.
void add_groups(Fabric& fabric) {
  std::vector<int> parent(fabric.vertices()), order(fabric.links.size()), own(fabric.ranks());
  std::iota(parent.begin(), parent.end(), 0);
  std::iota(order.begin(), order.end(), 0);
  std::iota(own.begin(), own.end(), 0);
  fabric.group = {own};
  std::ranges::stable_sort(order, std::greater{}, [&](int l) { return fabric.links[l].rate; });
  for (std::size_t i = 0; i < order.size(); ++i) {
    const Fabric::Link& link = fabric.links[order[i]];
    parent[root_of(parent, link.source)] = root_of(parent, link.target);
    const bool last = i + 1 == order.size() || fabric.links[order[i + 1]].rate < link.rate;
    if (!last) continue;
    std::vector<int> level, first(fabric.vertices(), -1);
    for (int r = 0; r < fabric.ranks(); ++r) {
      int& name = first[root_of(parent, fabric.vertex[r])];
      if (name < 0) name = r;
      level.push_back(name);
    }
    if (std::ranges::all_of(level, [&](int g) { return g == level.front(); })) return;
    if (level != fabric.group.back()) fabric.group.push_back(std::move(level));
  }
}

}  // namespace

LinkRates effective_rates(const topology::Graph& graph, const topology::Calibration& calibration) {
  return rates_of(graph, [&](topology::LinkId link) {
    return topology::effective_capacity(graph, link, calibration);
  });
}

Fabric fabric_of(const std::vector<topology::AcceleratorId>& members,
                 const topology::Cluster& cluster, const topology::Calibration& calibration,
                 Towards towards) {
  Fabric fabric;
  fabric.rank_at.assign(cluster.graph.vertices(), -1);
  for (const topology::AcceleratorId member : members) {
    fabric.rank_at[cluster.vertex_of(member).index] = fabric.ranks();
    fabric.vertex.push_back(cluster.vertex_of(member).index);
  }
  add_links(cluster.graph, calibration, towards, fabric);
  const auto sources = entering(fabric);
  const auto forwards = forwarding_vertices(cluster.graph);
  for (int rank = 0; rank < fabric.ranks(); ++rank)
    fabric.distance.push_back(distances_to(rank, fabric, sources, forwards));
  add_groups(fabric);
  return fabric;
}

}  // namespace railwright::collectives
