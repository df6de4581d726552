// Why a space is empty, and the smallest changes that fill it.
#pragma once

#include "coordinator/planner/search.hpp"

namespace railwright::coordinator {

// Of a request whose points_of() is empty. Names every rule that what is fixed breaks, with its
// numbers. The hint names the nearest values, below and above, of each fixed degree, of the
// accelerators, of which there are `most`, and of the batch with which there are points: each is
// tried by itself.
ConfigError why_no_points(const workload::Training& training, std::int64_t accelerators,
                          std::int64_t most, const FixedDegrees& fixed);

}  // namespace railwright::coordinator
