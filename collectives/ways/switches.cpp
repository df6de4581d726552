#include "collectives/ways/switches.hpp"

#include <algorithm>

namespace railwright::collectives {

using topology::AcceleratorId;
using topology::Cluster;
using topology::LinkId;
using topology::VertexKind;

Flood::Flood(const topology::Graph& graph) : graph_(graph) {}

void Flood::begin(int root) {
  from_ = {{root, -1}};
  layer_ = {root};
}

// In ascending order, so that which of several ways is taken depends on the graph alone.
const std::vector<int>& Flood::advance() {
  std::vector<int> next;
  for (const int vertex : layer_) {
    const bool ends = graph_.kind_of({vertex}) == VertexKind::accelerator && from_.at(vertex) >= 0;
    if (ends) continue;
    for (const int link : graph_.links_from({vertex})) {
      const int target = graph_.target[link];
      if (from_.emplace(target, link).second) next.push_back(target);
    }
  }
  std::ranges::sort(next);
  layer_ = std::move(next);
  return layer_;
}

SwitchSearch::SwitchSearch(const std::vector<AcceleratorId>& members, const Cluster& cluster)
    : members_(members),
      cluster_(cluster),
      from_rank_(cluster.graph),
      from_switch_(cluster.graph) {}

SwitchTree SwitchSearch::tree(int root, int depth, const std::vector<int>& ranks) {
  const topology::Graph& graph = cluster_.graph;
  from_switch_.begin(root);
  for (int d = 0; d < depth; ++d) from_switch_.advance();
  SwitchTree tree{{root}, ranks, {}, {}};
  for (const int rank : ranks) {
    int at = cluster_.vertex_of(members_[rank]).index;
    if (!from_switch_.has_reached(at)) return {};
    auto& up = tree.up.emplace_back();
    auto& down = tree.down.emplace_back();
    while (at != root) {
      const LinkId link = from_switch_.link_to(at);
      const auto back = graph.link_between({at}, graph.source_of(link));
      if (!back) return {};
      down.push_back(link);
      up.push_back(*back);
      at = graph.source[link.index];
    }
  }
  return tree;
}

SwitchTree SwitchSearch::within(const std::vector<int>& ranks, int turn, int detour) {
  constexpr int farthest = 8;  // links from a rank to a switch; a core of three tiers is at six
  from_rank_.begin(cluster_.vertex_of(members_[ranks.front()]).index);
  for (int depth = 1; depth <= farthest; ++depth) {
    std::vector<int> candidates = from_rank_.advance();
    if (candidates.empty()) break;
    std::erase_if(candidates, [&](int vertex) { return !reduces(cluster_, {vertex}); });
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      const std::size_t place = (i + static_cast<std::size_t>(turn)) % candidates.size();
      SwitchTree found = tree(candidates[place], depth + detour, ranks);
      if (found.root.index >= 0) return found;
    }
  }
  return {};
}

// First a switch that all ranks sit equally far below, then ever less even ones.
SwitchTree SwitchSearch::nearest(const std::vector<int>& ranks, int turn) {
  for (const int detour : {0, 2, 4, 8}) {
    SwitchTree found = within(ranks, turn, detour);
    if (found.root.index >= 0) return found;
  }
  return {};
}

}  // namespace railwright::collectives
