// Whether degrees fit into memory: each stage into the accelerators that it sits on.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "coordinator/planner/search.hpp"
#include "topology/topology.hpp"
#include "workload/workload.hpp"

namespace railwright::coordinator {

// Accelerator kinds under the ranks of a stage, each once; rank r sits on accelerator r.
std::vector<const topology::AcceleratorKind*> kinds_under(const topology::Cluster& cluster,
                                                          const workload::Degrees& degrees,
                                                          int stage);

// The stage that has least room, or lacks most; ties: the first.
struct TightestStage {
  int stage = 0;
  const topology::AcceleratorKind* kind = nullptr;
  workload::MemoryUse use;
  double room = 0;  // bytes; negative: lacking
  bool fits() const { return room >= 0; }
};
TightestStage tightest_stage(const topology::Cluster& cluster, const workload::Training& training,
                             const workload::Degrees& degrees);

// Of all points, the one that comes nearest to fitting, and by how much it misses.
std::string why_nothing_fits(const topology::Cluster& cluster, const workload::Training& training,
                             const std::vector<workload::Degrees>& points);

// What to change so that something fits, each way by itself and each tried: leaving out one of the
// fixed degrees (or all), more accelerators (a quarter at a time, up to 64 times as many), a
// shorter sequence (halved up to six times), less head-room than the `headroom` that `cluster`
// lacks already, or accelerators with more memory.
std::string what_would_fit(const topology::Cluster& cluster, const workload::Training& training,
                           std::int64_t accelerators, const FixedDegrees& fixed,
                           double headroom = 0);

}  // namespace railwright::coordinator
