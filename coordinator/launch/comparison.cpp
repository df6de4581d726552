#include "coordinator/launch/comparison.hpp"

#include <fmt/format.h>

namespace railwright::coordinator {

Result<Json> compare(const Json& result, const emulator::Plan& plan, unsigned cores) {
  Json document = result;
  for (const char* key : {"steps", "measured", "predicted", "ratio", "slow_links", "slow_ranks"})
    if (!document.is_object() || !document.contains(key))
      return failure({}, fmt::format("the workers' result has no '{}'", key),
                     "railwright and railwright-worker must be of one version");
  const std::int64_t ranks = plan.degrees.world();
  document["judged"] = ranks <= cores;
  if (ranks > cores)
    document["not_judged"] = fmt::format("not judged: {} ranks on {} cores", ranks, cores);
  return document;
}

}  // namespace railwright::coordinator
