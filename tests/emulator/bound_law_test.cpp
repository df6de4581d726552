// Nothing that the emulator does beats the bound.
#include <catch2/catch.hpp>
#include <cmath>
#include <random>

#include "collectives/bound.hpp"
#include "emulator/collective.hpp"

using namespace railwright;
using namespace railwright::emulator;
using namespace railwright::collectives;
using topology::AcceleratorId;
using topology::Cluster;

namespace {

constexpr Operation operations[] = {Operation::all_reduce, Operation::reduce_scatter,
                                    Operation::all_gather, Operation::broadcast,
                                    Operation::all_to_all, Operation::send};
constexpr Algorithm algorithms[] = {Algorithm::ring, Algorithm::binomial_tree,
                                    Algorithm::halving_doubling, Algorithm::hierarchical,
                                    Algorithm::direct};
// Numbers that nothing divides, and one so large that latency hardly counts.
constexpr std::uint64_t sizes[] = {1, 1009, 50'000'003, 8'000'000'000};

// Every link exactly as fast as its line rate, and no software: the emulator at its fastest.
const topology::Calibration raw{};

void check_against(const Bound& bound, const Schedule& schedule, Bytes size,
                   const topology::Router& router, const std::vector<AcceleratorId>& members) {
  for (const Detail detail : {Detail::steps, Detail::phases}) {
    const CollectiveResult result =
        emulate_collective({schedule, size, members, detail, {}, {}}, router, raw);
    INFO(to_string(schedule.algorithm)
         << " " << to_string(schedule.operation) << ", " << members.size() << " ranks, "
         << size.count << " bytes, " << (detail == Detail::steps ? "steps" : "phases"));
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
    REQUIRE(bound);
    for (const Algorithm algorithm : algorithms) {
      const Schedule schedule = schedule_for(operation, algorithm, members, cluster);
      if (!why_not(schedule).empty()) continue;
      for (const std::uint64_t size : sizes)
        check_against(*bound, schedule, {size}, router, members);
    }
  }
}

std::vector<AcceleratorId> first_members(int count, int stride = 1) {
  std::vector<AcceleratorId> members;
  for (int i = 0; i < count; ++i) members.push_back({i * stride});
  return members;
}

// Some links down to a tenth of their rate or less, each direction on its own.
void degrade(Cluster& cluster, std::mt19937_64& random) {
  topology::Graph& graph = cluster.graph;
  const auto classes = graph.classes.size();
  for (std::size_t c = 0; c < classes; ++c)
    for (const int divisor : {2, 3, 10}) {
      topology::LinkClass slow = graph.classes[c];
      slow.name += "-slow" + std::to_string(divisor);
      slow.capacity.bytes_per_second = std::floor(slow.capacity.bytes_per_second / divisor);
      graph.classes.push_back(slow);
    }
  for (auto& link_class : graph.link_class)
    if (random() % 4 == 0)
      link_class = static_cast<std::uint16_t>(classes + 3 * link_class + random() % 3);
}

}  // namespace

TEST_CASE("no emulated schedule beats its bound on any ready cluster") {
  for (const auto& ready : topology::ready_clusters()) {
    INFO(ready.name);
    const auto cluster = topology::load_cluster(ready.name);
    REQUIRE(cluster);
    const int all = cluster->accelerators();
    for (const int count : {2, 5, 8, 16, 32})
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
      degrade(*cluster, random);
      auto members = first_members(2 + static_cast<int>(random() % 15));
      for (std::size_t i = members.size() - 1; i > 0; --i)  // in any order
        std::swap(members[i], members[random() % (i + 1)]);
      check_all(*cluster, members);
    }
}
