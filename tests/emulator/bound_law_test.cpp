// Nothing that the emulator does beats the bound.
#include <catch2/catch.hpp>
#include <random>

#include "collectives/bound.hpp"
#include "collectives/ways.hpp"
#include "emulator/collective.hpp"
#include "tests/emulator/degraded.hpp"

using namespace railwright;
using namespace railwright::emulator;
using namespace railwright::collectives;
using topology::AcceleratorId;
using topology::Cluster;

namespace {

constexpr Operation operations[] = {
    Operation::all_reduce, Operation::reduce_scatter, Operation::all_gather, Operation::broadcast,
    Operation::reduce,     Operation::all_to_all,     Operation::send};
// Numbers that nothing divides, and one so large that latency hardly counts.
constexpr std::uint64_t sizes[] = {1, 1'000'003, 8'000'000'000};
constexpr std::int64_t few_sends = 2000;  // by steps; more take too long here

// Every link exactly as fast as its line rate, and no software: the emulator at its fastest.
const topology::Calibration raw{};

void check_against(const Bound& bound, const Schedule& schedule, Bytes size,
                   const topology::Router& router, const std::vector<AcceleratorId>& members) {
  for (const Detail detail : {Detail::steps, Detail::phases}) {
    if (detail == Detail::steps && send_estimate(schedule) > few_sends) continue;
    const CollectiveResult result =
        emulate_collective({schedule, size, members, detail, {}, {}}, router, raw);
    INFO(to_string(schedule.algorithm)
         << " " << to_string(schedule.operation) << ", " << members.size() << " ranks, "
         << size.count << " bytes, " << (result.stepwise ? "steps" : "phases"));
    INFO(bound.cut);
    const double least =
        bound_time(bound, schedule.operation, static_cast<int>(members.size()), size).value;
    CHECK(in_seconds(result.time).value >= least * (1 - 1e-9) - 1e-12);
  }
}

void check_all(const Cluster& cluster, const std::vector<AcceleratorId>& members) {
  const topology::Router router(cluster);
  for (const Operation operation : operations) {
    const auto bound = bound_of(operation, members, cluster);
    const auto in_network = bound_in_network(operation, members, cluster);
    REQUIRE(bound);
    REQUIRE(in_network);
    for (int i = 0; i < algorithm_count; ++i)
      for (const std::uint64_t size : sizes) {
        const auto algorithm = static_cast<Algorithm>(i);
        const Schedule schedule = schedule_for(operation, algorithm, members, cluster, {size});
        if (algorithm == Algorithm::synthesized) continue;  // a law of its own
        if (!why_not(schedule, members, cluster).empty()) continue;
        const bool adds = switch_count(schedule) > 0;
        check_against(adds ? *in_network : *bound, schedule, {size}, router, members);
      }
  }
}

}  // namespace

TEST_CASE("no emulated schedule beats its bound on any ready cluster") {
  for (const auto& ready : topology::ready_clusters()) {
    INFO(ready.name);
    auto cluster = topology::load_cluster(ready.name);
    REQUIRE(cluster);
    for (topology::NetworkSpec& network : cluster->spec.networks) network.reduces = true;
    const int all = cluster->accelerators();
    for (const int count : {2, 5, 8, 32})
      if (count <= all) check_all(*cluster, first_members(count));
    if (all >= 64) check_all(*cluster, first_members(8, 8));
  }
}

TEST_CASE("no emulated schedule beats its bound on degraded clusters") {
  for (const char* name : {"dgx-h100-4", "mi250x-explicit", "tpu-v4-4x4x8", "mixed-h100-a100"})
    for (std::uint64_t seed = 1; seed <= 6; ++seed) {
      INFO(name << ", seed " << seed);
      auto cluster = topology::load_cluster(name);
      REQUIRE(cluster);
      std::mt19937_64 random(seed);
      degrade(*cluster, random, {2, 3, 10}, 4);
      auto members = first_members(2 + static_cast<int>(random() % 15));
      for (std::size_t i = members.size() - 1; i > 0; --i)  // in any order
        std::swap(members[i], members[random() % (i + 1)]);
      check_all(*cluster, members);
    }
}
