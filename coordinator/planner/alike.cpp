#include "coordinator/planner/alike.hpp"

#include <map>

namespace railwright::coordinator {

Family family_of(const workload::Degrees& d) {
  return {d.tp,          d.pp,        d.cp,       d.ep,      d.dp,      d.zero_stage,
          d.micro_batch, d.recompute, d.schedule, d.vpp > 1, d.context, d.layers};
}

std::vector<Representative> first_of_families(const std::vector<workload::Degrees>& ranked) {
  std::vector<Representative> first;
  std::map<Family, std::size_t> known;
  for (std::size_t i = 0; i < ranked.size(); ++i) {
    const auto [entry, is_new] = known.emplace(family_of(ranked[i]), first.size());
    if (is_new)
      first.push_back({i, 0});
    else
      ++first[entry->second].alike;
  }
  return first;
}

}  // namespace railwright::coordinator
