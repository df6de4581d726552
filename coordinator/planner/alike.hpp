// Plans that a reader of the list hardly tells apart: of such a family the best is shown.
#pragma once

#include <cstddef>
#include <tuple>
#include <vector>

#include "workload/workload.hpp"

namespace railwright::coordinator {

// What is noticed of degrees: tp, pp, cp, ep, dp, ZeRO's stage, micro-batch, recomputation, the
// schedule, whether stages are interleaved, and what is only ever given (context, layers). The rest
// is how a plan is carried out: shards of HSDP, split of experts, chunks per stage, sequence
// parallelism.
using Family =
    std::tuple<int, int, int, int, int, int, int, workload::Recompute, workload::PipelineSchedule,
               bool, workload::ContextExchange, std::vector<std::int64_t>>;
Family family_of(const workload::Degrees& degrees);

// One of a family: its place in a list that is sorted best first, and how many of its family come
// after it.
struct Representative {
  std::size_t index = 0;
  std::size_t alike = 0;
};
// The first of each family, in the order of the list.
std::vector<Representative> first_of_families(const std::vector<workload::Degrees>& ranked);

}  // namespace railwright::coordinator
