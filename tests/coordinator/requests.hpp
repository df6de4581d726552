// Requests that several tests of the planner plan.
#pragma once

#include <string>

#include "coordinator/coordinator.hpp"

namespace railwright::test {

inline coordinator::PlanRequest request_of(const std::string& model, const std::string& cluster,
                                           std::int64_t accelerators, std::int64_t batch,
                                           std::int64_t sequence) {
  coordinator::PlanRequest request;
  request.cluster = *topology::load_cluster(cluster);
  request.training.model = *workload::load_model(model);
  request.training.global_batch = batch;
  request.training.sequence = sequence;
  request.accelerators = accelerators;
  request.calibration = topology::default_calibration();
  return request;
}

// Spaces of several models, clusters and sizes, small enough to be priced whole.
inline std::vector<coordinator::PlanRequest> spaces() {
  return {request_of("llama-3.1-8b", "dgx-h100-4", 32, 128, 8192),
          request_of("llama-2-7b", "dgx-h100-4", 24, 96, 4096),
          request_of("gpt2", "dgx-h100-4", 8, 64, 1024),
          request_of("llama-2-70b", "dgx-h100-4", 32, 64, 4096),
          request_of("mixtral-8x7b", "dgx-h100-4", 16, 32, 4096),
          request_of("llama-2-7b", "mixed-h100-a100", 32, 64, 4096),
          request_of("gpt2", "tpu-v4-4x4x8", 64, 64, 1024),
          request_of("gpt3-175b", "dgx-a100", 128, 128, 2048),
          request_of("mixtral-8x7b", "gb200-nvl72", 8, 16, 4096),
          request_of("llama-2-7b", "dgx-a100", 64, 64, 4096)};
}

}  // namespace railwright::test
