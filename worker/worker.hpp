// Worker: the hands. One process per rank, started by mpirun or srun.
//
// `railwright-worker run` reads a plan, checks that it is on the host and rank the plan means,
// makes the process groups and walks its stage's program: compute is paced by the prediction,
// collectives move real data through a Backend, results are checked with inputs whose sum is exact
// in any order. `railwright-worker bench` prints the nccl-tests table, `probe` names slow links.
//
// A Backend executes one collective of a group. `p2p` interprets our schedules over a Transport,
// `shm` works in memory that the ranks of a machine share, `hierarchical` is `shm` inside a machine
// and our schedules across, `mpi` hands the operation to MPI (schedule: opaque), `emulated` moves
// nothing and takes the time that the emulator predicts. engine.hpp makes them by name.
#pragma once

#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "collectives/collectives.hpp"
#include "emulator/plan.hpp"
#include "worker/reducer.hpp"
#include "worker/transport.hpp"

namespace railwright::worker {

struct Group {
  workload::Dimension dimension = workload::Dimension::dp;
  std::vector<int> ranks;  // world ranks, in group order
  int index = 0;           // of this rank
};

// Where the time of one collective went, as this rank saw it.
struct Execution {
  WaitState state = WaitState::done;
  int peer = -1;  // of timeout and failed
  Seconds time;   // from call to end
  Seconds wait;   // until the first byte of a peer was there
  Bytes sent, received;
};

// A group that is going to have collectives, with the most channels that are planned for one.
struct Prospect {
  Group group;
  int channels = 1;
};

class Backend {
 public:
  virtual ~Backend() = default;
  // Collective over the world, before anything else: the groups of this rank, those of the same
  // dimensions in the same order on every rank. Whoever leaves it out pays in the first collective.
  // The deadline is that of the first group that is made ready; each further one may take as long.
  virtual WaitResult prepare(std::span<const Prospect>, Transport::Deadline) {
    return {WaitState::done, -1};
  }
  virtual std::string name() const = 0;
  virtual bool opaque() const = 0;  // true: the engine chooses the schedule
  // In place on `buffer` (whole elements of the reducer's type).
  virtual Execution execute(const collectives::Schedule& schedule, const Group& group,
                            std::span<std::byte> buffer, const Reducer& reducer,
                            Transport::Deadline deadline) = 0;

  // A buffer of many calls may live where the backend works (nccl: on the GPU), until the backend
  // ends. Calls whose buffer begins where it does, then work there alone: who has written into it
  // sends that there, who will read it fetches it first. Backends that work in host memory need
  // none of it; where there is no room either, every call copies as for any other buffer.
  virtual void keep(std::span<std::byte>) {}
  virtual WaitResult send_there(std::span<const std::byte>) { return {WaitState::done, -1}; }
  virtual WaitResult fetch(std::span<std::byte>) { return {WaitState::done, -1}; }
};

// `edges` learns of every message; it must outlive the backend, and may be null.
class EdgeLog;
std::unique_ptr<Backend> make_p2p_backend(Transport& transport, EdgeLog* edges = nullptr);
// Empty when p2p can execute a schedule that has nothing against itself: ranks stand in for no
// switches, and each channel needs a tag.
std::string why_p2p_cannot(const collectives::Schedule& schedule);

// Bytes of the buffer that a collective over vectors of `size` works on: the vector itself, but for
// all_to_all a row of `size` bytes per rank.
Bytes buffer_bytes(const collectives::Schedule& schedule, Bytes size);
// The other way round.
Bytes vector_bytes(const collectives::Schedule& schedule, std::size_t buffer_bytes);

// Returns when every rank of the group has called it (a dissemination barrier: ceil(log2 p) rounds
// of empty messages), or with the peer that did not come.
WaitResult arrive(Transport& transport, const Group& group, Transport::Deadline deadline);
// The same, and `time` becomes the largest that any rank of the group came with.
WaitResult agree_on_slowest(Transport& transport, const Group& group, Transport::Deadline deadline,
                            Seconds& time);

// After a timeout: whoever waits for a lost rank keeps others waiting. Everybody who gives up calls
// this; they tell each other whom they waited for until `deadline`, and the answer names the one at
// the end of that chain, from whom nothing was heard.
WaitResult silent_rank(Transport& transport, const WaitResult& timeout,
                       Transport::Deadline deadline);

// Tags of the transport, so that traffic of different origin is never matched: one range per
// dimension for collectives (plus the channel), then the rest. All below 32767, which every MPI
// has.
inline constexpr int tags_per_range = 1 << 10;
int tag_range(workload::Dimension dimension);
inline constexpr int arrival_tags = 12 * tags_per_range;
inline constexpr int pipeline_tags = 16 * tags_per_range;

}  // namespace railwright::worker
