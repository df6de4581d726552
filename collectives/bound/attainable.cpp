#include "collectives/attainable.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "collectives/bound/group_limits.hpp"
#include "collectives/bound/group_reach.hpp"
#include "collectives/bound/tree_packing.hpp"

namespace railwright::collectives {

namespace {

using topology::AcceleratorId;
using topology::Cluster;

constexpr double same = 1e-5;                  // a packing stops that close to its optimum
constexpr std::size_t most_rows = 700;         // links of a packing that takes seconds
constexpr std::size_t most_links = 1'000'000;  // to look through for those

// Whether each vertex that is no member sends as much as it receives.
bool switches_are_balanced(const std::vector<AcceleratorId>& members, const Cluster& cluster,
                           const LinkRates& rates) {
  const topology::Graph& graph = cluster.graph;
  std::vector<Amount> surplus(graph.vertices(), 0);
  for (int l = 0; l < graph.links(); ++l) {
    surplus[graph.target[l]] += rates.capacity[l];
    surplus[graph.source[l]] -= rates.capacity[l];
  }
  for (const AcceleratorId member : members) surplus[cluster.vertex_of(member).index] = 0;
  return std::ranges::all_of(surplus, [](Amount s) { return s == 0; });
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

Attainable one_way(Operation operation, GroupLimits::State& state, int root, const Bound& bound) {
  const Bandwidth most = bound.algorithm_bandwidth;
  if (operation == Operation::send ||
      switches_are_balanced(state.members, state.cluster, state.reach().rates()))
    return {most, true, 0, trees_of(operation)};
  const auto less = state.equal_directions().bound(operation, root);
  return enclosed(less ? less->algorithm_bandwidth : Bandwidth{}, most,
                  trees_of(operation) + ", both directions of a link alike");
}

// Links of the group as spanning trees use them.
UndirectedNetwork network_of(const GroupLimits::State& state, const LinkRates& rates) {
  std::vector<int> vertices;
  for (const AcceleratorId member : state.members)
    vertices.push_back(state.cluster.vertex_of(member).index);
  UndirectedNetwork network = undirected(state.cluster.graph, std::move(vertices));
  std::erase_if(network.links, [&](const UndirectedNetwork::Link& link) {
    return rates.capacity[link.forth] == 0;
  });
  return network;
}

std::optional<Attainable> within(Operation operation, GroupLimits::State& state, int root);

std::optional<Attainable> all_reduce(GroupLimits::State& state, const Bound& bound) {
  const Bandwidth most = bound.algorithm_bandwidth;
  const auto scatter = within(Operation::reduce_scatter, state, 0);
  const auto gather = within(Operation::all_gather, state, 0);
  if (!scatter || !gather) return std::nullopt;
  const double first = scatter->algorithm_bandwidth.bytes_per_second;
  const double second = gather->algorithm_bandwidth.bytes_per_second;
  const Bandwidth in_turn{first + second > 0 ? first * second / (first + second) : 0};
  Attainable best = enclosed(in_turn, most, "reduce-scatter and all-gather");
  if (best.exact) return best;
  if (static_cast<std::size_t>(state.cluster.graph.links()) > most_links) return best;
  const UndirectedNetwork network = network_of(state, state.reach().rates());
  if (network.links.size() > most_rows) return best;
  const TreePacking packing = packed_trees(network);
  if (packing.rate <= best.algorithm_bandwidth.bytes_per_second) return best;
  return enclosed({packing.rate}, most, fmt::format("{} trees", packing.trees.size()));
}

std::optional<Attainable> within(Operation operation, GroupLimits::State& state, int root) {
  const auto bound = state.reach().bound(operation, root);
  if (!bound) return std::nullopt;
  const std::optional<Attainable> best = operation == Operation::all_reduce
                                             ? all_reduce(state, *bound)
                                             : one_way(operation, state, root, *bound);
  // Links of one direction only: nothing is known to be attainable, which is not nothing at all.
  if (best && best->algorithm_bandwidth.bytes_per_second <= 0) return std::nullopt;
  return best;
}

}  // namespace

NetworkLimits& GroupLimits::State::reach() {
  if (reach_) return *reach_;
  const std::vector<char> usable = usable_vertices(members, cluster);
  if (std::ranges::find(usable, 0) == usable.end()) return whole;
  reach_ = std::make_unique<NetworkLimits>(members, cluster, rates_within(usable, cluster.graph));
  return *reach_;
}

NetworkLimits& GroupLimits::State::equal_directions() {
  if (!equal_directions_)
    equal_directions_ =
        std::make_unique<NetworkLimits>(members, cluster, with_equal_directions(reach().rates()));
  return *equal_directions_;
}

std::optional<Attainable> GroupLimits::attainable(Operation operation, int root) {
  if (operation == Operation::all_to_all) return std::nullopt;
  return within(operation, *state_, root);
}

std::optional<Attainable> attainable_of(Operation operation,
                                        const std::vector<AcceleratorId>& members,
                                        const Cluster& cluster, int root) {
  return GroupLimits(members, cluster).attainable(operation, root);
}

}  // namespace railwright::collectives
