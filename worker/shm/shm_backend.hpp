// Collectives of groups inside one machine, through memory that its ranks share.
//
// Each rank takes its part straight from the buffers of its peers and writes results to where they
// belong: no copies, and as few bytes as any algorithm moves. Vectors of at most
// Meeting::slot_size go through slots instead, which saves a round of waiting. The schedule says
// what is to be done and who owns which part; how it is done is always the direct exchange.
//
// Buffers from SharedNode::allocate are worked on in place. Others are copied in and out where
// they are small, and go to the Backend for private buffers where they are large.
#pragma once

#include <memory>

#include "worker/shm/node.hpp"
#include "worker/worker.hpp"

namespace railwright::worker {

// Largest private buffer that is copied in and out where there is somebody else to do the rest.
inline constexpr std::size_t largest_copied = std::size_t{512} << 10;

// `for_private` may be null: then every private buffer is copied. Both must outlive the backend.
std::unique_ptr<Backend> make_shm_backend(SharedNode& node, Backend* for_private,
                                          EdgeLog* edges = nullptr);

// Empty when all of them live on this machine.
std::string why_shm_cannot(const SharedNode& node, const std::vector<int>& ranks);

}  // namespace railwright::worker
