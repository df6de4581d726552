// What a job is planned for on the nodes that it got.
//
// On all that it wants: as it was submitted. On fewer: the split that it had, with fewer
// data-parallel replicas, so that each rank holds and does what it did; where that cannot be
// planned, any degrees. The global batch stays: real training deals its micro-batches out unevenly,
// all else takes as many replicas as divide it.
#pragma once

#include <optional>
#include <vector>

#include "coordinator/service/request.hpp"
#include "workload/degrees.hpp"

namespace railwright::coordinator {

struct Portion {
  std::int64_t accelerators = 0;
  std::int64_t global_batch = 0;  // of the plan; at least the job's, the next that divides
  std::string fix;
  std::string note;  // what is different from what was submitted; "": nothing
  bool operator==(const Portion&) const = default;
};

// In the order in which they are tried, the first that can be planned is taken. `before`: degrees
// of the job's latest plan; `room`: accelerators of its nodes.
std::vector<Portion> portions_of(const JobRequest& request,
                                 const std::optional<workload::Degrees>& before, std::int64_t room);

}  // namespace railwright::coordinator
