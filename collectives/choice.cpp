#include <algorithm>
#include <array>

#include "collectives/cost.hpp"

namespace railwright::collectives {
namespace {

using topology::AcceleratorId;
using topology::Cluster;
using Members = std::vector<AcceleratorId>;

// Beyond these sizes an algorithm is not even priced: its phases have p^2 or p log p connections,
// and on so many ranks hierarchical, tree or ring is the better choice anyway.
constexpr int most_direct_ranks = 32;
constexpr int most_halving_ranks = 1024;

// Members that sit k to a node, node after node, give k; any other order gives 1.
int ranks_per_node(const Members& members, const Cluster& cluster) {
  const std::size_t count = members.size();
  const int first_node = cluster.node_of(members[0]);
  std::size_t inner = 1;
  while (inner < count && cluster.node_of(members[inner]) == first_node) ++inner;
  if (count % inner != 0) return 1;
  std::vector<int> nodes;
  for (std::size_t i = 0; i < count; ++i) {
    const int node = cluster.node_of(members[i]);
    if (i % inner == 0)
      nodes.push_back(node);
    else if (node != nodes.back())
      return 1;
  }
  std::ranges::sort(nodes);
  const bool twice = std::ranges::adjacent_find(nodes) != nodes.end();
  return twice ? 1 : static_cast<int>(inner);
}

// Neighbours on a cable of their own have a second direction that one ring leaves idle.
bool are_cabled(const Members& members, const Cluster& cluster) {
  return members.size() > 2 &&
         cluster.graph.link_between(cluster.vertex_of(members[0]), cluster.vertex_of(members[1]))
             .has_value();
}

// In the order in which ties are decided.
std::vector<Schedule> candidates(Operation operation, const Members& members,
                                 const Cluster& cluster) {
  const int ranks = static_cast<int>(members.size());
  Schedule two_rings{operation, Algorithm::ring, ranks, 2};
  const Schedule nodes = schedule_for(operation, Algorithm::hierarchical, members, cluster);
  std::vector<Schedule> all = {{operation, Algorithm::ring, ranks}};
  if (ranks > 2) all.push_back(two_rings);
  all.push_back({operation, Algorithm::binomial_tree, ranks});
  if (ranks <= most_halving_ranks) all.push_back({operation, Algorithm::halving_doubling, ranks});
  if (nodes.inner > 1 && nodes.inner < ranks) all.push_back(nodes);
  if (ranks <= most_direct_ranks) all.push_back({operation, Algorithm::direct, ranks});
  std::erase_if(all, [](const Schedule& schedule) { return !why_not(schedule).empty(); });
  if (all.empty()) all.push_back({operation, Algorithm::direct, ranks});
  return all;
}

}  // namespace

Schedule schedule_for(Operation operation, Algorithm algorithm, const Members& members,
                      const Cluster& cluster) {
  assert(!members.empty());
  Schedule schedule{operation, algorithm, static_cast<int>(members.size())};
  if (algorithm == Algorithm::hierarchical) schedule.inner = ranks_per_node(members, cluster);
  if (algorithm == Algorithm::ring && are_cabled(members, cluster)) schedule.channels = 2;
  return schedule;
}

Schedule best_schedule(Operation operation, Bytes size, const Members& members,
                       const topology::Router& router, const topology::Calibration& calibration) {
  const std::vector<Schedule> all = candidates(operation, members, router.cluster());
  if (all.size() == 1 || members.size() == 1) return all.front();
  const auto time_of = [&](const Schedule& schedule) {
    const auto loads = phase_loads(schedule, size, members, router, calibration);
    return idle_time(loads, router.cluster().graph, calibration);
  };
  // A gain below a millionth is rounding of chunk sizes, no reason for a less simple schedule.
  constexpr double worth_it = 1 - 1e-6;
  Schedule best = all.front();
  Seconds least = time_of(best);
  for (std::size_t i = 1; i < all.size(); ++i) {
    const Seconds time = time_of(all[i]);
    if (time >= worth_it * least) continue;
    best = all[i];
    least = time;
  }
  return best;
}

}  // namespace railwright::collectives
