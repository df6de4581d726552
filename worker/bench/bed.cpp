#include <algorithm>
#include <chrono>
#include <cstring>

#include "worker/await.hpp"
#include "worker/bench/bench.hpp"
#include "worker/kernels/kernels.hpp"
#include "worker/mpi_transport.hpp"

namespace railwright::worker {
namespace {

using collectives::Schedule;
using Clock = std::chrono::steady_clock;

Transport::Deadline deadline_after(Seconds timeout) {
  return Clock::now() + std::chrono::nanoseconds(static_cast<std::int64_t>(timeout.value * 1e9));
}

// Iteration by iteration the slowest rank; the same on every rank.
std::vector<double> slowest(const World& world, std::vector<double> times) {
  MPI_Request request;
  MPI_Iallreduce(MPI_IN_PLACE, times.data(), static_cast<int>(times.size()), MPI_DOUBLE, MPI_MAX,
                 MPI_COMM_WORLD, &request);
  await(world, MPI_COMM_WORLD, request);
  for (double& time : times) time = std::max(time, 1e-9);
  return times;
}

std::vector<double> ratios(const std::vector<double>& over, const std::vector<double>& under) {
  std::vector<double> result;
  for (std::size_t i = 0; i < over.size(); ++i) result.push_back(over[i] / under[i]);
  return result;
}

}  // namespace

Bed::Bed(const World& world, const BenchOptions& options, Engine engine, Bytes largest)
    : world_(world), options_(options), engine_(std::move(engine)) {
  for (int rank = 0; rank < world.size; ++rank) group_.ranks.push_back(rank);
  group_.index = world.rank;
  mpi_ = make_mpi_backend(MPI_COMM_WORLD);
  inputs_.reserve(largest.count);
  private_.resize(largest.count);
  buffer_ = options.private_buffers ? std::span(private_) : engine_.allocate(largest.count);
  engine_.backend().keep(buffer_);
}

Result<Bed> Bed::make(const World& world, const BenchOptions& options, Bytes largest) {
  // Private buffers are copied through shared memory where they are small.
  const Bytes shared = options.private_buffers ? std::min(largest, mebibytes(1)) : largest;
  EngineChoice choice{options.backend, options.ranks_per_node, shared};
  if (options.algorithm) choice.planned = {{options.operation, *options.algorithm, world.size}};
  Result<Engine> engine = Engine::make(world, choice);
  if (!engine) return tl::unexpected(engine.error());
  return Bed(world, options, std::move(*engine), largest);
}

void Bed::require(const WaitResult& result) {
  if (result.state == WaitState::done) return;
  const auto until = deadline_after(Seconds{std::min(5.0, options_.timeout.value / 4)});
  give_up(world_, silent_rank(engine_.transport(), result, until), options_.timeout);
}

// Fresh inputs every time: data that stays in a reader's cache would flatter the result.
double Bed::time_of(std::span<std::byte> buffer, int calls, const Work& work) {
  buffer = buffer.first(inputs_.size());
  std::memcpy(buffer.data(), inputs_.data(), inputs_.size());
  require(engine_.backend().send_there(buffer));
  Seconds time;
  for (int call = 0; call < calls; ++call) {
    const Transport::Deadline deadline = deadline_after(options_.timeout);
    if (call == 0 || options_.blocking) require(arrive(engine_.transport(), group_, deadline));
    const Execution execution = work(buffer, deadline);
    require({execution.state, execution.peer});
    time += execution.time;
  }
  return time.value / calls;
}

double Bed::ours(const Schedule& schedule, int calls) {
  return time_of(buffer_, calls, [&](std::span<std::byte> buffer, Transport::Deadline deadline) {
    return engine_.backend().execute(schedule, group_, buffer,
                                     Reducer(options_.type, ReduceOp::sum), deadline);
  });
}

double Bed::mpi(const Schedule& opaque) {
  return time_of(private_, options_.aggregated,
                 [&](std::span<std::byte> buffer, Transport::Deadline deadline) {
                   return mpi_->execute(opaque, group_, buffer,
                                        Reducer(options_.type, ReduceOp::sum), deadline);
                 });
}

// Every rank reads its own vector once and writes it, all at once: no all-reduce in place can do
// with less. In as many streams as an all-reduce has: one would keep the memory less busy.
double Bed::limit() {
  return time_of(buffer_, 1, [&](std::span<std::byte> buffer, Transport::Deadline) {
    const std::size_t element = size_of(options_.type), elements = buffer.size() / element;
    const std::size_t streams = std::clamp<std::size_t>(elements, 1, std::max(2, world_.size));
    const std::size_t part = elements / streams * element;
    std::vector<const std::byte*> sources;
    std::vector<std::byte*> targets;
    for (std::size_t stream = 0; stream < streams; ++stream) {
      sources.push_back(buffer.data() + stream * part);
      targets.push_back(buffer.data() + stream * part);
    }
    const Clock::time_point start = Clock::now();
    sum_into(options_.type, sources, targets, part);
    Execution execution;
    execution.time = {std::chrono::duration<double>(Clock::now() - start).count()};
    return execution;
  });
}

std::uint64_t Bed::wrong_everywhere(const Schedule& schedule, const ExactInputs& inputs) {
  require(engine_.backend().fetch(buffer_.first(inputs_.size())));
  const std::uint64_t wrong =
      count_wrong(schedule, world_.rank, inputs, options_.type, buffer_.first(inputs_.size()));
  return reduced(world_, MPI_COMM_WORLD, wrong, MPI_SUM);
}

BenchRow Bed::measure(const Schedule& schedule, Bytes size) {
  const ExactInputs inputs(size.count, world_.size, options_.type);
  inputs_.resize(buffer_bytes(schedule, size).count);
  fill_inputs(schedule, world_.rank, inputs, options_.type, inputs_);
  const Schedule opaque = opaque_schedule(schedule);
  std::vector<std::function<double()>> contestants = {
      [&] { return ours(schedule, options_.aggregated); }};
  if (options_.compare_mpi) contestants.emplace_back([&] { return mpi(opaque); });
  if (options_.with_limit()) contestants.emplace_back([&] { return limit(); });
  BenchRow row{size, schedule, {}, {}, {}, {}, {}, {}, 0};
  const int count = static_cast<int>(contestants.size());
  std::vector<std::vector<double>> times(count);
  for (int i = -options_.warmup; i < options_.iterations; ++i)
    for (int turn = 0; turn < count; ++turn) {
      // Who goes first changes from iteration to iteration.
      const int which = (options_.warmup + i + turn) % count;
      const double time = contestants[which]();
      if (i >= 0) times[which].push_back(time);
      const bool last = which == 0 && i + 1 == options_.iterations;
      if (!last || !options_.check) continue;
      // What several calls in a row make of a vector is no sum of the inputs.
      if (options_.aggregated > 1) ours(schedule, 1);
      row.wrong = wrong_everywhere(schedule, inputs);
    }
  for (std::vector<double>& series : times) series = slowest(world_, std::move(series));
  row.time = {median_of(times[0]).value};
  if (options_.compare_mpi) {
    row.mpi_time = Seconds{median_of(times[1]).value};
    row.speedup = median_of(ratios(times[1], times[0]));
  }
  if (options_.with_limit()) row.limit = Seconds{median_of(times.back()).value};
  return row;
}

}  // namespace railwright::worker
