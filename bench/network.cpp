// The solver and the network by themselves, with google-benchmark.
#include <benchmark/benchmark.h>

#include "bench/traffic.hpp"
#include "emulator/network.hpp"

using namespace railwright;

namespace {

constexpr const char* fat_tree = RAILWRIGHT_BENCH_DIR "/fattree-1024.yaml";
const topology::Calibration none;

const topology::Cluster& cluster() {
  static const auto loaded = topology::load_cluster(fat_tree);
  return *loaded;
}

emulator::Transfer transfer_of(const topology::Router& router, const bench::Flow& flow) {
  return {router.between({flow.source}, {flow.target}).links, static_cast<double>(flow.bytes)};
}

// One full solve: max_min on all flows at once.
void full_solve(benchmark::State& state) {
  const topology::Router router(cluster());
  emulator::System system;
  for (int l = 0; l < cluster().graph.links(); ++l)
    system.capacity.push_back(cluster().graph.capacity({l}).bytes_per_second);
  for (const auto& flow :
       bench::stacked_permutations(cluster().accelerators(), static_cast<int>(state.range(0)), 1)) {
    emulator::Variable variable;
    for (const auto& load : transfer_of(router, flow).consumption)
      variable.consumption.push_back({load.link.index, load.share});
    system.variables.push_back(std::move(variable));
  }
  for (auto _ : state) benchmark::DoNotOptimize(emulator::max_min(system));
  state.SetComplexityN(state.range(0));
}
BENCHMARK(full_solve)->RangeMultiplier(4)->Range(256, 65536)->Complexity();

// All flows from the first start to the last end; items are ends.
void flows_to_the_end(benchmark::State& state) {
  const topology::Router router(cluster());
  const auto flows =
      bench::stacked_permutations(cluster().accelerators(), static_cast<int>(state.range(0)), 1);
  for (auto _ : state) {
    emulator::Network network(cluster().graph, none, true);
    for (const auto& flow : flows) network.start(transfer_of(router, flow), {0});
    while (const auto end = network.next_end())
      for (const auto id : network.advance_to(*end)) network.forget(id);
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(flows_to_the_end)
    ->Arg(500)
    ->Arg(1000)
    ->Arg(2000)
    ->Arg(4000)
    ->Unit(benchmark::kMillisecond);

// What one change costs beside this many flows that stay: a transfer comes and goes.
void one_transfer_beside(benchmark::State& state) {
  const topology::Router router(cluster());
  const auto flows =
      bench::stacked_permutations(cluster().accelerators(), static_cast<int>(state.range(0)), 1);
  emulator::Network network(cluster().graph, none, true);
  for (const auto& flow : flows) {
    auto transfer = transfer_of(router, flow);
    transfer.bytes = std::numeric_limits<double>::infinity();
    network.start(std::move(transfer), {0});
  }
  Instant now;
  const auto& passing = flows.front();
  for (auto _ : state) {
    network.start({router.between({passing.source}, {passing.target}).links, 1e3}, now);
    now = *network.next_end();
    for (const auto id : network.advance_to(now)) network.forget(id);
  }
}
BENCHMARK(one_transfer_beside)->RangeMultiplier(4)->Range(64, 16384);

// A transfer over this many links that meets nobody, from start to end.
void lone_transfer(benchmark::State& state) {
  emulator::Network network(cluster().graph, none, true);
  emulator::Transfer transfer{{}, 1e3};
  for (int link = 0; link < state.range(0); ++link) transfer.consumption.push_back({{link}});
  Instant now;
  for (auto _ : state) {
    network.start(transfer, now);
    now = *network.next_end();
    for (const auto id : network.advance_to(now)) network.forget(id);
  }
}
BENCHMARK(lone_transfer)->Arg(2)->Arg(6)->Arg(16)->Arg(64);

// Two that share one of their six links, and part again.
void meeting_transfers(benchmark::State& state) {
  emulator::Network network(cluster().graph, none, true);
  emulator::Transfer one{{}, 1e3}, other{{}, 2e3};
  for (int link = 0; link < 6; ++link) {
    one.consumption.push_back({{link}});
    other.consumption.push_back({{link + 5}});
  }
  Instant now;
  for (auto _ : state) {
    network.start(one, now);
    network.start(other, now);
    while (const auto end = network.next_end())
      for (const auto id : network.advance_to(now = *end)) network.forget(id);
  }
}
BENCHMARK(meeting_transfers);

// The certificate of the allocation, as the tests ask for it.
void certificate(benchmark::State& state) {
  const topology::Router router(cluster());
  emulator::Network network(cluster().graph, none, true);
  for (const auto& flow :
       bench::stacked_permutations(cluster().accelerators(), static_cast<int>(state.range(0)), 1))
    network.start(transfer_of(router, flow), {0});
  for (auto _ : state) benchmark::DoNotOptimize(network.violation());
}
BENCHMARK(certificate)->Arg(1000)->Arg(10000);

}  // namespace

BENCHMARK_MAIN();
