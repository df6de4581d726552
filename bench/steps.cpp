// Steps of Llama 3.1 8B on DGX H100 nodes: the engine, folding, and the enumeration of schedules.
#include <benchmark/benchmark.h>

#include "emulator/emulator.hpp"

using namespace railwright;

namespace {

constexpr const char* rails = RAILWRIGHT_BENCH_DIR "/rail-16k.yaml";

// Another routing mode and number of nodes of the same cluster.
topology::Cluster cluster_of(int nodes, topology::RoutingMode mode) {
  auto spec = topology::load_cluster(rails)->spec;
  spec.nodes.front().count = nodes;
  spec.routing.mode = mode;
  return *topology::build_cluster(std::move(spec));
}

emulator::Plan plan_of(const topology::Cluster& cluster, int nodes) {
  workload::Training training;
  training.model = *workload::load_model("llama-3.1-8b");
  training.sequence = 8192;
  workload::Degrees degrees;
  degrees.tp = 8;
  degrees.pp = 4;
  degrees.dp = nodes / 4;
  degrees.zero_stage = 1;
  degrees.sequence_parallel = true;
  training.global_batch = 8 * degrees.dp;
  return *emulator::make_plan(cluster, training, degrees, topology::default_calibration());
}

void run_steps(benchmark::State& state, topology::RoutingMode mode,
               const emulator::StepOptions& options) {
  const int nodes = static_cast<int>(state.range(0));
  const topology::Cluster cluster = cluster_of(nodes, mode);
  const emulator::Plan plan = plan_of(cluster, nodes);
  double events = 0, classes = 0;
  for (auto _ : state) {
    const auto result =
        emulator::emulate_step(cluster, plan, topology::default_calibration(), options);
    events = static_cast<double>(result->events);
    classes = static_cast<double>(result->classes);
  }
  state.counters["ranks"] = 8.0 * nodes;
  state.counters["classes"] = classes;
  state.counters["events"] = events;
  state.counters["event_time"] = benchmark::Counter(
      events, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
  state.SetComplexityN(state.range(0));
}

// Everything folds: what is left grows with the ranks that refinement looks at.
void folded_step(benchmark::State& state) { run_steps(state, topology::RoutingMode::d_mod_k, {}); }
BENCHMARK(folded_step)
    ->RangeMultiplier(4)
    ->Range(8, 2048)
    ->Unit(benchmark::kMillisecond)
    ->Complexity();

// Every rank for itself: the engine and the network.
void unfolded_step(benchmark::State& state) {
  emulator::StepOptions options;
  options.fold = false;
  run_steps(state, topology::RoutingMode::d_mod_k, options);
}
BENCHMARK(unfolded_step)
    ->RangeMultiplier(4)
    ->Range(8, 512)
    ->Unit(benchmark::kMillisecond)
    ->Complexity();

// Paths that collide: little folds.
void hashed_step(benchmark::State& state) {
  run_steps(state, topology::RoutingMode::ecmp_hash, {});
}
BENCHMARK(hashed_step)
    ->RangeMultiplier(4)
    ->Range(8, 512)
    ->Unit(benchmark::kMillisecond)
    ->Complexity();

// Of 512 nodes, this many have a chip at nine tenths of its speed: cost against classes.
void step_with_slow_chips(benchmark::State& state) {
  constexpr int nodes = 512;
  emulator::StepOptions options;
  for (int slow = 0; slow < state.range(0); ++slow)
    options.faults.accelerators.push_back({{8 * (slow * 37 % nodes) + slow % 8}, 0.9});
  const topology::Cluster cluster = cluster_of(nodes, topology::RoutingMode::d_mod_k);
  const emulator::Plan plan = plan_of(cluster, nodes);
  double classes = 0;
  for (auto _ : state)
    classes = static_cast<double>(
        emulator::emulate_step(cluster, plan, topology::default_calibration(), options)->classes);
  state.counters["classes"] = classes;
}
BENCHMARK(step_with_slow_chips)
    ->Arg(0)
    ->RangeMultiplier(4)
    ->Range(1, 64)
    ->Unit(benchmark::kMillisecond);

// Every send of every rank of an all-reduce over so many ranks, one after the other. A linear
// schedule is asked for one rank only: nobody ever lists all of it.
void enumerate(benchmark::State& state, collectives::Algorithm algorithm, int asked_ranks) {
  collectives::Schedule schedule;
  schedule.algorithm = algorithm;
  schedule.ranks = static_cast<int>(state.range(0));
  const auto phases = collectives::phases_of(schedule);
  std::int64_t sends = 0;
  for (auto _ : state) {
    sends = 0;
    for (int rank = 0; rank < std::min(schedule.ranks, asked_ranks); ++rank)
      for (std::size_t phase = 0; phase < phases.size(); ++phase)
        for (std::int64_t step = 0; step < phases[phase].steps; ++step)
          sends += static_cast<std::int64_t>(
              sends_from(schedule, rank, static_cast<int>(phase), step).size());
  }
  state.counters["sends"] = static_cast<double>(sends);
  state.SetItemsProcessed(state.iterations() * sends);
}
BENCHMARK_CAPTURE(enumerate, halving_doubling, collectives::Algorithm::halving_doubling, 1 << 30)
    ->Arg(65536)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(enumerate, recursive_doubling, collectives::Algorithm::recursive_doubling,
                  1 << 30)
    ->Arg(65536)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(enumerate, double_tree, collectives::Algorithm::double_tree, 1 << 30)
    ->Arg(65536)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(enumerate, ring_of_one_rank, collectives::Algorithm::ring, 1)
    ->Arg(65536)
    ->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
