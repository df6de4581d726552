// What an experienced engineer would set without a planner.
#pragma once

#include <functional>

#include "workload/workload.hpp"

namespace railwright::coordinator {

struct RuleOfThumb {
  workload::Degrees degrees;
  bool fits = true;
};

// Megatron's guide: tensor parallelism as small as fits, up to the node; then pipeline stages; data
// parallelism with what is left. Micro-batch 1, ZeRO-1, sequence parallelism wherever there is
// tensor parallelism; recomputation only when nothing fits without. `points` are valid degrees;
// there must be one.
RuleOfThumb rule_of_thumb(const std::vector<workload::Degrees>& points, int node_size,
                          const std::function<bool(const workload::Degrees&)>& fits);

}  // namespace railwright::coordinator
