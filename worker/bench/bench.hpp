// `railwright-worker bench`: the nccl-tests table, measured on whatever ranks were started.
//
// Every iteration starts from fresh inputs behind a barrier; its time is that of the slowest rank,
// and a row shows the median over the iterations. The result of the last one is checked bit for
// bit. --compare mpi times MPI's own collective in turn with ours, so that both see the same noise.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "collectives/bound.hpp"
#include "topology/topology.hpp"
#include "worker/bench/interval.hpp"
#include "worker/engine.hpp"
#include "worker/verify.hpp"
#include "worker/worker.hpp"
#include "worker/world.hpp"

namespace railwright::worker {

struct BenchOptions {
  Bytes begin = bytes(8), end = mebibytes(256);
  std::uint64_t factor = 2;
  std::optional<Bytes> step;  // present: sizes follow by addition
  DataType type = DataType::float32;
  collectives::Operation operation = collectives::Operation::all_reduce;
  int root = 0;
  std::string backend = "p2p";
  std::optional<collectives::Algorithm> algorithm;  // absent: auto
  int iterations = 20, warmup = 5;
  int aggregated = 1;     // calls in an iteration, one after the other
  bool blocking = false;  // with a barrier between them
  bool check = true;
  bool compare_mpi = false;
  bool private_buffers = false;  // not from the worker's shared memory
  int ranks_per_node = 0;        // so many neighbours count as a machine; 0: as they are
  std::string json_path, cluster;
  Seconds timeout = seconds(60);
  // What a memory-bound pass over the vector takes, beside shared-memory backends.
  bool with_limit() const { return backend == "shm"; }
};

struct BenchRow {
  Bytes size;
  collectives::Schedule schedule;
  Seconds time;
  std::optional<Seconds> mpi_time, expected, bound;
  std::optional<Median> speedup;  // over MPI, iteration by iteration
  std::optional<Seconds> limit;   // every rank reads and writes its own vector once
  std::uint64_t wrong = 0;
  Bandwidth algorithm_bandwidth() const { return size / time; }
  Bandwidth bus_bandwidth() const;
};

// What the schedule of a size is chosen from.
class BenchChoice {
 public:
  static Result<BenchChoice> make(const World& world, const BenchOptions& options);
  collectives::Schedule schedule(Bytes size) const;
  // Emulated on idle links, and what nothing can beat; only for a --cluster.
  std::optional<Seconds> expected(const collectives::Schedule& schedule, Bytes size) const;
  std::optional<Seconds> bound(Bytes size) const;

 private:
  collectives::Schedule schedule_by(collectives::Algorithm algorithm, Bytes size) const;
  collectives::Schedule rooted(collectives::Schedule schedule) const;

  BenchOptions options_;
  int ranks_ = 1, ranks_per_node_ = 1;
  std::shared_ptr<const topology::Cluster> cluster_;
  std::shared_ptr<const topology::Router> router_;
  std::vector<topology::AcceleratorId> members_;
  std::optional<collectives::Bound> bound_;
};

// Sizes of the sweep, whole elements each; errors name the option.
Result<std::vector<Bytes>> bench_sizes(const BenchOptions& options);

// One rank's buffers and engines for the whole sweep.
class Bed {
 public:
  // Collective; `largest` buffer in bytes. Fails on all ranks alike, the reason is printed.
  static Result<Bed> make(const World& world, const BenchOptions& options, Bytes largest);
  // Collective. The times, the comparisons and the check of one size.
  BenchRow measure(const collectives::Schedule& schedule, Bytes size);
  std::optional<Ways> ways() const { return engine_.ways(); }

 private:
  Bed(const World& world, const BenchOptions& options, Engine engine, Bytes largest);
  using Work = std::function<Execution(std::span<std::byte> buffer, Transport::Deadline deadline)>;
  // From fresh inputs, behind a barrier; of one of `calls`.
  double time_of(std::span<std::byte> buffer, int calls, const Work& work);
  double ours(const collectives::Schedule& schedule, int calls);
  double mpi(const collectives::Schedule& opaque);
  double limit();
  void require(const WaitResult& result);
  std::uint64_t wrong_everywhere(const collectives::Schedule& schedule, const ExactInputs& inputs);

  const World& world_;
  const BenchOptions& options_;
  Group group_;
  Engine engine_;
  std::unique_ptr<Backend> mpi_;
  std::vector<std::byte> inputs_, private_;  // the latter: what MPI works on
  std::span<std::byte> buffer_;              // what we work on
};

// Text of the table, as nccl-tests prints it; columns that we add come last.
std::string bench_header(const World& world, const BenchOptions& options);
std::string bench_line(const BenchRow& row, const BenchOptions& options);
std::string bench_footer(const std::vector<BenchRow>& rows, const std::optional<Ways>& ways);
std::string bench_json(const std::vector<BenchRow>& rows, const World& world,
                       const BenchOptions& options, const std::optional<Ways>& ways);

// Collective; the table goes to stdout of rank 0. Returns the exit status.
int bench(const World& world, const BenchOptions& options);

}  // namespace railwright::worker
