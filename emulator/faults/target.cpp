#include "emulator/faults/target.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>

namespace railwright::emulator {
namespace {

using topology::AcceleratorId;
using topology::Cluster;
using topology::Graph;
using topology::LinkId;
using topology::VertexBlock;
using topology::VertexId;

// "3" of "node3", without sign or leading zeros.
std::optional<int> number_below(std::string_view text, int limit) {
  int number = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool whole = error == std::errc{} && end == text.data() + text.size();
  const bool plain = whole && text == std::to_string(number);
  return plain && number >= 0 && number < limit ? std::optional(number) : std::nullopt;
}

std::optional<int> node_named(std::string_view name, const Cluster& cluster) {
  for (std::size_t g = 0; g < cluster.spec.nodes.size(); ++g) {
    const topology::NodeGroup& group = cluster.spec.nodes[g];
    if (!name.starts_with(group.name)) continue;
    if (const auto k = number_below(name.substr(group.name.size()), group.count))
      return cluster.first_node[g] + *k;
  }
  return {};
}

// The numbers in a text, in order.
std::vector<int> numbers_in(std::string_view text) {
  std::vector<int> numbers;
  for (std::size_t i = 0; i < text.size();) {
    std::size_t end = i;
    while (end < text.size() && std::isdigit(static_cast<unsigned char>(text[end]))) ++end;
    int number = 0;
    if (end > i && std::from_chars(text.data() + i, text.data() + end, number).ec == std::errc{})
      numbers.push_back(number);
    i = std::max(end, i + 1);
  }
  return numbers;
}

// The name in the block whose numbers are nearest to those that were written.
std::string nearest_in(const VertexBlock& block, const std::vector<int>& numbers) {
  std::string name;
  std::string_view pattern = block.pattern;
  for (std::size_t i = 0; i < block.radix.size(); ++i) {
    const auto hole = pattern.find("{}");
    const int wanted = i < numbers.size() ? numbers[i] : 0;
    name.append(pattern.substr(0, hole))
        .append(std::to_string(std::min(wanted, block.radix[i] - 1)));
    pattern.remove_prefix(hole + 2);
  }
  return name.append(pattern);
}

std::vector<std::string> vertex_candidates(std::string_view name, const Graph& graph) {
  const std::vector<int> numbers = numbers_in(name);
  std::vector<std::string> names;
  for (const VertexBlock& block : graph.blocks) names.push_back(nearest_in(block, numbers));
  return names;
}

std::string meant(const std::vector<std::string>& names) {
  return names.empty() ? std::string()
                       : fmt::format("did you mean '{}'?", fmt::join(names, "' or '"));
}

// Both ends are there but no link: the neighbours say what could have been written.
std::string neighbours_hint(VertexId from, const Graph& graph) {
  std::string hint = fmt::format("'{}' has links to", graph.name_of(from));
  int shown = 0;
  for (const int link : graph.links_from(from)) {
    if (++shown > 3) return hint + ", ...";
    hint += fmt::format("{} '{}'", shown > 1 ? "," : "", graph.name_of(graph.target_of({link})));
  }
  return shown > 0 ? hint : fmt::format("no link leaves '{}'", graph.name_of(from));
}

std::string link_hint(std::string_view from, std::string_view to, const Graph& graph) {
  const auto source = graph.vertex_named(from), target = graph.vertex_named(to);
  if (source && target) return neighbours_hint(*source, graph);
  const std::string_view unknown = source ? to : from;
  const auto names = topology::closest_names(unknown, vertex_candidates(unknown, graph));
  const std::string hint = names.empty() && source ? neighbours_hint(*source, graph) : meant(names);
  return fmt::format("there is no '{}'{}{}", unknown, hint.empty() ? "" : "; ", hint);
}

void add_links_of_vertex(VertexId vertex, const Graph& graph, std::vector<LinkId>& links) {
  for (const int link : graph.links_from(vertex)) {
    links.push_back({link});
    if (const auto back = graph.link_between(graph.target_of({link}), vertex))
      links.push_back(*back);
  }
}

// The blocks "node{}/..." hold the vertices of one node next to each other.
std::vector<VertexId> vertices_of_node(int node, const Cluster& cluster) {
  const auto after = std::upper_bound(cluster.first_node.begin(), cluster.first_node.end(), node);
  const auto g = static_cast<std::size_t>(after - cluster.first_node.begin()) - 1;
  const topology::NodeGroup& group = cluster.spec.nodes[g];
  std::vector<VertexId> vertices;
  for (const VertexBlock& block : cluster.graph.blocks) {
    if (!block.pattern.starts_with(group.name + "{}/")) continue;
    const int each = block.count / group.count;
    const int first = block.first + each * (node - cluster.first_node[g]);
    for (int i = 0; i < each; ++i) vertices.push_back({first + i});
  }
  return vertices;
}

std::optional<AcceleratorId> accelerator_at(VertexId vertex, const Cluster& cluster) {
  for (std::size_t g = 0; g + 1 < cluster.first_accelerator.size(); ++g) {
    const int count = cluster.first_accelerator[g + 1] - cluster.first_accelerator[g];
    const int offset = vertex.index - cluster.first_vertex[g];
    if (offset >= 0 && offset < count) return AcceleratorId{cluster.first_accelerator[g] + offset};
  }
  return {};
}

}  // namespace

std::optional<Target> find_target(std::string_view name, const Cluster& cluster) {
  const Graph& graph = cluster.graph;
  for (std::size_t c = 0; c < graph.classes.size(); ++c)
    if (graph.classes[c].name == name) return Target{TargetKind::link_class, static_cast<int>(c)};
  if (const auto node = node_named(name, cluster)) return Target{TargetKind::node, *node};
  if (const auto vertex = graph.vertex_named(name))
    return Target{TargetKind::vertex, vertex->index};
  if (const auto link = graph.link_named(name)) return Target{TargetKind::link, link->index};
  return {};
}

std::string target_hint(std::string_view name, const Cluster& cluster) {
  const Graph& graph = cluster.graph;
  if (const auto arrow = name.find("->"); arrow != std::string_view::npos)
    return link_hint(name.substr(0, arrow), name.substr(arrow + 2), graph);
  std::vector<std::string> names = vertex_candidates(name, graph);
  for (const topology::LinkClass& link_class : graph.classes) names.push_back(link_class.name);
  const std::vector<int> numbers = numbers_in(name);
  for (const topology::NodeGroup& group : cluster.spec.nodes)
    names.push_back(nearest_in({0, group.count, {}, group.name + "{}", {group.count}}, numbers));
  const auto near = topology::closest_names(name, std::move(names));
  return near.empty() ? "write a vertex, a link 'a->b', a node or a link class of the cluster"
                      : meant(near);
}

std::vector<LinkId> links_of(const Target& target, const Cluster& cluster) {
  const Graph& graph = cluster.graph;
  std::vector<LinkId> links;
  switch (target.kind) {
    case TargetKind::link:
      return {{target.index}};
    case TargetKind::link_class:
      for (int l = 0; l < graph.links(); ++l)
        if (graph.link_class[l] == target.index) links.push_back({l});
      return links;
    case TargetKind::vertex:
      add_links_of_vertex({target.index}, graph, links);
      break;
    case TargetKind::node:
      for (const VertexId vertex : vertices_of_node(target.index, cluster))
        add_links_of_vertex(vertex, graph, links);
      break;
  }
  std::sort(links.begin(), links.end());
  links.erase(std::unique(links.begin(), links.end()), links.end());
  return links;
}

std::vector<AcceleratorId> accelerators_of(const Target& target, const Cluster& cluster) {
  std::vector<AcceleratorId> accelerators;
  if (target.kind == TargetKind::vertex) {
    if (const auto one = accelerator_at({target.index}, cluster)) accelerators.push_back(*one);
  } else if (target.kind == TargetKind::node) {
    for (const VertexId vertex : vertices_of_node(target.index, cluster))
      if (const auto one = accelerator_at(vertex, cluster)) accelerators.push_back(*one);
  }
  return accelerators;
}

}  // namespace railwright::emulator
