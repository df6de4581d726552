// Segments in a window of MPI.
#pragma once

#include <mpi.h>

#include "topology/result.hpp"
#include "worker/shm/segments.hpp"

namespace railwright::worker {

// Collective over `node`, ranks of one machine; `ranks` are their ranks in the world. Each gets a
// segment of its own pages, of its own size, which it touches first itself. Nothing has a name in
// the file system after this returns. Fails, on all ranks alike, where the backing store has too
// little room: a full one would be a signal at some later write.
Result<Segments> make_mpi_segments(MPI_Comm node, std::vector<int> ranks, Bytes each);

// The directory where this MPI keeps shared windows.
std::string shared_memory_directory();

}  // namespace railwright::worker
