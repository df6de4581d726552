// Clusters of specs whose accelerators are told a rate, for schedules that are priced.
#pragma once

#include <catch2/catch.hpp>

#include "topology/topology.hpp"

namespace railwright::collectives::test {

inline topology::Cluster made_of(topology::ClusterSpec spec,
                                 topology::RoutingMode mode = topology::RoutingMode::d_mod_k) {
  spec.routing.mode = mode;
  spec.accelerator_kinds.front().peak = {{topology::Precision::bf16, teraflops(100)}};
  spec.accelerator_kinds.front().memory = gibibytes(80);
  spec.accelerator_kinds.front().memory_bandwidth = gigabytes_per_second(2000);
  auto cluster = topology::build_cluster(std::move(spec));
  if (!cluster) FAIL(to_string(cluster.error()));
  return std::move(*cluster);
}

}  // namespace railwright::collectives::test
