#include "collectives/bound/group_reach.hpp"

#include <algorithm>
#include <map>

namespace railwright::collectives {

namespace {

using topology::Graph;
using topology::VertexKind;

std::vector<char> accelerators_of(const Graph& graph) {
  std::vector<char> accelerator(graph.vertices(), 0);
  for (const topology::VertexBlock& block : graph.blocks)
    if (block.kind == VertexKind::accelerator)
      std::fill_n(accelerator.begin() + block.first, block.count, 1);
  return accelerator;
}

}  // namespace

std::vector<char> forwarding_vertices(const Graph& graph) {
  const std::vector<char> accelerator = accelerators_of(graph);
  std::vector<char> forwards(graph.vertices(), 1);
  for (int l = 0; l < graph.links(); ++l)
    if (accelerator[graph.source[l]] && !accelerator[graph.target[l]])
      forwards[graph.source[l]] = 0;
  return forwards;
}

std::vector<char> usable_vertices(const std::vector<topology::AcceleratorId>& members,
                                  const topology::Cluster& cluster) {
  std::vector<char> usable = forwarding_vertices(cluster.graph);
  for (const topology::AcceleratorId member : members) usable[cluster.vertex_of(member).index] = 1;
  return usable;
}

std::optional<topology::Cluster> within_reach(const std::vector<topology::AcceleratorId>& members,
                                              const topology::Cluster& cluster) {
  const std::vector<char> usable = usable_vertices(members, cluster);
  if (std::ranges::find(usable, 0) == usable.end()) return std::nullopt;
  topology::Cluster reach = cluster;
  Graph& graph = reach.graph;
  std::map<std::uint16_t, std::uint16_t> idle;  // class -> the same without capacity
  std::vector<std::uint16_t> classes(graph.link_class);
  for (int l = 0; l < graph.links(); ++l) {
    if (usable[graph.source[l]] && usable[graph.target[l]]) continue;
    const auto [place, first] =
        idle.try_emplace(classes[l], static_cast<std::uint16_t>(graph.classes.size()));
    if (first) {
      graph.classes.push_back(graph.classes[classes[l]]);
      graph.classes.back().capacity = {};
    }
    classes[l] = place->second;
  }
  graph.link_class = std::move(classes);
  return reach;
}

}  // namespace railwright::collectives
