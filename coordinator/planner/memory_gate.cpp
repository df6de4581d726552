#include "coordinator/planner/memory_gate.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <limits>
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

}  // namespace railwright::coordinator
