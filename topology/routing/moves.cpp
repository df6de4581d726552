#include "topology/routing/moves.hpp"

#include <algorithm>
#include <cassert>
#include <numeric>

namespace railwright::topology {

Moves::Place Moves::place_of(AcceleratorId accelerator, const GroupLayout& group) const {
  const int offset = accelerator.index - group.first_accelerator;
  return {offset / group.accelerators, offset % group.accelerators};
}

bool Moves::sprays() const {
  return closed_form_ && std::ranges::all_of(clos_, [](const auto& routes) {
           return routes && routes->end_bundle() > routes->first_bundle();
         });
}

std::optional<Move> Moves::between(std::span<const AcceleratorId> from,
                                   std::span<const AcceleratorId> to) const {
  assert(from.size() == to.size() && !from.empty());
  Move move{cluster_.group_of(from.front()), 0, {}};
  const GroupLayout& group = layout_.groups[move.group];
  const int first = group.first_accelerator, end = first + group.nodes * group.accelerators;
  const Place place = place_of(from.front(), group);
  move.nodes = place_of(to.front(), group).node - place.node;
  const int on = move.nodes * group.accelerators;
  const auto in_group = [&](int index) { return index >= first && index < end; };
  bool one_node = true;
  for (std::size_t i = 0; i < from.size(); ++i) {
    const int index = from[i].index;
    if (!in_group(index) || !in_group(to[i].index) || to[i].index != index + on) return {};
    one_node = one_node && place_of(from[i], group).node == place.node;
  }
  if (one_node && group.scale_up.size() == 1 && std::holds_alternative<Star>(group.scale_up[0]))
    return move;
  const bool alike = sprays() || (period() > 0 && on % period() == 0);
  return alike ? over_networks(from, std::move(move)) : std::nullopt;
}

// Moving by whole pods keeps leaves together; what d_mod_k divides by must divide the way, too
// (Clos::key).
int Moves::find_period() const {
  const ClusterSpec& spec = cluster_.spec;
  const bool plain = spec.nodes.size() == 1 && spec.networks.size() == 1 && spec.links.empty() &&
                     cluster_.graph.lanes.empty();
  const auto* fabric = plain ? std::get_if<Clos>(&layout_.networks.front().fabric) : nullptr;
  if (fabric == nullptr || spec.routing.mode == RoutingMode::ecmp_hash) return 0;
  const Clos& clos = *fabric;
  std::int64_t members = std::lcm<std::int64_t>(clos.members_per_unit, clos.uplinks);
  if (clos.tiers == 3) {
    const std::int64_t turns =
        clos.cores_per_group() / std::gcd(clos.cores_per_group(), clos.rails);
    members = std::lcm<std::int64_t>(std::int64_t{clos.members_per_unit} * clos.units_per_pod,
                                     clos.uplinks * turns);
  }
  const GroupLayout& nodes = layout_.groups.front();
  const std::int64_t period =
      std::lcm<std::int64_t>(nodes.accelerators, members * clos.rails * nodes.sharing);
  return period < cluster_.accelerators() ? static_cast<int>(period) : 0;
}

Moves::OnePeriod Moves::shape_of_period() const {
  if (period_ == 0) return {};
  const NetworkLayout& network = layout_.networks.front();
  const GroupLayout& group = layout_.groups.front();
  const auto& clos = std::get<Clos>(network.fabric);
  OnePeriod one;
  one.nodes = period_ / group.accelerators;
  one.shift.units = period_ / (clos.rails * group.sharing) / clos.members_per_unit;
  one.shift.pods = clos.tiers == 3 ? one.shift.units / clos.units_per_pod : 0;
  one.first_switch = network.placement.first_switch;
  one.units = clos.units();
  one.leaves = clos.leaves();
  one.spines = clos.spines();
  one.switches = clos.switches();
  one.spines_of_pod = clos.uplinks;
  return one;
}

Move Moves::by_periods(int count) const {
  const Move::Shift shift = one_.shift;
  return {0, count * one_.nodes, {{count * shift.units, count * shift.pods}}};
}

// What lies above the pods, with two tiers above the leaves, belongs to none.
int Moves::period_of(VertexId vertex) const {
  const int site = vertex.index - one_.first_switch;
  if (site >= 0 && site < one_.leaves) return site % one_.units / one_.shift.units;
  if (site >= 0 && site < one_.switches) {
    const int spine = site - one_.leaves;
    return one_.shift.pods > 0 && spine < one_.spines
               ? spine / (one_.spines_of_pod * one_.shift.pods)
               : -1;
  }
  const auto after =
      std::ranges::upper_bound(cluster_.graph.blocks, vertex.index, {}, &VertexBlock::first);
  const VertexBlock& block = *std::prev(after);
  return (vertex.index - block.first) / (block.count / block.radix.front() * one_.nodes);
}

int Moves::period_of(LinkId link) const {
  return std::max(period_of(cluster_.graph.source_of(link)),
                  period_of(cluster_.graph.target_of(link)));
}

std::optional<Move> Moves::over_networks(std::span<const AcceleratorId> from, Move move) const {
  const GroupLayout& group = layout_.groups[move.group];
  for (const NetworkLayout& network : layout_.networks) {
    Move::Shift& shift = move.networks.emplace_back();
    if (network.first_endpoint[move.group] < 0) continue;
    const Clos& clos = std::get<Clos>(network.fabric);
    for (const AcceleratorId accelerator : from) {
      const Place place = place_of(accelerator, group);
      const int endpoint = network.first_endpoint[move.group] + place.node * group.ends() +
                           place.local / group.sharing;
      const int before = clos.unit_of(endpoint);
      const int after = clos.unit_of(endpoint + move.nodes * group.ends());
      const Move::Shift own{after - before, clos.pod_of_unit(after) - clos.pod_of_unit(before)};
      if (accelerator == from.front()) shift = own;
      if (own != shift) return {};
    }
  }
  return move;
}

VertexId Moves::moved(VertexId vertex, const Move& move) const {
  for (std::size_t n = 0; n < layout_.networks.size(); ++n) {
    const int site = vertex.index - layout_.networks[n].placement.first_switch;
    const auto* clos = std::get_if<Clos>(&layout_.networks[n].fabric);
    if (clos == nullptr || site < 0 || site >= clos->switches()) continue;
    const Move::Shift& shift = move.networks[n];
    if (site < clos->leaves()) return {vertex.index + shift.units};
    const bool core = site >= clos->leaves() + clos->spines();
    return {vertex.index + (core ? 0 : shift.pods * clos->uplinks)};
  }
  // Blocks of a group of nodes count node by node.
  const auto after =
      std::ranges::upper_bound(cluster_.graph.blocks, vertex.index, {}, &VertexBlock::first);
  const VertexBlock& block = *std::prev(after);
  return {vertex.index + move.nodes * (block.count / block.radix.front())};
}

LinkId Moves::moved(LinkId link, const Move& move) const {
  const Graph& graph = cluster_.graph;
  const VertexId from = moved(graph.source_of(link), move);
  const VertexId to = moved(graph.target_of(link), move);
  // Mostly at the same place among the links of its source.
  const int at =
      graph.first_link[from.index] + link.index - graph.first_link[graph.source_of(link).index];
  if (at < graph.first_link[from.index + 1] && graph.target[at] == to.index) return {at};
  const auto found = graph.link_between(from, to);
  assert(found && "what lies alike has the same links");
  return *found;
}

}  // namespace railwright::topology
