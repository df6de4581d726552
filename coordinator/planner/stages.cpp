#include "coordinator/planner/stages.hpp"

#include "coordinator/planner/memory_gate.hpp"
#include "workload/layer.hpp"

namespace railwright::coordinator {

using workload::Degrees;

StageKind kind_of_stage(const topology::Cluster& cluster, const workload::Model& model,
                        const Placed& placed, int stage) {
  const Degrees& degrees = placed.degrees;
  const int ranks = static_cast<int>(degrees.world() / degrees.pp);
  const int node = cluster.spec.nodes.front().accelerators;
  return {stage == 0,
          stage == degrees.pp - 1,
          cluster.group_of({stage * ranks}),
          cluster.group_of({(stage + 1) * ranks - 1}),
          stage_layers(model, degrees, stage),
          expert_layers(model, degrees, stage),
          static_cast<int>(first_rank(placed, stage) % node)};
}

namespace {

// The entries that a lookup for the accelerator or the framework may end at.
topology::Calibration of_interest(const topology::Calibration& calibration,
                                  const std::string& accelerator) {
  topology::Calibration some;
  for (const topology::CalibrationEntry& entry : calibration.entries)
    if (entry.subject == "*" || entry.subject.starts_with("framework") ||
        accelerator.starts_with(entry.subject))
      some.entries.push_back(entry);
  return some;
}

}  // namespace

BodyTimes::BodyTimes(const topology::Cluster& cluster, const workload::Training& training,
                     const topology::Calibration& calibration)
    : cluster_(cluster), precision_(training.precision) {
  for (const topology::AcceleratorKind& kind : cluster.spec.accelerator_kinds)
    calibrations_.push_back(of_interest(calibration, kind.subject()));
}

std::vector<CauseSeconds> BodyTimes::of(const workload::Program& program, const Degrees& degrees,
                                        int stage) const {
  const auto kinds = kinds_under(cluster_, degrees, stage);
  std::vector<CauseSeconds> times;
  for (const workload::Body& body : program.bodies) {
    CauseSeconds slowest(cluster_.graph.classes.size());
    for (const auto* kind : kinds) {
      CauseSeconds time(cluster_.graph.classes.size());
      const auto index = kind - cluster_.spec.accelerator_kinds.data();
      time.add(workload::compute_time(body.kernels, *kind, precision_,
                                      calibrations_[static_cast<std::size_t>(index)]));
      if (time.total() > slowest.total()) slowest = std::move(time);
    }
    times.push_back(std::move(slowest));
  }
  return times;
}

}  // namespace railwright::coordinator
