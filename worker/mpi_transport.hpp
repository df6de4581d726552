// MPI point-to-point as a Transport, and the collectives of MPI as a Backend.
#pragma once

#include <mpi.h>

#include <memory>

#include "worker/worker.hpp"

namespace railwright::worker {

// Over a duplicate of `communicator`. Messages beyond 1 GiB go in pieces: MPI counts are ints.
// MPI must outlive it.
std::unique_ptr<Transport> make_mpi_transport(MPI_Comm communicator, bool ranks_share_cores);

// Hands operations to MPI, which chooses the algorithm: opaque. half and bfloat16 are no MPI types;
// they go as pairs of bytes with our Reducer as the operation. An operation is blocking and has no
// deadline: arrive() first finds out whether everybody is there. `world` ranks are Group ranks.
std::unique_ptr<Backend> make_mpi_backend(MPI_Comm world);

// A schedule that says no more than MPI keeps to: the operation, ranks and root, with the parts of
// the ranks in their order.
collectives::Schedule opaque_schedule(const collectives::Schedule& schedule);

// Why MPI cannot do it ("all_gather of 16 GiB: more than 2147483647 elements"), or empty.
std::string why_mpi_cannot(const collectives::Schedule& schedule, Bytes size, DataType type);

}  // namespace railwright::worker
