#include <algorithm>
#include <cassert>

#include "topology/topology.hpp"

namespace railwright::topology {

namespace {

// Index of the last entry that is not above `value`; `firsts` ends with the total.
int group_containing(const std::vector<int>& firsts, int value) {
  assert(value >= 0 && value < firsts.back());
  return static_cast<int>(std::upper_bound(firsts.begin(), firsts.end(), value) - firsts.begin()) -
         1;
}

}  // namespace

int Cluster::group_of(AcceleratorId a) const {
  return group_containing(first_accelerator, a.index);
}

VertexId Cluster::vertex_of(AcceleratorId a) const {
  const int group = group_of(a);
  return {first_vertex[group] + a.index - first_accelerator[group]};
}

int Cluster::node_of(AcceleratorId a) const {
  const int group = group_of(a);
  return first_node[group] + (a.index - first_accelerator[group]) / spec.nodes[group].accelerators;
}

AcceleratorId Cluster::first_of_node(int node) const {
  const int group = group_containing(first_node, node);
  return {first_accelerator[group] + (node - first_node[group]) * spec.nodes[group].accelerators};
}

std::string Cluster::node_name(int node) const {
  const int group = group_containing(first_node, node);
  return spec.nodes[group].name + std::to_string(node - first_node[group]);
}

std::string Cluster::host_of(AcceleratorId a) const {
  const int group = group_of(a);
  const auto& hosts = spec.nodes[group].hosts;
  return hosts.empty() ? "" : hosts[node_of(a) - first_node[group]];
}

const AcceleratorKind& Cluster::kind_of(AcceleratorId a) const {
  return spec.accelerator_kinds[spec.nodes[group_of(a)].accelerator_kind];
}

ClusterSummary summarize(const Cluster& cluster) {
  const Graph& graph = cluster.graph;
  ClusterSummary summary;
  summary.accelerators = cluster.accelerators();
  summary.nodes = cluster.nodes();
  summary.links = graph.links();
  for (const VertexBlock& block : graph.blocks)
    if (block.kind == VertexKind::packet_switch) summary.switches += block.count;
  for (const NodeGroup& group : cluster.spec.nodes) {
    const AcceleratorKind& kind = cluster.spec.accelerator_kinds[group.accelerator_kind];
    const double count = static_cast<double>(group.count) * group.accelerators;
    summary.power = summary.power + count * kind.power;
    summary.cost = summary.cost + count * kind.price;
  }
  // Links of a class, lanes counted one by one for power and cost.
  std::vector<int> links(graph.classes.size(), 0), lanes(graph.classes.size(), 0);
  for (const auto link_class : graph.link_class) ++links[link_class];
  for (const auto& [link, count] : graph.lanes) lanes[graph.link_class[link]] += count - 1;
  for (std::size_t c = 0; c < links.size(); ++c) {
    const LinkClass& kind = graph.classes[c];
    if (links[c] > 0)
      summary.link_classes.push_back({kind.name, links[c], kind.capacity, kind.latency});
    summary.power = summary.power + (links[c] + lanes[c]) * kind.idle_power;
    summary.cost = summary.cost + (links[c] + lanes[c]) * kind.cost;
  }
  return summary;
}

}  // namespace railwright::topology
