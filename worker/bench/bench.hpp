// `railwright-worker bench`: the nccl-tests table, measured on whatever ranks were started.
//
// Every iteration starts from fresh inputs behind a barrier; its time is that of the slowest rank,
// and a row shows the median over the iterations. The result of the last one is checked bit for
// bit. --compare mpi times MPI's own collective in turn with ours, so that both see the same noise.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "topology/topology.hpp"
#include "worker/verify.hpp"
#include "worker/worker.hpp"
#include "worker/world.hpp"

namespace railwright::worker {

struct BenchOptions {
  Bytes begin = bytes(8), end = mebibytes(256);
  std::uint64_t factor = 2;
  DataType type = DataType::float32;
  collectives::Operation operation = collectives::Operation::all_reduce;
  std::string backend = "p2p";                      // or "mpi"
  std::optional<collectives::Algorithm> algorithm;  // absent: auto
  int iterations = 20, warmup = 5;
  bool compare_mpi = false;
  std::string json_path, cluster;
  Seconds timeout = seconds(60);
};

struct BenchRow {
  Bytes size;
  collectives::Schedule schedule;
  Seconds time;
  std::optional<Seconds> mpi_time, expected;
  std::uint64_t wrong = 0;
  Bandwidth algorithm_bandwidth() const { return size / time; }
  Bandwidth bus_bandwidth() const;
};

// What the schedule of a size is chosen from.
class BenchChoice {
 public:
  static Result<BenchChoice> make(const World& world, const BenchOptions& options);
  collectives::Schedule schedule(Bytes size) const;
  std::optional<Seconds> expected(const collectives::Schedule& schedule, Bytes size) const;

 private:
  collectives::Schedule schedule_by(collectives::Algorithm algorithm, Bytes size) const;

  BenchOptions options_;
  int ranks_ = 1, ranks_per_node_ = 1;
  std::shared_ptr<const topology::Cluster> cluster_;
  std::shared_ptr<const topology::Router> router_;
  std::vector<topology::AcceleratorId> members_;
};

// Sizes of the sweep, whole elements each; errors name the option.
Result<std::vector<Bytes>> bench_sizes(const BenchOptions& options);

// Text of the table, as nccl-tests prints it; columns that we add come last.
std::string bench_header(const World& world, const BenchOptions& options);
std::string bench_line(const BenchRow& row, const BenchOptions& options);
std::string bench_footer(const std::vector<BenchRow>& rows);
std::string bench_json(const std::vector<BenchRow>& rows, const World& world,
                       const BenchOptions& options);

// Collective; the table goes to stdout of rank 0. Returns the exit status.
int bench(const World& world, const BenchOptions& options);

}  // namespace railwright::worker
