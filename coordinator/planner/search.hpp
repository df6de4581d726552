// The space that the planner searches: every set of degrees that divides, each once.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "workload/workload.hpp"

namespace railwright::coordinator {

// Degrees that the user has fixed: "tp=8,recompute=full".
struct FixedDegrees {
  workload::Degrees values;
  std::set<std::string> names;  // which of them were given
  bool has(const std::string& name) const { return names.contains(name); }
};
tl::expected<FixedDegrees, ConfigError> parse_fixed(std::string_view text);

// All distinct valid degrees on `accelerators`, in a fixed order, simplest first. A dimension that
// changes neither time nor memory is not varied: sequence parallelism without tensor parallelism,
// ZeRO without data parallelism, selective recomputation under flash attention.
std::vector<workload::Degrees> points_of(const workload::Training& training,
                                         std::int64_t accelerators, const FixedDegrees& fixed);

// Whether selective recomputation is any different from none for this training.
bool selective_differs(const workload::Training& training);

// Simpler plans come first: fewer tensor-parallel ranks, then fewer stages, whole sequences, fewer
// ranks per expert, no ZeRO, one copy of what it shards, less recomputation, no sequence
// parallelism, smaller micro-batches.
bool simpler(const workload::Degrees& a, const workload::Degrees& b);

std::vector<std::int64_t> divisors(std::int64_t n);  // ascending

}  // namespace railwright::coordinator
