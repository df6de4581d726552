#include "emulator/step/live_routes.hpp"

#include <algorithm>

namespace railwright::emulator {

using collectives::BundleLoads;
using collectives::PhaseLoad;
using topology::AcceleratorId;

LiveRoutes::LiveRoutes(const topology::Cluster& cluster,
                       const std::vector<LinkDegradation>& degradations)
    : dead_(courses_of_dead_links(degradations)) {
  for (const DeadLinks& dead : dead_) routers_.emplace_back(cluster, dead.links);
}

// Routes around the circle of the members exist exactly where every member reaches every other.
std::optional<Gap> LiveRoutes::gap_between(int epoch, const collectives::Schedule& schedule,
                                           const std::vector<AcceleratorId>& members) const {
  if (dead_[epoch].links.empty()) return std::nullopt;
  const bool one_way = schedule.operation == workload::Operation::send;
  const std::size_t count = one_way ? 1 : members.size();
  topology::Trace way;
  for (std::size_t i = 0; i < count; ++i) {
    const AcceleratorId source = members[i], target = members[(i + 1) % members.size()];
    routers_[epoch].trace(source, target, 0, way);
    if (source != target && way.parts.empty()) return Gap{source, target, {}};
  }
  return std::nullopt;
}

std::optional<Gap> LiveRoutes::dead_link_of(int epoch, const BundleLoads& loads) const {
  const std::vector<topology::LinkId>& dead = dead_[epoch].links;
  if (dead.empty()) return std::nullopt;
  for (const BundleLoads::Use& use : loads.uses())
    if (routers_[epoch].is_link(use.bundle) &&
        std::ranges::binary_search(dead, topology::LinkId{use.bundle.index}))
      return Gap{{}, {}, {use.bundle.index}};
  return std::nullopt;
}

std::optional<Gap> LiveRoutes::dead_link_of(int epoch, const std::vector<PhaseLoad>& phases) const {
  const std::vector<topology::LinkId>& dead = dead_[epoch].links;
  for (const PhaseLoad& phase : phases)
    for (const topology::LinkShare& use : phase.consumption)
      if (std::ranges::binary_search(dead, use.link)) return Gap{{}, {}, use.link};
  return std::nullopt;
}

Footprint footprint_of(const BundleLoads& loads) {
  Footprint footprint;
  for (const PhaseLoad& phase : loads.phases())
    footprint.phases.push_back(
        {phase.step_latency.value, phase.bytes_per_step, static_cast<double>(phase.steps)});
  for (const BundleLoads::Use& use : loads.uses())
    footprint.uses.push_back({use.bundle.index, loads.loads_of(use.kind)});
  std::ranges::sort(footprint.uses);
  return footprint;
}

}  // namespace railwright::emulator
