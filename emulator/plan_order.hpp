// Plans whose ranks are numbered in another order than the default one.
#pragma once

#include <functional>

#include "emulator/plan.hpp"

namespace railwright::emulator {

// What is best for a group, operation and size: collectives::best_schedule, or what remembers it.
using BestSchedule = std::function<collectives::Schedule(
    workload::Operation, Bytes, const std::vector<topology::AcceleratorId>&,
    const topology::Router&)>;

// As make_plan: rank r sits on accelerator first + r, ranks being numbered in `order`, which must
// have groups (workload::has_groups). With `axes` rank r sits on the r-th place along them.
Result<Plan> make_plan_in_order(const workload::RankOrder& order, const topology::Cluster& cluster,
                                const workload::Training& training,
                                const workload::Degrees& degrees,
                                const topology::Calibration& calibration,
                                std::int64_t first_accelerator = 0, const BestSchedule& choice = {},
                                const std::vector<Axis>& axes = {});

}  // namespace railwright::emulator
