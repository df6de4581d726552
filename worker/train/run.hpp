// `railwright-worker run --workload train` on the ranks of an MPI world.
#pragma once

#include "worker/run/run.hpp"

namespace railwright::worker::train {

// Collective; the plan fits the world. Loss by step on stdout of rank 0. Returns the exit status.
// What went over the edges of its schedules is in the report, as of traffic.
int run_training(const World& world, const RunOptions& options, const emulator::Plan& plan,
                 const topology::Cluster& cluster);

}  // namespace railwright::worker::train
