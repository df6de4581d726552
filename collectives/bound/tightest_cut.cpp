#include "collectives/bound/tightest_cut.hpp"

#include <algorithm>
#include <cassert>
#include <numeric>

namespace railwright::collectives {

namespace {

// All supply of a gathering at rate x, gathered at one sink after another.
class Flow {
 public:
  Flow(FlowNetwork& network, const Gathering& gathering, const Cut& cut)
      : network_(network), supply_(gathering.weight), sinks_(network.vertices(), 0) {
    const Amount divisor = std::gcd(cut.capacity, cut.weight);
    network_.clear(cut.weight / divisor);
    for (Amount& amount : supply_) total_ += amount *= cut.capacity / divisor;
  }

  // False when not all of it can get there.
  bool gather_at(int sink) {
    if (held_at_ >= 0) sinks_[held_at_] = 0;
    sinks_[sink] = 1;
    network_.push(supply_, sinks_);
    if (std::any_of(supply_.begin(), supply_.end(), [](Amount a) { return a > 0; })) return false;
    supply_[sink] = total_;
    held_at_ = sink;
    return true;
  }

  // After gather_at failed: everything that what is left over could still reach.
  VertexSet stuck() const {
    VertexSet seeds(supply_.size());
    for (std::size_t v = 0; v < seeds.size(); ++v) seeds[v] = supply_[v] > 0;
    return network_.reached_from(seeds);
  }

  // After gather_at succeeded: everything from which more could reach the sink.
  VertexSet surroundings() const { return network_.reaching(sinks_); }

 private:
  FlowNetwork& network_;
  std::vector<Amount> supply_;
  VertexSet sinks_;
  Amount total_ = 0;
  int held_at_ = -1;
};

Cut cut_of(const FlowNetwork& network, const Gathering& gathering, VertexSet inside) {
  Amount weight = 0;
  for (std::size_t v = 0; v < inside.size(); ++v)
    if (inside[v]) weight += gathering.weight[v];
  const Amount capacity = network.leaving(inside);
  return {capacity, weight, std::move(inside)};
}

// Everything but one sink.
Cut first_cut(const FlowNetwork& network, const Gathering& gathering) {
  for (const int sink : gathering.sinks) {
    VertexSet inside(network.vertices(), 1);
    inside[sink] = 0;
    Cut cut = cut_of(network, gathering, std::move(inside));
    if (cut.weight > 0) return cut;
  }
  assert(false && "a gathering has data outside some sink");
  return {};
}

int root_of(std::vector<int>& parent, int v) {
  while (parent[v] != v) v = parent[v] = parent[parent[v]];
  return v;
}

// Vertices with the same root, in the order of their first.
std::vector<std::vector<int>> grouped(std::vector<int>& parent, const std::vector<int>& vertices) {
  std::vector<std::vector<int>> groups;
  std::vector<int> group_of(parent.size(), -1);
  for (const int v : vertices) {
    int& group = group_of[root_of(parent, v)];
    if (group < 0) {
      group = static_cast<int>(groups.size());
      groups.emplace_back();
    }
    groups[group].push_back(v);
  }
  return groups;
}

bool holds_all(const VertexSet& inside, const Gathering& gathering) {
  for (std::size_t v = 0; v < inside.size(); ++v)
    if (!inside[v] && gathering.weight[v] > 0) return false;
  return true;
}

}  // namespace

Cut tightest_cut(FlowNetwork& network, const Gathering& gathering) {
  Cut best = first_cut(network, gathering);
  // Sinks that passed at a higher rate pass at a lower one too, so no sink is asked twice.
  for (std::size_t next = 0; next < gathering.sinks.size() && best.capacity > 0;) {
    Flow flow(network, gathering, best);
    while (next < gathering.sinks.size() && flow.gather_at(gathering.sinks[next])) ++next;
    if (next < gathering.sinks.size()) best = cut_of(network, gathering, flow.stuck());
  }
  return best;
}

std::vector<std::vector<int>> tight_parts(FlowNetwork& network, const Gathering& gathering,
                                          const Cut& cut) {
  std::vector<int> parent(network.vertices());
  std::iota(parent.begin(), parent.end(), 0);
  if (cut.capacity == 0) return grouped(parent, gathering.sinks);
  Flow flow(network, gathering, cut);
  for (const int sink : gathering.sinks) {
    const bool gathered = flow.gather_at(sink);
    assert(gathered && "the tightest cut lets everything through");
    const VertexSet near = flow.surroundings();
    if (!gathered || holds_all(near, gathering)) continue;  // nothing is tight around this one
    for (const int other : gathering.sinks)
      if (near[other]) parent[root_of(parent, other)] = root_of(parent, sink);
  }
  return grouped(parent, gathering.sinks);
}

Cut cut_between(FlowNetwork& network, const std::vector<int>& sources,
                const std::vector<int>& sinks) {
  std::vector<Amount> supply(network.vertices(), 0);
  VertexSet targets(network.vertices(), 0), seeds(network.vertices(), 0);
  for (const int v : sources) {
    supply[v] = network.total_capacity() + 1;  // more than can leave
    seeds[v] = 1;
  }
  for (const int v : sinks) targets[v] = 1;
  network.clear(1);
  network.push(supply, targets);
  VertexSet inside = network.reached_from(seeds);
  const Amount capacity = network.leaving(inside);
  return {capacity, 1, std::move(inside)};
}

}  // namespace railwright::collectives
