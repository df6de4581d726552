#include "collectives/bound/ranks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace railwright::collectives {

bool tighter(const Limit& one, const Limit& other) {
  __extension__ using Wide = __int128;
  if (one.demand == 0 || other.demand == 0) return one.demand > other.demand;
  return Wide{one.capacity} * other.demand < Wide{other.capacity} * one.demand;
}

Ranks::Ranks(const std::vector<topology::AcceleratorId>& members, const topology::Cluster& cluster)
    : Ranks(members, cluster, rates_of(cluster.graph)) {}

Ranks::Ranks(const std::vector<topology::AcceleratorId>& members, const topology::Cluster& cluster,
             LinkRates rates)
    : cluster_(cluster), rank_at_(cluster.graph.vertices(), -1), rates_(std::move(rates)) {
  for (const topology::AcceleratorId member : members) {
    const int vertex = cluster.vertex_of(member).index;
    rank_at_[vertex] = count();
    vertices_.push_back(vertex);
    node_of_.push_back(cluster.node_of(member));
  }
}

FlowNetwork& Ranks::network(Direction direction) {
  auto& network = direction == Direction::forward ? forward_ : reversed_;
  if (!network) network.emplace(rates_, direction);
  return *network;
}

bool Ranks::fits() const { return rates_.total < (Amount{1} << 62) / (4 * (Amount{count()} + 1)); }

Gathering Ranks::all_to_everyone() const {
  Gathering gathering{std::vector<Amount>(rank_at_.size(), 0), vertices_};
  for (const int v : vertices_) gathering.weight[v] = 1;
  return gathering;
}

Gathering Ranks::one_to(int source, std::vector<int> sinks) const {
  Gathering gathering{std::vector<Amount>(rank_at_.size(), 0), std::move(sinks)};
  gathering.weight[source] = 1;
  return gathering;
}

std::vector<std::vector<int>> Ranks::nodes() const {
  std::map<int, std::vector<int>> nodes;
  for (int i = 0; i < count(); ++i) nodes[node_of_[i]].push_back(vertices_[i]);
  std::vector<std::vector<int>> parts;
  for (auto& [node, part] : nodes) parts.push_back(std::move(part));
  return parts;
}

std::vector<int> Ranks::others(const std::vector<int>& part) const {
  VertexSet taken(rank_at_.size(), 0);
  for (const int v : part) taken[v] = 1;
  std::vector<int> rest;
  for (const int v : vertices_)
    if (!taken[v]) rest.push_back(v);
  return rest;
}

std::vector<int> Ranks::inside(const VertexSet& set) const {
  std::vector<int> found;
  for (const int v : vertices_)
    if (set[v]) found.push_back(v);
  return found;
}

std::string Ranks::name_of(const std::vector<int>& part) const {
  if (part.size() == 1) return cluster_.graph.name_of(topology::VertexId{part.front()});
  const int node = node_of_[rank_at_[part.front()]];
  const bool one_node =
      std::all_of(part.begin(), part.end(), [&](int v) { return node_of_[rank_at_[v]] == node; });
  if (!one_node) return fmt::format("{} ranks", part.size());
  return fmt::format("{} ({} ranks)", cluster_.node_name(node), part.size());
}

std::vector<topology::LinkId> Ranks::links_leaving(const VertexSet& inside,
                                                   Direction direction) const {
  const topology::Graph& graph = *rates_.graph;
  const bool away = direction == Direction::forward;
  std::vector<topology::LinkId> links;
  for (int l = 0; l < graph.links(); ++l) {
    const int from = away ? graph.source[l] : graph.target[l];
    const int to = away ? graph.target[l] : graph.source[l];
    if (inside[from] && !inside[to]) links.push_back({l});
  }
  return links;
}

Limit Ranks::limit_of(const Cut& cut, Direction direction, Amount capacity, Amount demand) const {
  const std::vector<int> held = inside(cut.inside);
  const std::string near = name_of(held), far = name_of(others(held));
  auto links = links_leaving(cut.inside, direction);
  const auto total = static_cast<Amount>(links.size());
  return {capacity, demand, std::move(links),
          direction == Direction::forward ? near + " to " + far : far + " to " + near, total};
}

}  // namespace railwright::collectives
