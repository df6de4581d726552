// What executes collectives of a run, by name: transports, shared memory and the Backend on them.
//
//   p2p           our schedules over MPI point-to-point
//   mpi           MPI's own collectives
//   nccl          NCCL's, on a GPU per rank; messages of others go over MPI
//   shm           shared memory; every group lives on one machine
//   hierarchical  groups on one machine as shm; others by our schedules, whose messages go through
//                 shared memory inside a machine and over MPI between machines
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "worker/edges.hpp"
#include "worker/shm/mixed_transport.hpp"
#include "worker/throttle.hpp"
#include "worker/worker.hpp"
#include "worker/world.hpp"

namespace railwright::worker {

struct EngineChoice {
  std::string backend = "p2p";
  int ranks_per_node = 0;  // so many neighbours count as a machine; 0: those that share one
  Bytes buffers;           // that each rank will allocate in all
  bool or_p2p = false;     // where too little memory is shared: p2p, and a note on stderr
  std::vector<Throttle> throttles = {};  // of messages; collectives in shared memory know none
  bool time_edges = false;               // edges() then knows what goes over each
  std::vector<collectives::Schedule> planned = {};  // what nccl is asked to choose among
};

class Engine {
 public:
  // Collective; fails on all ranks alike.
  static Result<Engine> make(const World& world, const EngineChoice& choice);
  Engine(Engine&&) noexcept;
  Engine& operator=(Engine&&) noexcept;
  ~Engine();

  Backend& backend() const;
  Transport& transport() const;
  // Memory for buffers of collectives: shared where the backend can make use of it.
  std::span<std::byte> allocate(std::size_t size);
  // The ranks that share memory with this one; null for p2p and mpi.
  SharedNode* node();
  // Null where nothing is timed: schedules of others, and who did not ask for it.
  EdgeLog* edges() const;
  // Payload bytes of this rank by the way they took; absent where nobody counts them.
  std::optional<Ways> ways() const;

 private:
  struct Parts;
  explicit Engine(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

// Why the ranks of this machine cannot have so much memory each, or nothing: a machine that runs
// out of it kills processes without a word.
Errors why_no_memory(const World& world, Bytes each);

// Names that --backend takes for what moves real data.
std::vector<std::string> engine_names();

// Why such an engine cannot execute a schedule in a group, or empty. `ranks_per_node` as above.
std::string why_engine_cannot(const std::string& backend, const World& world, int ranks_per_node,
                              const Group& group, const collectives::Schedule& schedule, Bytes size,
                              DataType type);

bool shares_memory(const std::string& backend);
// True where the library chooses the schedule: mpi, nccl.
bool is_opaque(const std::string& backend);
// What such a backend executes in place of a planned schedule, and others the plan itself. nccl
// keeps what it can take as a hint.
collectives::Schedule executed_schedule(const std::string& backend,
                                        const collectives::Schedule& planned);
bool live_together(const std::vector<int>& machine_of, const std::vector<int>& ranks);
// The number of the machine, real or virtual, that each rank of the world lives on.
std::vector<int> machines(const World& world, int ranks_per_node);

}  // namespace railwright::worker
