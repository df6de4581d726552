// What an experienced engineer would set without a planner.
#pragma once

#include <functional>

#include "coordinator/planner/search.hpp"

namespace railwright::coordinator {

struct RuleOfThumb {
  workload::Degrees degrees;
  bool fits = true;
};

// Megatron's guide: tensor parallelism as small as fits, up to the node; then pipeline stages; data
// parallelism with what is left. Micro-batch 1, ZeRO-1, sequence parallelism wherever there is
// tensor parallelism; sequences cut, and recomputation, only when nothing fits without. What is
// fixed is taken as it is. `points` are valid degrees with the fixed ones; there must be one.
RuleOfThumb rule_of_thumb(const std::vector<workload::Degrees>& points, const FixedDegrees& fixed,
                          int node_size, const std::function<bool(const workload::Degrees&)>& fits);

}  // namespace railwright::coordinator
