#include <fmt/format.h>

#include <algorithm>

#include "worker/nccl/nccl_backend.hpp"

namespace railwright::worker {

std::string why_nccl_cannot(const collectives::Schedule& schedule) {
  if (schedule.operation != collectives::Operation::reduce_scatter &&
      schedule.operation != collectives::Operation::all_gather)
    return {};
  for (int rank = 1; rank < schedule.ranks; ++rank)
    if (collectives::own_part(schedule, rank).first <
        collectives::own_part(schedule, rank - 1).first)
      return fmt::format("{} deals the parts out in another order than NCCL",
                         to_string(schedule.algorithm));
  return {};
}

int nccl_ids(int ranks) {
  constexpr int ranks_of_an_id = 1024;
  return std::max(1, (ranks + ranks_of_an_id - 1) / ranks_of_an_id);
}

}  // namespace railwright::worker
