#include "topology/shapes/join.hpp"

#include <fmt/format.h>

#include <functional>
#include <numeric>

namespace railwright::topology {

namespace {

// Makers join all endpoints of a network, so groups on common networks are joined.
bool networks_join_groups(const Layout& layout) {
  if (layout.networks.empty()) return false;
  std::vector<int> leader(layout.groups.size());
  std::iota(leader.begin(), leader.end(), 0);
  const auto find = [&](int group) {
    while (leader[group] != group) group = leader[group];
    return group;
  };
  std::vector<char> covered(layout.groups.size(), 0);
  for (const NetworkLayout& network : layout.networks) {
    int first = -1;
    for (int g = 0; g < static_cast<int>(leader.size()); ++g) {
      if (network.first_endpoint[g] < 0) continue;
      covered[g] = 1;
      if (first < 0) first = find(g);
      leader[find(g)] = first;
    }
  }
  for (int g = 0; g < static_cast<int>(leader.size()); ++g)
    if (!covered[g] || find(g) != find(0)) return false;
  return true;
}

using Visit = std::function<void(int)>;

std::vector<char> reached_from(int start, int vertices,
                               const std::function<void(int, const Visit&)>& each_neighbour) {
  std::vector<char> reached(vertices, 0);
  std::vector<int> queue{start};
  reached[start] = 1;
  const Visit visit = [&](int v) {
    if (reached[v]) return;
    reached[v] = 1;
    queue.push_back(v);
  };
  for (std::size_t i = 0; i < queue.size(); ++i) each_neighbour(queue[i], visit);
  return reached;
}

Errors name_unreached(const Cluster& cluster, const std::vector<char>& reached,
                      std::string_view direction) {
  const Graph& graph = cluster.graph;
  const int first = cluster.vertex_of({0}).index;
  for (int a = 0; a < cluster.accelerators(); ++a) {
    const VertexId v = cluster.vertex_of({a});
    if (reached[v.index]) continue;
    return {{cluster.spec.nodes[cluster.group_of({a})].place,
             fmt::format("no path {} '{}' {} '{}'", direction == "to" ? "from" : "to",
                         graph.name_of(v), direction, graph.name_of(VertexId{first})),
             "add a network or links that join all accelerators"}};
  }
  return {};
}

}  // namespace

ReverseLinks reverse_links(const Graph& graph) {
  ReverseLinks reverse;
  reverse.first.assign(static_cast<std::size_t>(graph.vertices()) + 1, 0);
  for (const int v : graph.target) ++reverse.first[v + 1];
  std::partial_sum(reverse.first.begin(), reverse.first.end(), reverse.first.begin());
  reverse.link.resize(graph.target.size());
  std::vector<int> place(reverse.first.begin(), reverse.first.end() - 1);
  for (int l = 0; l < graph.links(); ++l) reverse.link[place[graph.target[l]]++] = l;
  return reverse;
}

Errors unjoined_accelerators(const Cluster& cluster, const Layout& layout) {
  if (networks_join_groups(layout)) return {};
  const Graph& graph = cluster.graph;
  const int start = cluster.vertex_of({0}).index;
  const auto onwards = [&](int v, const Visit& visit) {
    for (const int l : graph.links_from({v})) visit(graph.target[l]);
  };
  auto errors = name_unreached(cluster, reached_from(start, graph.vertices(), onwards), "from");
  if (!errors.empty()) return errors;
  const ReverseLinks reverse = reverse_links(graph);
  const auto backwards = [&](int v, const Visit& visit) {
    for (int i = reverse.first[v]; i < reverse.first[v + 1]; ++i)
      visit(graph.source[reverse.link[i]]);
  };
  return name_unreached(cluster, reached_from(start, graph.vertices(), backwards), "to");
}

}  // namespace railwright::topology
