#include "collectives/attainable.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "collectives/bound/group_reach.hpp"
#include "collectives/bound/ranks.hpp"
#include "collectives/bound/tree_packing.hpp"

namespace railwright::collectives {

namespace {

using topology::AcceleratorId;
using topology::Cluster;
using topology::LinkId;

constexpr double same = 1e-5;           // a packing stops that close to its optimum
constexpr std::size_t most_rows = 700;  // links of a packing that takes seconds

// Whether each vertex that is no member sends as much as it receives.
bool switches_are_balanced(const std::vector<AcceleratorId>& members, const Cluster& cluster) {
  const topology::Graph& graph = cluster.graph;
  std::vector<double> surplus(graph.vertices(), 0);
  for (int l = 0; l < graph.links(); ++l) {
    const double rate = graph.capacity({l}).bytes_per_second;
    surplus[graph.target[l]] += rate;
    surplus[graph.source[l]] -= rate;
  }
  for (const AcceleratorId member : members) surplus[cluster.vertex_of(member).index] = 0;
  return std::ranges::all_of(surplus, [](double s) { return s == 0; });
}

// Both directions of a link at the rate of the slower; nothing where there is one only.
Cluster with_equal_directions(Cluster cluster) {
  topology::Graph& graph = cluster.graph;
  std::map<double, std::uint16_t> class_of;
  std::map<int, int> lanes;
  std::vector<std::uint16_t> classes(graph.link_class);
  for (int l = 0; l < graph.links(); ++l) {
    const LinkId link{l};
    const auto back = graph.link_between(graph.target_of(link), graph.source_of(link));
    const double rate = graph.capacity(link).bytes_per_second;
    const double other = back ? graph.capacity(*back).bytes_per_second : 0;
    if (other >= rate) {
      if (const auto found = graph.lanes.find(l); found != graph.lanes.end()) lanes.insert(*found);
      continue;
    }
    const auto [place, first] =
        class_of.try_emplace(other, static_cast<std::uint16_t>(graph.classes.size()));
    if (first) {
      graph.classes.push_back(graph.class_of(link));
      graph.classes.back().capacity = {other};
    }
    classes[l] = place->second;
  }
  graph.link_class = std::move(classes);
  graph.lanes = std::move(lanes);
  return cluster;
}

Attainable enclosed(Bandwidth found, Bandwidth bound, std::string how) {
  const double gap = 1 - found.bytes_per_second / bound.bytes_per_second;
  if (gap <= same) return {bound, true, 0, std::move(how)};
  return {found, false, gap, std::move(how)};
}

std::string trees_of(Operation operation) {
  const bool from_all =
      operation == Operation::all_gather || operation == Operation::reduce_scatter;
  if (operation == Operation::send) return "ways from rank to rank";
  return from_all ? "trees at every rank" : "trees at the root";
}

Attainable one_way(Operation operation, const std::vector<AcceleratorId>& members,
                   const Cluster& cluster, int root, const Bound& bound) {
  const Bandwidth most = bound.algorithm_bandwidth;
  if (operation == Operation::send || switches_are_balanced(members, cluster))
    return {most, true, 0, trees_of(operation)};
  const auto less = bound_of(operation, members, with_equal_directions(cluster), root);
  return enclosed(less ? less->algorithm_bandwidth : Bandwidth{}, most,
                  trees_of(operation) + ", both directions of a link alike");
}

std::optional<Attainable> within(Operation operation, const std::vector<AcceleratorId>& members,
                                 const Cluster& cluster, int root);

std::optional<Attainable> all_reduce(const std::vector<AcceleratorId>& members,
                                     const Cluster& cluster, const Bound& bound) {
  const Bandwidth most = bound.algorithm_bandwidth;
  const auto scatter = within(Operation::reduce_scatter, members, cluster, 0);
  const auto gather = within(Operation::all_gather, members, cluster, 0);
  if (!scatter || !gather) return std::nullopt;
  const double first = scatter->algorithm_bandwidth.bytes_per_second;
  const double second = gather->algorithm_bandwidth.bytes_per_second;
  const Bandwidth in_turn{first + second > 0 ? first * second / (first + second) : 0};
  Attainable best = enclosed(in_turn, most, "reduce-scatter and all-gather");
  if (best.exact) return best;
  std::vector<int> vertices;
  for (const AcceleratorId member : members) vertices.push_back(cluster.vertex_of(member).index);
  const UndirectedNetwork network = undirected(cluster.graph, std::move(vertices));
  if (network.links.size() > most_rows) return best;
  const TreePacking packing = packed_trees(network);
  if (packing.rate <= best.algorithm_bandwidth.bytes_per_second) return best;
  return enclosed({packing.rate}, most, fmt::format("{} trees", packing.trees.size()));
}

std::optional<Attainable> within(Operation operation, const std::vector<AcceleratorId>& members,
                                 const Cluster& cluster, int root) {
  const auto bound = bound_of(operation, members, cluster, root);
  if (!bound) return std::nullopt;
  const std::optional<Attainable> best = operation == Operation::all_reduce
                                             ? all_reduce(members, cluster, *bound)
                                             : one_way(operation, members, cluster, root, *bound);
  // Links of one direction only: nothing is known to be attainable, which is not nothing at all.
  if (best && best->algorithm_bandwidth.bytes_per_second <= 0) return std::nullopt;
  return best;
}

}  // namespace

std::optional<Attainable> attainable_of(Operation operation,
                                        const std::vector<AcceleratorId>& members,
                                        const Cluster& cluster, int root) {
  if (operation == Operation::all_to_all || !few_enough(members, cluster)) return std::nullopt;
  const std::optional<Cluster> reach = within_reach(members, cluster);
  return within(operation, members, reach ? *reach : cluster, root);
}

}  // namespace railwright::collectives
