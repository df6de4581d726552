#include "collectives/choice/layout.hpp"

#include <algorithm>

#include "collectives/ways/switches.hpp"

namespace railwright::collectives {
namespace {

using topology::AcceleratorId;
using topology::Cluster;
using topology::NetworkSpec;
using topology::NodeGroup;
using topology::Shape;

// Accelerators first .. first+count-1, in order.
bool are(const Members& members, int first, int count) {
  if (static_cast<int>(members.size()) != count) return false;
  for (int i = 0; i < count; ++i)
    if (members[i].index != first + i) return false;
  return true;
}

// Of a ring or torus whose dimension 0 is the slowest.
std::vector<int> fastest_first(std::vector<int> dimensions, int places) {
  if (dimensions.empty()) dimensions = {places};
  std::ranges::reverse(dimensions);
  std::erase(dimensions, 1);
  std::int64_t product = 1;
  for (const int extent : dimensions) product *= extent;
  return product == places ? dimensions : std::vector<int>{};
}

bool is_closed(Shape shape) { return shape == Shape::ring || shape == Shape::torus; }

std::vector<int> inside_a_node(const Members& members, const Cluster& cluster) {
  const NodeGroup& group = cluster.spec.nodes[cluster.group_of(members[0])];
  const int first = cluster.first_of_node(cluster.node_of(members[0])).index;
  if (!is_closed(group.scale_up) || !are(members, first, group.accelerators)) return {};
  return fastest_first(group.scale_up_dimensions, group.accelerators);
}

// Endpoints of the network are its accelerators, or NICs of one accelerator each.
bool has_accelerator_per_endpoint(const NetworkSpec& network, const Cluster& cluster) {
  const bool all = network.groups.empty() || network.groups.size() == cluster.spec.nodes.size();
  return all && std::ranges::all_of(cluster.spec.nodes, [](const NodeGroup& group) {
           return !group.nic || group.nic->accelerators_per_nic == 1;
         });
}

std::vector<int> across_nodes(const Members& members, const Cluster& cluster) {
  const int all = cluster.accelerators();
  for (const NetworkSpec& network : cluster.spec.networks)
    if (is_closed(network.shape) && has_accelerator_per_endpoint(network, cluster) &&
        are(members, 0, all))
      return fastest_first(network.dimensions, all);
  return {};
}

}  // namespace

int ranks_per_node(const Members& members, const Cluster& cluster) {
  const std::size_t count = members.size();
  const int first_node = cluster.node_of(members[0]);
  std::size_t inner = 1;
  while (inner < count && cluster.node_of(members[inner]) == first_node) ++inner;
  if (count % inner != 0) return 1;
  std::vector<int> nodes;
  for (std::size_t i = 0; i < count; ++i) {
    const int node = cluster.node_of(members[i]);
    if (i % inner == 0)
      nodes.push_back(node);
    else if (node != nodes.back())
      return 1;
  }
  std::ranges::sort(nodes);
  const bool twice = std::ranges::adjacent_find(nodes) != nodes.end();
  return twice ? 1 : static_cast<int>(inner);
}

int nics_per_node(const Members& members, const Cluster& cluster) {
  const int node = cluster.node_of(members[0]);
  const NodeGroup& group = cluster.spec.nodes[cluster.group_of(members[0])];
  if (!group.nic) return 0;
  const int first = cluster.first_of_node(node).index;
  std::vector<int> nics;
  for (std::size_t i = 0; i < members.size() && cluster.node_of(members[i]) == node; ++i)
    nics.push_back((members[i].index - first) / group.nic->accelerators_per_nic);
  std::ranges::sort(nics);
  return static_cast<int>(std::unique(nics.begin(), nics.end()) - nics.begin());
}

bool are_cabled(const Members& members, const Cluster& cluster) {
  return members.size() > 2 &&
         cluster.graph.link_between(cluster.vertex_of(members[0]), cluster.vertex_of(members[1]))
             .has_value();
}

std::vector<int> torus_dimensions(const Members& members, const Cluster& cluster) {
  const std::vector<int> inside = inside_a_node(members, cluster);
  return inside.empty() ? across_nodes(members, cluster) : inside;
}

// Out of one link of an accelerator inside a node, out of a NIC between nodes; four links long.
Hop assumed_hop(const Members& members, const Cluster& cluster) {
  const topology::Graph& graph = cluster.graph;
  const int node = cluster.node_of(members.front());
  const bool one_node = std::ranges::all_of(
      members, [&](AcceleratorId member) { return cluster.node_of(member) == node; });
  Hop hop{{}, {}};
  for (const int link : graph.links_from(cluster.vertex_of(members.front()))) {
    const bool inside = graph.kind_of({graph.target[link]}) != topology::VertexKind::host_bridge;
    if (hop.bandwidth.bytes_per_second > 0 && inside != one_node) continue;
    hop.bandwidth = graph.capacity({link});
    hop.latency = (one_node ? 2 : 4) * graph.class_of({link}).latency;
  }
  assert(hop.bandwidth.bytes_per_second > 0 && "an accelerator without links");
  hop.latency += software_latency(topology::default_calibration(), cluster);
  return hop;
}

bool has_reducing_switches(const Cluster& cluster) {
  const topology::ClusterSpec& spec = cluster.spec;
  const auto told = [](const auto& one) { return one.reduces; };
  return std::ranges::any_of(spec.networks, told) || std::ranges::any_of(spec.switches, told) ||
         std::ranges::any_of(
             spec.nodes, [&](const NodeGroup& group) { return switches_reduce(cluster, group); });
}

Layout layout_of(const Members& members, const Cluster& cluster) {
  Layout layout{ranks_per_node(members, cluster),   nics_per_node(members, cluster),
                are_cabled(members, cluster),       has_reducing_switches(cluster),
                torus_dimensions(members, cluster), {}};
  if (members.size() > 1) layout.hop = assumed_hop(members, cluster);
  return layout;
}

}  // namespace railwright::collectives
