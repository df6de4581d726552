// Collectives across machines whose ranks share memory.
#pragma once

#include "worker/shm/node.hpp"
#include "worker/worker.hpp"

namespace railwright::worker {

// Groups on one machine meet in shared memory; the schedules of others are interpreted, their
// messages take the ways of `transport`. All must outlive the backend.
std::unique_ptr<Backend> make_hierarchical_backend(SharedNode& node, Transport& transport,
                                                   EdgeLog* edges = nullptr);

}  // namespace railwright::worker
