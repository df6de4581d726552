#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "collectives/choice/candidates.hpp"
#include "collectives/cost.hpp"
#include "collectives/maker.hpp"
#include "collectives/ways.hpp"

namespace railwright::collectives {
namespace {

using topology::AcceleratorId;
using topology::Cluster;

// Beyond so many ranks an algorithm is not even priced: its phases have p^2 or p log p connections,
// or p channels, and on so many ranks hierarchical, tree or ring is the better choice anyway.
constexpr int any_ranks = 1 << 30;
int most_ranks(Algorithm algorithm) {
  switch (algorithm) {
    case Algorithm::ring:
    case Algorithm::binomial_tree:
    case Algorithm::double_tree:
    case Algorithm::hierarchical:
      return any_ranks;
    case Algorithm::torus:
    case Algorithm::recursive_doubling:
    case Algorithm::halving_doubling:
      return 1 << 16;
    case Algorithm::direct:
    case Algorithm::one_shot:
      return 32;
    case Algorithm::pairwise:     // its ranks drift apart and meet at one target: no phase tells
    case Algorithm::synthesized:  // made by synthesis.hpp, not here
      return 0;
    case Algorithm::chain:
      return 64;
    default:
      return 256;
  }
}
// Of a ring with a channel per NIC: routes are asked for each channel.
constexpr std::int64_t most_ring_hops = 1 << 23;

bool needs_switches(Algorithm algorithm) {
  return algorithm == Algorithm::nvls || algorithm == Algorithm::nvls_tree ||
         algorithm == Algorithm::sharp;
}

bool is_pipelined(Algorithm algorithm) {
  return algorithm == Algorithm::chain || algorithm == Algorithm::double_tree ||
         algorithm == Algorithm::pat || needs_switches(algorithm);
}

// Stages of a hierarchical all-reduce overlap from two segments on. More of them cost the latencies
// of the longest stage again: sqrt(bytes / latency) of a stage, as for other pipelines.
int overlapped_segments(const Schedule& schedule, Bytes size, Hop hop) {
  constexpr double most = 64;
  const int steps = std::max(schedule.inner, schedule.ranks / schedule.inner) - 1;
  const Seconds stage =
      Bytes{size.count / static_cast<std::uint64_t>(schedule.inner)} / hop.bandwidth;
  const Seconds latency = steps * hop.latency;
  return static_cast<int>(std::clamp(std::round(std::sqrt(stage / latency)), 1.0, most));
}

// One channel per NIC of a node, or two where both directions of a cable want to be used.
void lay_ring(Schedule& schedule, const Layout& layout) {
  const int inner = layout.ranks_per_node;
  if (inner > 1 && inner < schedule.ranks && layout.nics_per_node > 0) {
    schedule.inner = inner;
    schedule.channels = layout.nics_per_node;
  } else if (layout.cabled) {
    schedule.channels = 2;
  }
}

bool tells_nodes(Operation operation, Algorithm algorithm) {
  return algorithm == Algorithm::hierarchical || algorithm == Algorithm::nvls_tree ||
         algorithm == Algorithm::sharp ||
         (algorithm == Algorithm::double_tree && operation == Operation::all_reduce);
}

// `algorithm` with the parameters that suit the layout: see schedule_for().
Schedule laid(Operation operation, Algorithm algorithm, int ranks, const Layout& layout,
              Bytes size) {
  Schedule schedule{operation, algorithm, ranks};
  if (tells_nodes(operation, algorithm)) schedule.inner = layout.ranks_per_node;
  if (algorithm == Algorithm::ring) lay_ring(schedule, layout);
  const bool on_torus = algorithm == Algorithm::torus || algorithm == Algorithm::swing ||
                        algorithm == Algorithm::bine;
  if (on_torus) schedule.dims = layout.torus;
  // Halving distances suit more shapes than those that the dimensions fit.
  if (algorithm != Algorithm::torus && !why_not(schedule).empty()) schedule.dims.clear();
  const bool overlaps = algorithm == Algorithm::hierarchical && schedule.inner > 1 &&
                        schedule.inner < schedule.ranks && operation == Operation::all_reduce;
  if (overlaps) schedule.segments = overlapped_segments(schedule, size, layout.hop);
  if (is_pipelined(algorithm) && ranks > 1 && why_not(schedule).empty())
    schedule.segments = optimal_segments(schedule, size, layout.hop);
  return schedule;
}

void add_rings(Operation operation, Bytes size, int ranks, const Layout& layout,
               std::vector<Schedule>& all) {
  all.push_back({operation, Algorithm::ring, ranks});
  if (ranks > 2) all.push_back({operation, Algorithm::ring, ranks, 2});
  const Schedule ring = laid(operation, Algorithm::ring, ranks, layout, size);
  const bool affordable = std::int64_t{ranks} * ring.channels <= most_ring_hops;
  if (ring.inner > 1 && affordable) all.push_back(ring);
}

// A double tree that knows of no nodes.
Schedule flat_tree(Operation operation, Bytes size, int ranks, const Layout& layout) {
  Schedule tree{operation, Algorithm::double_tree, ranks};
  tree.segments = optimal_segments(tree, size, layout.hop);
  return tree;
}

bool is_always_priced(Algorithm algorithm) {
  return algorithm == Algorithm::ring || algorithm == Algorithm::binomial_tree ||
         algorithm == Algorithm::halving_doubling || algorithm == Algorithm::hierarchical ||
         algorithm == Algorithm::direct;
}

// Leaves out what promises nothing: of the others those that equal hops would not make faster than
// these. Where members are neighbours on cables hops differ too much for that.
void thin_out(std::vector<Schedule>& all, Bytes size, int ranks, const Layout& layout) {
  if (ranks < 2 || layout.cabled) return;
  const Hop hop = layout.hop;
  std::optional<Seconds> least;
  for (const Schedule& schedule : all) {
    if (!is_always_priced(schedule.algorithm)) continue;
    const Seconds time = closed_form_time(schedule, size, hop);
    least = least ? std::min(*least, time) : time;
  }
  if (!least) return;
  std::erase_if(all, [&](const Schedule& schedule) {
    return !is_always_priced(schedule.algorithm) && schedule.dims.empty() &&
           closed_form_time(schedule, size, hop) >= *least;
  });
}

// What the software of its waiting steps takes, which no bandwidth can hide.
Seconds least_latency(const Schedule& schedule, Seconds software) {
  if (switch_count(schedule) > 0) return {};  // switches have none
  const Maker& maker = maker_of(schedule);
  const std::vector<Phase> phases = phases_of(schedule);
  std::int64_t steps = 0;
  for (int i = 0; i < static_cast<int>(phases.size()); ++i)
    steps += maker.waiting_steps(schedule, i, phases[i].steps);
  return static_cast<double>(steps) * software;
}

}  // namespace

std::vector<Schedule> candidates(Operation operation, Bytes size, const Members& members,
                                 const Layout& layout, const Cluster& cluster) {
  const int ranks = static_cast<int>(members.size());
  std::vector<Schedule> all;
  add_rings(operation, size, ranks, layout, all);
  for (int i = 1; i < algorithm_count; ++i) {
    const auto algorithm = static_cast<Algorithm>(i);
    if (ranks > most_ranks(algorithm) || (needs_switches(algorithm) && !layout.reducing)) continue;
    Schedule schedule = laid(operation, algorithm, ranks, layout, size);
    const bool flat = schedule.inner == 1 || schedule.inner == ranks;
    if (algorithm == Algorithm::hierarchical && flat) continue;
    if (algorithm == Algorithm::double_tree && schedule.inner > 1)
      all.push_back(flat_tree(operation, size, ranks, layout));
    all.push_back(schedule);
    if (algorithm != Algorithm::hierarchical || schedule.segments == 1) continue;
    all.back().segments = 1;  // the simpler first
    all.push_back(std::move(schedule));
  }
  std::erase_if(
      all, [&](const Schedule& schedule) { return !why_not(schedule, members, cluster).empty(); });
  thin_out(all, size, ranks, layout);
  if (all.empty()) all.push_back({operation, Algorithm::direct, ranks});
  return all;
}

Schedule fastest_of(const std::vector<Schedule>& all, Seconds software,
                    const std::function<Seconds(const Schedule&)>& time_of) {
  if (all.size() == 1 || all.front().ranks == 1) return all.front();
  // A gain below a millionth is rounding of chunk sizes, no reason for a less simple schedule.
  constexpr double worth_it = 1 - 1e-6;
  const auto latency_of = [&](std::size_t i) { return least_latency(all[i], software); };
  std::vector<std::size_t> order(all.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, {}, latency_of);
  std::vector<std::optional<Seconds>> times(all.size());
  std::optional<Seconds> least;
  for (const std::size_t i : order) {
    if (least && worth_it * latency_of(i) >= *least) continue;
    times[i] = time_of(all[i]);
    least = least ? std::min(*least, *times[i]) : times[i];
  }
  std::optional<std::size_t> best;
  for (std::size_t i = 0; i < all.size(); ++i)
    if (times[i] && (!best || *times[i] < worth_it * *times[*best])) best = i;
  return all[*best];
}

Schedule schedule_for(Operation operation, Algorithm algorithm, const Members& members,
                      const Cluster& cluster, Bytes size) {
  assert(!members.empty());
  return laid(operation, algorithm, static_cast<int>(members.size()), layout_of(members, cluster),
              size);
}

Schedule best_schedule(Operation operation, Bytes size, const Members& members,
                       const topology::Router& router, const topology::Calibration& calibration) {
  const Layout layout = layout_of(members, router.cluster());
  const auto all = candidates(operation, size, members, layout, router.cluster());
  return fastest_of(
      all, software_latency(calibration, router.cluster()), [&](const Schedule& schedule) {
        const auto loads = folded_phase_loads(schedule, size, members, router, calibration);
        return idle_time(loads.phases, router.cluster().graph, calibration);
      });
}

}  // namespace railwright::collectives
