// Collectives of MPI with a deadline, for whatever sets a run up and gathers what it has seen. What
// moves a plan's data does not come this way.
#pragma once

#include <mpi.h>

#include <string>
#include <thread>

#include "worker/world.hpp"

namespace railwright::worker {

// Returns when the non-blocking collective of `communicator` that `request` stands for is done.
// After world.patience, or when another rank's has passed, the ranks call the roll: whoever does
// not answer is named, and the run ends (give_up).
void await(const World& world, MPI_Comm communicator, MPI_Request request);

// All ranks of the communicator have come.
void meet(const World& world, MPI_Comm communicator);

// Collective over the communicator: one number of every rank becomes one.
std::uint64_t reduced(const World& world, MPI_Comm communicator, std::uint64_t value, MPI_Op how);
bool everybody(const World& world, MPI_Comm communicator, bool here);

// For a call that has no non-blocking form, behind a meet(): when it lasts longer than
// world.patience, this rank says so and ends, and the launcher ends the others.
class Watchdog {
 public:
  Watchdog(const World& world, std::string call);
  ~Watchdog() = default;
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

 private:
  std::jthread thread_;  // asks itself to stop at the end
};

}  // namespace railwright::worker
