#include "topology/routing/distance_field.hpp"

#include <algorithm>

namespace railwright::topology {

DistanceFields::DistanceFields(const Graph& graph, const std::vector<char>& dead)
    : graph_(graph), dead_(dead), reverse_(reverse_links(graph)) {
  kinds_.reserve(graph.vertices());
  for (const VertexBlock& block : graph.blocks)
    kinds_.insert(kinds_.end(), block.count, block.kind);
}

// Whether a path that comes to `vertex` from `before` may pass through it towards the target.
bool DistanceFields::expands(const DistanceField& field, int vertex, int before) const {
  if (field.forwarding || vertex == field.target.index || is_switch(vertex)) return true;
  if (kinds_[vertex] == VertexKind::accelerator) return false;
  return field.near_target[vertex] || !is_switch(before);
}

DistanceField DistanceFields::measured(VertexId target, bool forwarding) const {
  DistanceField field{target, forwarding, {}, {}};
  field.hops.assign(graph_.vertices(), -1);
  field.near_target.assign(graph_.vertices(), 0);
  field.hops[target.index] = 0;
  field.near_target[target.index] = 1;
  std::vector<int> queue{target.index};
  for (std::size_t i = 0; i < queue.size(); ++i) {
    const int vertex = queue[i];
    for (int r = reverse_.first[vertex]; r < reverse_.first[vertex + 1]; ++r) {
      const int before = graph_.source[reverse_.link[r]];
      if (is_dead(reverse_.link[r]) || field.hops[before] >= 0 || !expands(field, vertex, before))
        continue;
      field.hops[before] = field.hops[vertex] + 1;
      field.near_target[before] = field.near_target[vertex] && !is_switch(before);
      queue.push_back(before);
    }
  }
  return field;
}

const DistanceField& DistanceFields::towards(VertexId target, bool forwarding) {
  const auto found = std::find_if(fields_.begin(), fields_.end(), [&](const DistanceField& f) {
    return f.target == target && f.forwarding == forwarding;
  });
  if (found != fields_.end()) {
    fields_.splice(fields_.begin(), fields_, found);
    return fields_.front();
  }
  const std::size_t bytes_each = 5 * static_cast<std::size_t>(graph_.vertices());
  const std::size_t most = std::max<std::size_t>(2, (std::size_t{256} << 20) / bytes_each);
  if (fields_.size() >= std::min<std::size_t>(most, 4096)) fields_.pop_back();
  fields_.push_front(measured(target, forwarding));
  return fields_.front();
}

bool DistanceFields::leads(const DistanceField& field, LinkId link) const {
  const int from = graph_.source[link.index], to = graph_.target[link.index];
  if (is_dead(link.index)) return false;
  return field.hops[to] >= 0 && field.hops[to] == field.hops[from] - 1 && expands(field, to, from);
}

void FieldSpace::next(int vertex, std::vector<Hop>& hops) const {
  for (const int link : graph_.links_from({vertex})) {
    if (!fields_.leads(field_, {link})) continue;
    const auto lanes = graph_.lanes.find(link);
    const int weight = lanes == graph_.lanes.end() ? 1 : lanes->second;
    hops.push_back({graph_.target[link], -1, static_cast<double>(weight)});
  }
}

}  // namespace railwright::topology
