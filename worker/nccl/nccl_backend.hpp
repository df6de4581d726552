// Collectives by NCCL, where a GPU and the libraries are found when the program runs. Nothing is
// linked: one binary runs with and without them.
//
// Every group gets a communicator when it first meets. All of them are non-blocking: calls return
// at once and progress is asked for, so that every wait has a deadline. When it passes, or NCCL
// reports an error, this rank aborts all its communicators (NCCL can do nothing else with them),
// looks over the transport for who is not there and names that rank.
//
// Buffers are host memory, as of every Backend: they are copied to the GPU and back at every call,
// but those that are kept (Backend::keep), which are on the GPU and copied where the caller says
// so. The time of an execution is that of the collective alone, between two CUDA events.
#pragma once

#include <memory>
#include <string>

#include "worker/worker.hpp"

namespace railwright::worker {

// Where the libraries are; empty: RAILWRIGHT_NCCL_LIBRARY and RAILWRIGHT_CUDART_LIBRARY of the
// environment, else libnccl.so.2 and libcudart.so as the loader finds them.
struct NcclLibraries {
  std::string nccl, cudart;
};

// Which of the ranks of its machine this one is: it takes the GPU with that number.
struct NcclPlace {
  int local_rank = 0, local_ranks = 1;
};

// Fails, with what to do about it, where this build has no NCCL, a library is missing or too old,
// there is no GPU, or more ranks than GPUs (NCCL refuses two ranks on one). Not collective; the
// transport must outlive the backend. The algorithms of the `planned` schedules become NCCL's where
// the environment does not say otherwise.
Result<std::unique_ptr<Backend>> make_nccl_backend(
    Transport& transport, const NcclPlace& place, const NcclLibraries& libraries = {},
    std::span<const collectives::Schedule> planned = {});

// What NCCL_ALGO must say for NCCL to choose among the algorithms of these schedules, operation by
// operation: "allreduce:ring,tree;allgather:ring". Ring stands beside whatever not every machine
// has, for NCCL fails where it may not choose. Operations with a schedule that NCCL has not are
// left to it, and so is everything before 2.24, which knows no operations there. May be empty.
std::string nccl_algorithms(std::span<const collectives::Schedule> planned, int version);

// Why NCCL cannot do it, or empty.
std::string why_nccl_cannot(const collectives::Schedule& schedule);

// Unique ids that a communicator of so many ranks is made of: one, and above 1,024 ranks one per
// 1,024 (ncclCommInitRankScalable).
int nccl_ids(int ranks);

}  // namespace railwright::worker
