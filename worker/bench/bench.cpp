#include "worker/bench/bench.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <iostream>

#include "topology/files/writable.hpp"
#include "worker/mpi_transport.hpp"

namespace railwright::worker {
namespace {

using collectives::Schedule;
using Clock = std::chrono::steady_clock;

// One rank's buffers and engines for the whole sweep.
struct Bed {
  const World& world;
  const BenchOptions& options;
  Group group;
  std::unique_ptr<Transport> transport;
  std::unique_ptr<Backend> p2p, mpi;
  std::vector<std::byte> inputs, buffer;
};

Bed make_bed(const World& world, const BenchOptions& options) {
  Bed bed{world,   options, {}, make_mpi_transport(MPI_COMM_WORLD, world.oversubscribed),
          nullptr, nullptr, {}, {}};
  for (int rank = 0; rank < world.size; ++rank) bed.group.ranks.push_back(rank);
  bed.group.index = world.rank;
  bed.p2p = make_p2p_backend(*bed.transport);
  bed.mpi = make_mpi_backend(MPI_COMM_WORLD);
  return bed;
}

Transport::Deadline deadline_after(Seconds timeout) {
  return Clock::now() + std::chrono::nanoseconds(static_cast<std::int64_t>(timeout.value * 1e9));
}

// Fresh inputs every time: data that stays in a reader's cache would flatter the result.
double iterate(Bed& bed, Backend& backend, const Schedule& schedule) {
  std::memcpy(bed.buffer.data(), bed.inputs.data(), bed.inputs.size());
  const Transport::Deadline deadline = deadline_after(bed.options.timeout);
  const auto require = [&](const WaitResult& result) {
    if (result.state == WaitState::done) return;
    const auto until = deadline_after(Seconds{std::min(5.0, bed.options.timeout.value / 4)});
    give_up(bed.world, silent_rank(*bed.transport, result, until), bed.options.timeout);
  };
  require(arrive(*bed.transport, bed.group, deadline));
  const Execution execution =
      backend.execute(schedule, bed.group, std::span(bed.buffer).first(bed.inputs.size()),
                      Reducer(bed.options.type, ReduceOp::sum), deadline);
  require({execution.state, execution.peer});
  return execution.time.value;
}

// Iteration by iteration the slowest rank, then the median; the same on every rank.
Seconds median_of_slowest(std::vector<double> times) {
  MPI_Allreduce(MPI_IN_PLACE, times.data(), static_cast<int>(times.size()), MPI_DOUBLE, MPI_MAX,
                MPI_COMM_WORLD);
  const auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
  std::nth_element(times.begin(), middle, times.end());
  return {std::max(*middle, 1e-9)};
}

std::uint64_t wrong_everywhere(const Bed& bed, const Schedule& schedule,
                               const ExactInputs& inputs) {
  std::uint64_t wrong =
      count_wrong(schedule, bed.world.rank, inputs, bed.options.type,
                  std::span<const std::byte>(bed.buffer).first(bed.inputs.size()));
  MPI_Allreduce(MPI_IN_PLACE, &wrong, 1, MPI_UINT64_T, MPI_SUM, MPI_COMM_WORLD);
  return wrong;
}

BenchRow measure(Bed& bed, const Schedule& schedule, Bytes size) {
  const BenchOptions& options = bed.options;
  const ExactInputs inputs(size.count, bed.world.size, options.type);
  bed.inputs.resize(buffer_bytes(schedule, size).count);
  if (bed.buffer.size() < bed.inputs.size()) bed.buffer.resize(bed.inputs.size());
  fill_inputs(schedule, bed.world.rank, inputs, options.type, bed.inputs);

  Backend& backend = options.backend == "mpi" ? *bed.mpi : *bed.p2p;
  const Schedule opaque = opaque_schedule(schedule);
  std::vector<double> times, mpi_times;
  BenchRow row{size, schedule, {}, {}, {}, 0};
  for (int i = -options.warmup; i < options.iterations; ++i) {
    // In turn, and who goes first in turn as well.
    const double before = options.compare_mpi && i % 2 != 0 ? iterate(bed, *bed.mpi, opaque) : 0;
    const double time = iterate(bed, backend, schedule);
    if (i + 1 == options.iterations) row.wrong = wrong_everywhere(bed, schedule, inputs);
    const double after = options.compare_mpi && i % 2 == 0 ? iterate(bed, *bed.mpi, opaque) : 0;
    if (i < 0) continue;
    times.push_back(time);
    mpi_times.push_back(before + after);
  }
  row.time = median_of_slowest(times);
  if (options.compare_mpi) row.mpi_time = median_of_slowest(mpi_times);
  return row;
}

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

Errors impossible(const BenchOptions& options, const Schedule& schedule, Bytes size) {
  if (options.backend != "mpi" && !options.compare_mpi) return {};
  const std::string why = why_mpi_cannot(opaque_schedule(schedule), size, options.type);
  if (why.empty()) return {};
  return {{{}, why, "use a smaller -e, or --backend p2p"}};
}

}  // namespace

int bench(const World& world, const BenchOptions& options) {
  const Result<std::vector<Bytes>> sizes = bench_sizes(options);
  const Result<BenchChoice> choice = BenchChoice::make(world, options);
  Errors errors = sizes ? Errors{} : sizes.error();
  if (!choice) errors.insert(errors.end(), choice.error().begin(), choice.error().end());
  if (const auto error = topology::why_not_writable(options.json_path); world.first() && error)
    errors.push_back(*error);
  if (errors.empty()) errors = impossible(options, choice->schedule(sizes->back()), sizes->back());
  if (!agree(world, errors)) return exit_usage;

  Bed bed = make_bed(world, options);
  if (world.first()) std::cout << reduction_speeds() << bench_header(world, options) << std::flush;
  std::vector<BenchRow> rows;
  for (const Bytes size : *sizes) {
    BenchRow row = measure(bed, choice->schedule(size), size);
    row.expected = choice->expected(row.schedule, size);
    if (world.first()) std::cout << bench_line(row, options) << std::flush;
    rows.push_back(row);
  }
  if (world.first()) std::cout << bench_footer(rows) << std::flush;
  const bool write = world.first() && !options.json_path.empty();
  if (!agree(world,
             write ? write_file(options.json_path, bench_json(rows, world, options)) : Errors{}))
    return exit_usage;
  return std::any_of(rows.begin(), rows.end(), [](const BenchRow& row) { return row.wrong > 0; })
             ? exit_failed
             : exit_ok;
}

}  // namespace railwright::worker
