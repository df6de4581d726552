#include <fmt/format.h>

#include <algorithm>

#include "topology/shapes/join.hpp"
#include "topology/shapes/layout.hpp"
#include "topology/shapes/names.hpp"
#include "topology/topology.hpp"

namespace railwright::topology {

namespace {

struct Ends {
  VertexId from, to;
};

// Both ends of every explicit link, or all that is wrong with them.
Result<std::vector<Ends>> resolve(const ClusterSpec& spec, const VertexNames& names) {
  std::vector<Ends> ends;
  Errors errors;
  for (const ExplicitLink& link : spec.links) {
    const auto refuse = [&](std::string message, std::string hint = {}) {
      errors.push_back({link.place, fmt::format("link {} - {}: {}", link.from, link.to, message),
                        std::move(hint)});
    };
    const auto from = names.find(link.from), to = names.find(link.to);
    for (const auto& [found, name] : {std::pair(from, link.from), std::pair(to, link.to)})
      if (!found)
        refuse(fmt::format("nothing is called '{}'", name),
               "vertices are called like "
               "'node0/gpu1', 'node0/nic1', 'leaf0' or a switch of the file");
    if (from && from == to) refuse("joins a vertex to itself");
    if (link.lanes < 1 || link.lanes > 65535) refuse("lanes must be 1 to 65535");
    if (link.link_class.index >= spec.link_classes.size()) refuse("unknown link class");
    if (from && to) ends.push_back({*from, *to});
  }
  if (!errors.empty()) return tl::unexpected(std::move(errors));
  return ends;
}

void add_node_links(const NodeGroup& group, const GroupLayout& layout, GraphBuilder& builder) {
  for (int node = 0; node < layout.nodes; ++node) {
    const Placement placement = layout.node_placement(node);
    for (const Fabric& fabric : layout.scale_up)
      std::visit([&](const auto& f) { f.add_links(LinkSink(builder, placement)); }, fabric);
    for (int n = 0; n < layout.nics; ++n) {
      const VertexId bridge{layout.first_bridge + node * layout.nics + n};
      const VertexId nic{layout.first_nic + node * layout.nics + n};
      for (int i = 0; i < layout.sharing; ++i)
        builder.add_duplex(placement.vertex_of(n * layout.sharing + i), bridge, group.nic->pcie);
      builder.add_duplex(bridge, nic, group.nic->pcie);
    }
  }
}

Graph graph_of(const ClusterSpec& spec, const Layout& layout, const std::vector<Ends>& explicit_) {
  GraphBuilder builder;
  builder.reserve(2 * (static_cast<std::size_t>(layout.duplex_links) + explicit_.size()));
  for (const LinkClass& link_class : spec.link_classes) builder.add_class(link_class);
  for (const VertexBlock& block : layout.blocks)
    builder.add_block(block.kind, block.pattern, block.radix);
  for (std::size_t g = 0; g < spec.nodes.size(); ++g)
    add_node_links(spec.nodes[g], layout.groups[g], builder);
  for (const NetworkLayout& network : layout.networks)
    std::visit([&](const auto& f) { f.add_links(LinkSink(builder, network.placement)); },
               network.fabric);
  for (std::size_t i = 0; i < explicit_.size(); ++i) {
    const ExplicitLink& link = spec.links[i];
    builder.add_link(explicit_[i].from, explicit_[i].to, link.link_class, link.lanes);
    if (link.duplex)
      builder.add_link(explicit_[i].to, explicit_[i].from, link.link_class, link.lanes);
  }
  return std::move(builder).build();
}

// Lanes of one link must be alike: an explicit link beside another needs the same class.
Errors class_conflicts(const ClusterSpec& spec, const Graph& graph,
                       const std::vector<Ends>& explicit_) {
  Errors errors;
  for (std::size_t i = 0; i < explicit_.size(); ++i) {
    const ExplicitLink& link = spec.links[i];
    const auto differs = [&](VertexId from, VertexId to) {
      return graph.link_class[graph.link_between(from, to)->index] != link.link_class.index;
    };
    const auto [from, to] = explicit_[i];
    if (differs(from, to) || (link.duplex && differs(to, from)))
      errors.push_back(
          {link.place,
           fmt::format("link {} - {}: there is already a link of class '{}'", link.from, link.to,
                       graph.class_of(*graph.link_between(from, to)).name),
           "parallel links must be of one class; use lanes"});
  }
  return errors;
}

void number_groups(Cluster& cluster, const Layout& layout) {
  for (const GroupLayout& group : layout.groups) {
    cluster.first_accelerator.push_back(group.first_accelerator);
    cluster.first_vertex.push_back(group.first_vertex);
    cluster.first_node.push_back(group.first_node);
  }
  const GroupLayout& last = layout.groups.back();
  cluster.first_accelerator.push_back(last.first_accelerator + last.nodes * last.accelerators);
  cluster.first_node.push_back(last.first_node + last.nodes);
}

}  // namespace

Result<Cluster> build_cluster(ClusterSpec spec) {
  const auto layout = layout_of(spec);
  if (!layout) return tl::unexpected(layout.error());
  const VertexNames names(spec, *layout);
  if (auto errors = names.duplicates(); !errors.empty()) return tl::unexpected(std::move(errors));
  const auto ends = resolve(spec, names);
  if (!ends) return tl::unexpected(ends.error());
  Cluster cluster;
  cluster.graph = graph_of(spec, *layout, *ends);
  if (auto errors = class_conflicts(spec, cluster.graph, *ends); !errors.empty())
    return tl::unexpected(std::move(errors));
  number_groups(cluster, *layout);
  cluster.spec = std::move(spec);
  if (auto errors = unjoined_accelerators(cluster, *layout); !errors.empty())
    return tl::unexpected(std::move(errors));
  return cluster;
}

}  // namespace railwright::topology
