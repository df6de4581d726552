#include "coordinator/planner/groups.hpp"

#include <algorithm>
#include <set>

namespace railwright::coordinator {

using workload::Dimension;

namespace {

constexpr int ranks_looked_at = 512;
constexpr std::size_t groups_looked_at = 64;

}  // namespace

std::int64_t first_rank(const Placed& placed, int stage) {
  return stage * workload::stride_of(Dimension::pp, placed.degrees, placed.order);
}

const std::vector<GroupPlace>& GroupPlaces::distinct(Dimension dimension, const Placed& placed,
                                                     int stage) {
  const auto stride_of = [&](Dimension d) {
    return workload::stride_of(d, placed.degrees, placed.order);
  };
  const int count = workload::degree_of(placed.degrees, dimension);
  const bool along_stages = dimension == Dimension::pp;
  const Key key(along_stages ? 0 : first_rank(placed, stage), stride_of(Dimension::pp),
                placed.degrees.pp, stride_of(dimension), count, placed.axes);
  auto found = known_.find(key);
  if (found == known_.end()) found = known_.emplace(key, find(key)).first;
  return found->second;
}

// Node of each member, numbered as they come, and its kind: some may have slower links.
std::vector<int> GroupPlaces::pattern(const GroupPlace& place) const {
  std::vector<int> nodes;
  std::map<int, int> number;
  for (int i = 0; i < std::min(place.count, ranks_looked_at); ++i) {
    const int position = place.first + i * place.stride;
    const topology::AcceleratorId member{
        static_cast<int>(emulator::along_axes(position, place.axes))};
    const int node = cluster_.node_of(member);
    nodes.push_back(number.emplace(node, static_cast<int>(number.size())).first->second);
    nodes.push_back(cluster_.group_of(member));
  }
  return nodes;
}

// Ranks of the stage, counted from its first, from which groups are looked at: its first, and where
// another kind of nodes begins.
std::vector<std::int64_t> GroupPlaces::beginnings(std::int64_t first, std::int64_t stage_stride,
                                                  int stages) const {
  std::vector<std::int64_t> all = {0};
  for (std::size_t i = 1; i < cluster_.spec.nodes.size(); ++i) {
    // The k-th rank of a stage is the first one at or behind the border.
    const std::int64_t border = cluster_.first_accelerator[i] - first;
    const std::int64_t rounds = border / (stage_stride * stages);
    const std::int64_t rest = std::min(border % (stage_stride * stages), stage_stride);
    if (border > 0) all.push_back(rounds * stage_stride + rest);
  }
  return all;
}

std::vector<GroupPlace> GroupPlaces::find(const Key& key) const {
  const auto& [first, stage_stride, stages, stride, count, axes] = key;
  const auto whole_nodes = [&](std::int64_t ranks) {
    const int size = cluster_.spec.nodes.front().accelerators;
    return cluster_.spec.nodes.size() == 1 && axes.empty() &&
           (size % ranks == 0 || ranks % size == 0);
  };
  std::vector<GroupPlace> places;
  std::set<std::vector<int>> patterns;
  for (const std::int64_t beginning : beginnings(first, stage_stride, stages)) {
    std::set<std::int64_t> firsts;
    for (std::int64_t i = 0; i < ranks_looked_at && firsts.size() < groups_looked_at; ++i) {
      // The k-th rank of the stage: stages lie stage_stride apart, every stage_stride x stages.
      const std::int64_t k = beginning + i;
      const std::int64_t rank = first + k / stage_stride * stage_stride * stages + k % stage_stride;
      if (rank >= cluster_.accelerators()) break;
      const std::int64_t start = rank - rank / stride % count * stride;
      if (start + (count - 1) * stride >= cluster_.accelerators()) break;
      if (!firsts.insert(start).second) continue;
      const GroupPlace place{static_cast<int>(start), static_cast<int>(stride), count, axes};
      if (patterns.insert(pattern(place)).second) places.push_back(place);
      if (whole_nodes(stride) && whole_nodes(stride * count)) break;  // all of them lie alike
    }
  }
  return places;
}

}  // namespace railwright::coordinator
