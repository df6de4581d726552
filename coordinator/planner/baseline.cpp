#include "coordinator/planner/baseline.hpp"

#include <algorithm>
#include <cassert>
#include <tuple>

namespace railwright::coordinator {

namespace {

using workload::Degrees;

bool is_usual(const Degrees& d, const FixedDegrees& fixed) {
  return (fixed.has("micro_batch") || d.micro_batch == 1) &&
         (fixed.has("zero_stage") || d.zero_stage == (d.dp > 1 ? 1 : 0)) &&
         (fixed.has("sequence_parallel") || d.sequence_parallel == (d.tp > 1));
}

// Less recomputation first, then whole sequences, then tensor parallelism inside the node, then
// stages; tensor parallelism beyond the node is the last resort.
auto order_of(const Degrees& d, int node_size) {
  const bool beyond = d.tp > node_size;
  return std::tuple(d.recompute, d.cp, beyond, d.tp < node_size ? d.pp > 1 : false, d.pp, d.tp);
}

}  // namespace

RuleOfThumb rule_of_thumb(const std::vector<Degrees>& points, const FixedDegrees& fixed,
                          int node_size, const std::function<bool(const Degrees&)>& fits) {
  assert(!points.empty());
  std::vector<Degrees> usual;
  std::copy_if(points.begin(), points.end(), std::back_inserter(usual),
               [&](const Degrees& degrees) { return is_usual(degrees, fixed); });
  if (usual.empty()) usual = points;
  std::stable_sort(usual.begin(), usual.end(), [&](const Degrees& a, const Degrees& b) {
    return order_of(a, node_size) < order_of(b, node_size);
  });
  for (const Degrees& degrees : usual)
    if (fits(degrees)) return {degrees, true};
  return {usual.back(), false};
}

}  // namespace railwright::coordinator
