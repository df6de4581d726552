#include "worker/bench/bench.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <iostream>

#include "topology/files/writable.hpp"
#include "worker/await.hpp"

namespace railwright::worker {
namespace {

using collectives::Schedule;
using Clock = std::chrono::steady_clock;

// How fast this machine reduces: the part of a collective that is no transfer.
std::string reduction_speeds() {
  constexpr std::size_t size = 1 << 18;
  std::vector<std::byte> target(size), source(size);
  std::string text = "# reducing 256 KiB:";
  for (const DataType type : {DataType::float32, DataType::float16, DataType::bfloat16}) {
    const Reducer reducer(type, ReduceOp::sum);
    std::vector<double> times;
    for (int i = 0; i < 20; ++i) {
      const Clock::time_point start = Clock::now();
      reducer(target, source);
      times.push_back(std::chrono::duration<double>(Clock::now() - start).count());
    }
    std::sort(times.begin(), times.end());
    text += fmt::format(" {} {:.1f} GB/s{}", to_string(type), double(size) / times[10] / 1e9,
                        type == DataType::bfloat16 ? "\n" : ",");
  }
  return text;
}

Errors impossible(const World& world, const BenchOptions& options, const Schedule& schedule,
                  Bytes size) {
  Group everybody;
  for (int rank = 0; rank < world.size; ++rank) everybody.ranks.push_back(rank);
  std::string why = why_engine_cannot(options.backend, world, options.ranks_per_node, everybody,
                                      schedule, size, options.type);
  const bool by_mpi = options.compare_mpi || (options.backend == "shm" && options.private_buffers);
  if (why.empty() && by_mpi)
    why = why_engine_cannot("mpi", world, 0, everybody, schedule, size, options.type);
  if (why.empty()) return {};
  return {{{}, why, "use a smaller -e, or another --backend"}};
}

int conclude(const World& world, const BenchOptions& options, const std::vector<BenchRow>& rows,
             const std::optional<Ways>& own_ways) {
  std::optional<Ways> ways = own_ways;
  if (ways) {
    ways->memory.count = reduced(world, MPI_COMM_WORLD, ways->memory.count, MPI_SUM);
    ways->outside.count = reduced(world, MPI_COMM_WORLD, ways->outside.count, MPI_SUM);
  }
  if (world.first()) std::cout << bench_footer(rows, ways) << std::flush;
  const bool write = world.first() && !options.json_path.empty();
  const std::string json = write ? bench_json(rows, world, options, ways) : std::string();
  if (!agree(world, write ? write_file(options.json_path, json) : Errors{})) return exit_usage;
  return std::any_of(rows.begin(), rows.end(), [](const BenchRow& row) { return row.wrong > 0; })
             ? exit_failed
             : exit_ok;
}

}  // namespace

int bench(const World& world, const BenchOptions& options) {
  const Result<std::vector<Bytes>> sizes = bench_sizes(options);
  const Result<BenchChoice> choice = BenchChoice::make(world, options);
  Errors errors = sizes ? Errors{} : sizes.error();
  if (!choice) errors.insert(errors.end(), choice.error().begin(), choice.error().end());
  if (const auto error = topology::why_not_writable(options.json_path); world.first() && error)
    errors.push_back(*error);
  if (errors.empty())
    errors = impossible(world, options, choice->schedule(sizes->back()), sizes->back());
  // The vector, its inputs and a private copy; shared memory looks itself.
  if (errors.empty() && !shares_memory(options.backend))
    errors = why_no_memory(world, 3 * buffer_bytes(choice->schedule(sizes->back()), sizes->back()));
  if (!agree(world, errors)) return exit_usage;

  Result<Bed> bed =
      Bed::make(world, options, buffer_bytes(choice->schedule(sizes->back()), sizes->back()));
  if (!bed) return exit_usage;
  if (world.first()) std::cout << reduction_speeds() << bench_header(world, options) << std::flush;
  std::vector<BenchRow> rows;
  for (const Bytes size : *sizes) {
    BenchRow row = bed->measure(choice->schedule(size), size);
    row.expected = choice->expected(row.schedule, size);
    row.bound = choice->bound(size);
    if (world.first()) std::cout << bench_line(row, options) << std::flush;
    rows.push_back(row);
  }
  return conclude(world, options, rows, bed->ways());
}

}  // namespace railwright::worker
