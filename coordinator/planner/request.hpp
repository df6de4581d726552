// What a request must say before anything is searched.
#pragma once

#include <optional>

#include "coordinator/coordinator.hpp"

namespace railwright::coordinator {

std::optional<ConfigError> wrong_request(const PlanRequest& request);

// Of the accelerators that it plans for, each once.
std::vector<const topology::AcceleratorKind*> used_kinds(const PlanRequest& request);

// The same cluster with less memory: the share that is to stay free is taken off.
topology::Cluster with_headroom(topology::Cluster cluster, double share);

}  // namespace railwright::coordinator
