// Synthesized schedules in virtual time: plans are kept, bounds are not beaten.
#include <catch2/catch.hpp>
#include <random>

#include "collectives/attainable.hpp"
#include "collectives/synthesis.hpp"
#include "emulator/collective.hpp"
#include "tests/emulator/degraded.hpp"

using namespace railwright;
using namespace railwright::emulator;
using namespace railwright::collectives;
using topology::AcceleratorId;
using topology::Cluster;

namespace {

constexpr Operation operations[] = {Operation::all_gather, Operation::reduce_scatter,
                                    Operation::all_reduce, Operation::broadcast, Operation::reduce};
const topology::Calibration raw{};

double emulated_seconds(const Synthesis& synthesis, const SynthesisTask& task,
                        const Cluster& cluster) {
  const topology::Router router(cluster);
  const CollectiveRun run{synthesis.schedule, task.size, task.members, Detail::steps, {}, {}};
  return in_seconds(emulate_collective(run, router, raw).time).value;
}

double least_seconds(const SynthesisTask& task, const Cluster& cluster) {
  const auto bound = bound_of(task.operation, task.members, cluster, task.root);
  REQUIRE(bound);
  return bound_time(*bound, task.operation, static_cast<int>(task.members.size()), task.size).value;
}

}  // namespace

TEST_CASE(
    "an all-gather of 8 GiB over four nodes comes within one per cent of what is attainable") {
  const auto cluster = topology::load_cluster("dgx-h100-4");
  REQUIRE(cluster);
  SynthesisTask task;
  task.size = gibibytes(8);
  task.members = first_members(32);
  task.chunks = 64;
  for (const Operation operation : {Operation::all_gather, Operation::reduce_scatter}) {
    task.operation = operation;
    const auto synthesis = synthesize(task, *cluster, raw);
    REQUIRE(synthesis);
    const auto attainable = attainable_of(operation, task.members, *cluster);
    REQUIRE(attainable);
    CHECK(attainable->exact);
    const Seconds best = task.size / attainable->algorithm_bandwidth;
    CHECK(emulated_seconds(*synthesis, task, *cluster) <= 1.01 * best.value);
  }
}

TEST_CASE("the emulator takes no longer than was planned") {
  for (const char* name : {"dgx-h100-4", "mi250x-explicit", "mi300x-node"}) {
    const auto cluster = topology::load_cluster(name);
    REQUIRE(cluster);
    for (const Operation operation : operations) {
      INFO(name << ", " << to_string(operation));
      SynthesisTask task{operation, mebibytes(512), first_members(8), 3, Occupancy::bytes, 8};
      const auto synthesis = synthesize(task, *cluster, raw);
      REQUIRE(synthesis);
      CHECK(emulated_seconds(*synthesis, task, *cluster) <= 1.001 * synthesis->time.value);
    }
  }
}

// Streams share links in proportion to their bytes, so each gets at least its share all the time.
TEST_CASE("streams take no longer than was planned, and come close to what is attainable") {
  const auto box = topology::load_cluster("dgx-h100-4"),
             torus = topology::load_cluster("tpu-v4-4x4x8");
  REQUIRE(box);
  REQUIRE(torus);
  const struct {
    const Cluster& cluster;
    Operation operation;
    int ranks;
  } cases[] = {{*box, Operation::broadcast, 16},
               {*box, Operation::reduce, 8},
               {*torus, Operation::all_gather, 8},
               {*torus, Operation::all_reduce, 6}};
  for (const auto& one : cases) {
    INFO(to_string(one.operation) << " of " << one.ranks);
    SynthesisTask task{one.operation, gibibytes(16), first_members(one.ranks)};
    const auto synthesis = synthesize(task, one.cluster, raw);
    REQUIRE(synthesis);
    CHECK(synthesis->how == "tree packing");
    const double seconds = emulated_seconds(*synthesis, task, one.cluster);
    CHECK(seconds <= 1.001 * synthesis->time.value);
    const auto attainable = attainable_of(one.operation, task.members, one.cluster);
    REQUIRE(attainable);
    CHECK(seconds <= 1.01 * (task.size / attainable->algorithm_bandwidth).value);
  }
}

TEST_CASE("no synthesized schedule beats the bound, on degraded clusters neither") {
  for (const char* name : {"dgx-h100-4", "mi250x-explicit", "tpu-v4-4x4x8", "mixed-h100-a100"})
    for (std::uint64_t seed = 0; seed <= 4; ++seed) {
      INFO(name << ", seed " << seed);
      auto cluster = topology::load_cluster(name);
      REQUIRE(cluster);
      std::mt19937_64 random(seed);
      if (seed > 0) degrade(*cluster, random, {2, 10}, 5);
      const int ranks = 2 + static_cast<int>(random() % 11);
      for (const Operation operation : operations)
        for (const std::uint64_t size : {1'000'003ull, 8'000'000'000ull}) {
          INFO(to_string(operation) << ", " << ranks << " ranks, " << size << " bytes");
          SynthesisTask task{operation, bytes(size), first_members(ranks), 0, Occupancy::bytes, 3};
          const auto synthesis = synthesize(task, *cluster, raw);
          REQUIRE(synthesis);
          CHECK(emulated_seconds(*synthesis, task, *cluster) >=
                least_seconds(task, *cluster) * (1 - 1e-9) - 1e-12);
        }
    }
}
