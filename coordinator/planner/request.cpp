#include "coordinator/planner/request.hpp"

#include <fmt/format.h>

#include "coordinator/planner/memory_gate.hpp"
#include "coordinator/training.hpp"

namespace railwright::coordinator {

namespace {

// Accelerators from the first one on, of the kinds that prices are made for.
std::optional<ConfigError> wrong_place(const PlanRequest& request) {
  const topology::Cluster& cluster = request.cluster;
  if (request.first_accelerator + request.accelerators > cluster.accelerators())
    return ConfigError{{},
                       fmt::format("--accelerators {}: from that node on cluster '{}' has {}",
                                   request.accelerators, cluster.spec.name,
                                   cluster.accelerators() - request.first_accelerator),
                       "write fewer, or an earlier --first-node"};
  for (std::int64_t i = 0; request.first_accelerator > 0 && i < request.accelerators; ++i) {
    const topology::AcceleratorId priced{static_cast<int>(i)};
    const topology::AcceleratorId real{static_cast<int>(request.first_accelerator + i)};
    if (cluster.kind_of(priced).name != cluster.kind_of(real).name)
      return ConfigError{{},
                         fmt::format("{} has {}, and the cluster's first nodes have {}",
                                     cluster.node_name(cluster.node_of(real)),
                                     cluster.kind_of(real).name, cluster.kind_of(priced).name),
                         "choose nodes of the first kind, or describe those nodes alone"};
  }
  return std::nullopt;
}

}  // namespace

std::optional<ConfigError> wrong_request(const PlanRequest& request) {
  if (request.accelerators < 1)
    return ConfigError{{}, "--accelerators must be at least 1", "write how many ranks to use"};
  if (request.accelerators > request.cluster.accelerators())
    return ConfigError{{},
                       fmt::format("--accelerators {}: cluster '{}' has {}", request.accelerators,
                                   request.cluster.spec.name, request.cluster.accelerators()),
                       fmt::format("write {} or fewer, or describe a larger cluster",
                                   request.cluster.accelerators())};
  if (const auto error = wrong_place(request)) return error;
  if (request.memory_headroom < 0 || request.memory_headroom >= 1)
    return ConfigError{
        {}, "--memory-headroom must be a share from 0% to less than 100%", "write 10%"};
  if (request.max_bubble < 0 || request.max_bubble > 1)
    return ConfigError{{}, "--max-bubble must be a share from 0% to 100%", "write 10%"};
  if (auto error = wrong_batch(request.training.global_batch, request.training.sequence))
    return error;
  return missing_precision(used_kinds(request), request.training.precision);
}

std::vector<const topology::AcceleratorKind*> used_kinds(const PlanRequest& request) {
  workload::Degrees all;
  all.dp = static_cast<int>(request.accelerators);
  return kinds_under(request.cluster, all, 0);
}

topology::Cluster with_headroom(topology::Cluster cluster, double share) {
  for (topology::AcceleratorKind& kind : cluster.spec.accelerator_kinds)
    kind.memory = {
        static_cast<std::uint64_t>(static_cast<double>(kind.memory.count) * (1 - share))};
  return cluster;
}

}  // namespace railwright::coordinator
