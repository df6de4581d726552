// Collectives: how ranks exchange data.
//
// A collective is a Schedule: a maker and its parameters, from which anybody can ask which chunks a
// rank sends in a step. The same value is proved correct symbolically, priced by a closed form or
// per link of a cluster, emulated in virtual time and executed over MPI.
//
//   Schedule ring{Operation::all_reduce, Algorithm::ring, 8};
//   assert(violation_of(ring).empty());
//   for (const Phase& phase : phases_of(ring)) ...
//   for (const Send& send : sends_from(ring, rank, phase, step)) ...
#pragma once

#include "collectives/cost.hpp"
#include "collectives/schedule.hpp"
