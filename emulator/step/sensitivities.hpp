// What a step would take on a slightly better cluster. Private to the emulator.
#pragma once

#include <vector>

#include "emulator/step/prepared.hpp"

namespace railwright::emulator {

// Runs the step again with a tenth more of each thing in turn: FLOP/s, HBM bandwidth, the capacity
// of each link class that carried anything (`class_bytes`). Plan, routes and what exchanges put on
// links stay: `priced`, of the run before. Greatest gain first; ties: that order.
std::vector<Sensitivity> sensitivities_of(const PreparedStep& step,
                                          const topology::Cluster& cluster, const StepCosts& priced,
                                          const std::vector<double>& class_bytes);

}  // namespace railwright::emulator
