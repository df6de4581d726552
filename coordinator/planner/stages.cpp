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

std::vector<CauseSeconds> body_times(const topology::Cluster& cluster,
                                     const workload::Training& training,
                                     const topology::Calibration& calibration,
                                     const workload::Program& program, const Degrees& degrees,
                                     int stage) {
  const auto kinds = kinds_under(cluster, degrees, stage);
  std::vector<CauseSeconds> times;
  for (const workload::Body& body : program.bodies) {
    CauseSeconds slowest(cluster.graph.classes.size());
    for (const auto* kind : kinds) {
      CauseSeconds time(cluster.graph.classes.size());
      time.add(workload::compute_time(body.kernels, *kind, training.precision, calibration));
      if (time.total() > slowest.total()) slowest = std::move(time);
    }
    times.push_back(std::move(slowest));
  }
  return times;
}

}  // namespace railwright::coordinator
