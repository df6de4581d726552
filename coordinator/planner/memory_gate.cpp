#include "coordinator/planner/memory_gate.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <limits>
#include <optional>
#include <set>

namespace railwright::coordinator {

using topology::AcceleratorKind;
using topology::Cluster;
using workload::Degrees;
using workload::MemoryUse;
using workload::Training;

namespace {

// "optimizer state (12.3 GiB)".
std::string largest_part(const MemoryUse& use) {
  const std::pair<const char*, Bytes> parts[] = {{"weights", use.weights},
                                                 {"gradients", use.gradients},
                                                 {"optimizer state", use.optimizer},
                                                 {"activations", use.activations},
                                                 {"logits", use.logits},
                                                 {"communication buffers", use.communication},
                                                 {"framework reserve", use.reserve}};
  const auto& largest =
      *std::max_element(std::begin(parts), std::end(parts),
                        [](const auto& a, const auto& b) { return a.second < b.second; });
  return fmt::format("{} ({:.1f} GiB)", largest.first, in_gibibytes(largest.second));
}

// Beyond the cluster's end: as if all accelerators were the smallest that it has.
bool fits_smallest(const Cluster& cluster, const Training& training, const Degrees& degrees) {
  const auto& kinds = cluster.spec.accelerator_kinds;
  const auto smallest = std::min_element(
      kinds.begin(), kinds.end(), [](const auto& a, const auto& b) { return a.memory < b.memory; });
  return workload::peak_memory(training, degrees).total() <= smallest->memory;
}

std::optional<Degrees> first_that_fits(const Cluster& cluster, const Training& training,
                                       std::int64_t accelerators, const FixedDegrees& fixed) {
  const bool there = accelerators <= cluster.accelerators();
  for (const Degrees& point : points_of(training, accelerators, fixed))
    if (there ? tightest_stage(cluster, training, point).fits()
              : fits_smallest(cluster, training, point))
      return point;
  return std::nullopt;
}

}  // namespace

std::vector<const AcceleratorKind*> kinds_under(const Cluster& cluster, const Degrees& degrees,
                                                int stage) {
  const int ranks = static_cast<int>(degrees.world() / degrees.pp);
  std::vector<const AcceleratorKind*> kinds;
  std::set<int> seen;
  const int last_group = cluster.group_of({(stage + 1) * ranks - 1});
  for (int group = cluster.group_of({stage * ranks}); group <= last_group; ++group) {
    const int kind = cluster.spec.nodes[static_cast<std::size_t>(group)].accelerator_kind;
    if (seen.insert(kind).second)
      kinds.push_back(&cluster.spec.accelerator_kinds[static_cast<std::size_t>(kind)]);
  }
  return kinds;
}

TightestStage tightest_stage(const Cluster& cluster, const Training& training,
                             const Degrees& degrees) {
  TightestStage tightest;
  tightest.room = std::numeric_limits<double>::infinity();
  for (int stage = 0; stage < degrees.pp; ++stage) {
    const MemoryUse use = workload::stage_memory(training, degrees, stage);
    for (const AcceleratorKind* kind : kinds_under(cluster, degrees, stage)) {
      const double room =
          static_cast<double>(kind->memory.count) - static_cast<double>(use.total().count);
      if (room < tightest.room) tightest = {stage, kind, use, room};
    }
  }
  return tightest;
}

std::string why_nothing_fits(const Cluster& cluster, const Training& training,
                             const std::vector<Degrees>& points) {
  assert(!points.empty());
  const Degrees* nearest = &points.front();
  TightestStage least = tightest_stage(cluster, training, *nearest);
  for (const Degrees& point : points)
    if (const auto here = tightest_stage(cluster, training, point); here.room > least.room) {
      nearest = &point;
      least = here;
    }
  return fmt::format(
      "nothing fits: memory of '{}' is {:.1f} GiB, but the leanest of {} points ({}) needs "
      "{:.1f} GiB on its stage {}, {:.1f} GiB too much; most of it {}",
      least.kind->name, in_gibibytes(least.kind->memory), points.size(),
      workload::to_string(*nearest), in_gibibytes(least.use.total()), least.stage,
      in_gibibytes(least.use.total() - least.kind->memory), largest_part(least.use));
}

std::string what_would_fit(const Cluster& cluster, const Training& training,
                           std::int64_t accelerators, const FixedDegrees& fixed) {
  constexpr int doublings = 6;
  std::vector<std::string> ways;
  if (!fixed.names.empty())
    if (const auto found = first_that_fits(cluster, training, accelerators, {}))
      ways.push_back("leave out --fix: " + workload::to_string(*found) + " fits");
  for (int i = 1; i <= doublings; ++i) {
    const std::int64_t more = accelerators << i;
    if (!first_that_fits(cluster, training, more, fixed)) continue;
    ways.push_back(fmt::format("use --accelerators {}{}", more,
                               more > cluster.accelerators() ? " of a larger cluster" : ""));
    break;
  }
  Training shorter = training;
  for (int i = 1; i <= doublings && shorter.sequence >= 2; ++i) {
    shorter.sequence /= 2;
    if (!first_that_fits(cluster, shorter, accelerators, fixed)) continue;
    ways.push_back(fmt::format("use --sequence {}", shorter.sequence));
    break;
  }
  if (ways.empty()) return "use far more accelerators, or accelerators with more memory";
  return fmt::format("{}", fmt::join(ways, ", or "));
}

}  // namespace railwright::coordinator
