// Schedules in which switches reduce and multicast.
#include <catch2/catch.hpp>

#include "collectives/cost.hpp"
#include "collectives/nccl_schedule.hpp"
#include "collectives/proof.hpp"
#include "collectives/ways.hpp"
#include "tests/collectives/groups.hpp"

using namespace railwright;
using namespace railwright::collectives;
using namespace railwright::collectives::test;
using topology::AcceleratorId;
using topology::Cluster;

namespace {

Cluster cluster_named(const char* name) {
  auto cluster = topology::load_cluster(name);
  if (!cluster) FAIL(to_string(cluster.error()));
  return std::move(*cluster);
}

// dgx-h100-4 with leaves and spines that reduce.
Cluster with_sharp() {
  Cluster cluster = cluster_named("dgx-h100-4");
  cluster.spec.networks.at(0).reduces = true;
  return cluster;
}

std::vector<AcceleratorId> first_members(int count) {
  std::vector<AcceleratorId> members;
  for (int i = 0; i < count; ++i) members.push_back({i});
  return members;
}

const topology::Calibration raw{};

// size / time in GB/s at raw line rates.
double rate(const Schedule& schedule, const Cluster& cluster, Bytes size) {
  const topology::Router router(cluster);
  const auto members = first_members(schedule.ranks);
  REQUIRE(why_not(schedule, members, cluster) == "");
  const auto loads = phase_loads(schedule, size, members, router, raw);
  return (size / idle_time(loads, cluster.graph, raw)).bytes_per_second / 1e9;
}

constexpr Bytes large{std::uint64_t{1} << 33};

}  // namespace

TEST_CASE("with switches that add, too, every rank ends with each contribution exactly once") {
  for (int ranks = 1; ranks <= 33; ++ranks)
    for (const Schedule& schedule : switch_schedules_of(ranks)) {
      const bool many = ranks > 12 && schedule.segments > 2;
      if (many || all_sends(schedule).size() > 3000) continue;  // the proof is quadratic in sends
      INFO(text_of(schedule));
      REQUIRE(violation_of(schedule) == "");
    }
}

TEST_CASE("trees over nodes and overlapping stages end with each contribution exactly once") {
  for (const Algorithm algorithm : {Algorithm::double_tree, Algorithm::hierarchical})
    for (int inner = 2; inner <= 5; ++inner)
      for (int nodes = 1; inner * nodes <= 16; ++nodes)
        for (const int segments : {1, 2, 3, 5, 8}) {
          const Schedule schedule{
              Operation::all_reduce, algorithm, inner * nodes, 1, inner, 0, segments};
          if (!why_not(schedule).empty() || all_sends(schedule).size() > 3000) continue;
          INFO(text_of(schedule));
          REQUIRE(violation_of(schedule) == "");
        }
}

TEST_CASE("a ring over nodes crosses to the next node on every rail") {
  for (int inner = 2; inner <= 8; ++inner)
    for (int nodes = 2; nodes <= 5; ++nodes) {
      const Schedule ring{Operation::all_gather, Algorithm::ring, inner * nodes, inner, inner};
      INFO(text_of(ring));
      for (int node = 0; node < nodes; ++node) {
        std::vector<int> leaving, on_rail;
        for (int rank = node * inner; rank < (node + 1) * inner; ++rank)
          for (const Send& send : sends_from(ring, rank, 0, 0))
            if (send.target / inner != node) {
              leaving.push_back(rank % inner);
              on_rail.push_back(send.target % inner == rank % inner ? 1 : 0);
            }
        std::ranges::sort(leaving);
        // Every local rank once, and to its like; two ranks in an odd number of nodes cannot.
        REQUIRE(static_cast<int>(leaving.size()) == inner);
        REQUIRE(std::ranges::adjacent_find(leaving) == leaving.end());
        const bool closes = inner > 2 || nodes % 2 == 0 || node < nodes - 1;
        if (closes) REQUIRE(std::ranges::count(on_rail, 0) == 0);
      }
    }
}

// Each port carries (1 + 1/g) n each way: the own buffer into the switch and the sum of one part
// out of it, then that part into it and the whole out of it: 450 / (9/8) = 400 of eight H100.
TEST_CASE("in-switch all-reduce moves (1 + 1/g) n over each port, the others n") {
  const Cluster cluster = cluster_named("dgx-h100-4");
  const auto nvls = [&](Operation operation, int ranks, int segments) {
    return rate({operation, Algorithm::nvls, ranks, 1, 1, 0, segments}, cluster, large);
  };
  CHECK(nvls(Operation::all_reduce, 8, 1024) == Approx(400).epsilon(0.01));
  CHECK(nvls(Operation::all_reduce, 4, 1024) == Approx(360).epsilon(0.01));
  CHECK(nvls(Operation::reduce_scatter, 8, 128) == Approx(450).epsilon(0.01));
  CHECK(nvls(Operation::all_gather, 8, 128) == Approx(450).epsilon(0.01));
  CHECK(nvls(Operation::broadcast, 8, 1024) == Approx(450).epsilon(0.01));
}

TEST_CASE("switches of the network add once for all nodes") {
  const Cluster cluster = with_sharp();
  // One rank per node: n into the leaf, n out of it, at 50 GB/s.
  Schedule across{Operation::all_reduce, Algorithm::sharp, 4, 1, 1, 0, 256};
  const topology::Router router(cluster);
  const std::vector<AcceleratorId> rail = {{3}, {11}, {19}, {27}};
  REQUIRE(why_not(across, rail, cluster) == "");
  const auto loads = phase_loads(across, large, rail, router, raw);
  const double alone = (large / idle_time(loads, cluster.graph, raw)).bytes_per_second / 1e9;
  CHECK(alone == Approx(50).epsilon(0.01));
  // Eight: n/8 over each NIC, which 50 GB/s hide behind 450 / (9/8).
  const Schedule all{Operation::all_reduce, Algorithm::sharp, 32, 1, 8, 0, 512};
  CHECK(rate(all, cluster, large) == Approx(400).epsilon(0.02));
}

TEST_CASE("who lacks a switch that adds is told so") {
  const Cluster h100 = cluster_named("dgx-h100-4"), a100 = cluster_named("dgx-a100");
  const auto reason = [](const Schedule& schedule, const Cluster& cluster) {
    return why_not(schedule, first_members(schedule.ranks), cluster);
  };
  CHECK(reason({Operation::all_reduce, Algorithm::nvls, 8}, h100) == "");
  CHECK(reason({Operation::all_reduce, Algorithm::nvls, 8}, a100) ==
        "nvls: no switch that reduces joins 8 ranks, of which the first are 0 and 1");
  CHECK(reason({Operation::all_reduce, Algorithm::nvls, 16}, h100) ==
        "nvls: no switch that reduces joins 16 ranks, of which the first are 0 and 1");
  const Schedule sharp{Operation::all_reduce, Algorithm::sharp, 32, 1, 8};
  CHECK(reason(sharp, h100) ==
        "sharp: no switch that reduces joins 4 ranks, of which the first are 0 and 8");
  CHECK(reason(sharp, with_sharp()) == "");
  CHECK(why_not(Schedule{Operation::all_reduce, Algorithm::nvls_tree, 8, 1, 8}) ==
        "nvls_tree: there is one node; nvls is for that");
}

TEST_CASE("32 H100 with a NIC each reach what their NICs carry, by ring and by trees") {
  const Cluster cluster = cluster_named("dgx-h100-4");
  // Eight NICs of 50 GB/s in and out of every node: 400 x 32/62.
  const Schedule ring =
      schedule_for(Operation::all_reduce, Algorithm::ring, first_members(32), cluster);
  CHECK(ring == Schedule{Operation::all_reduce, Algorithm::ring, 32, 8, 8});
  CHECK(rate(ring, cluster, large) == Approx(400.0 * 32 / 62).epsilon(0.01));
  const Schedule tree{Operation::all_reduce, Algorithm::double_tree, 32, 1, 8, 0, 512};
  CHECK(rate(tree, cluster, large) > 170);
  const Schedule overlapped{Operation::all_reduce, Algorithm::hierarchical, 32, 1, 8, 0, 16};
  const Schedule in_turn{Operation::all_reduce, Algorithm::hierarchical, 32, 1, 8};
  CHECK(rate(overlapped, cluster, large) > 1.5 * rate(in_turn, cluster, large));
}

TEST_CASE("a torus uses all its ports") {
  auto spec = topology::parse_cluster(R"(
schema_version: 1
name: grid
link_classes: {wire: {bandwidth: 50 GB/s, latency: 500 ns}}
nodes:
  - {name: node, accelerator: h100-sxm5-80gb, accelerators: 16,
     scale_up: {shape: torus, link: wire, dimensions: [4, 4]}}
)",
                                      "grid.yaml");
  REQUIRE(spec);
  const auto cluster = topology::build_cluster(*spec);
  REQUIRE(cluster);
  // Four ports of 50 GB/s carry 2 x 15/16 n: the bound, 106.67; an all-gather half as much.
  for (const auto& [operation, best] : {std::pair{Operation::all_reduce, 106.667},
                                        {Operation::all_gather, 213.333},
                                        {Operation::reduce_scatter, 213.333}}) {
    const Schedule torus = schedule_for(operation, Algorithm::torus, first_members(16), *cluster);
    CHECK(torus.dims == std::vector<int>{4, 4});
    CHECK(rate(torus, *cluster, large) == Approx(best).epsilon(0.001));
  }
  const Schedule part =
      schedule_for(Operation::all_reduce, Algorithm::torus, first_members(5), *cluster);
  CHECK(why_not(part) == "torus: the group is not a whole torus");
}

struct Pick {
  nccl::Choice choice;
  Schedule schedule;
};
std::optional<Pick> nccl_pick(Operation operation, Bytes size,
                              const std::vector<AcceleratorId>& members, const Cluster& cluster) {
  const auto placement = nccl::placement_of(cluster, members);
  if (!placement) return std::nullopt;
  const nccl::Job job{operation, size, static_cast<int>(members.size()), placement->nodes};
  const auto choice = nccl::predict(nccl::newest_constants(), *placement->platform, job);
  if (!choice) return std::nullopt;
  return Pick{*choice, nccl_schedule(*choice, *placement, operation, size, members, cluster)};
}

TEST_CASE("what NCCL picks has a schedule on the ready clusters whose platform is known") {
  for (const char* name : {"dgx-h100-4", "dgx-h100", "dgx-a100"})
    for (const int ranks : {8, 16, 32}) {
      const Cluster cluster = cluster_named(name);
      if (cluster.accelerators() < ranks) continue;
      const auto members = first_members(ranks);
      for (const std::uint64_t size : {1'000, 1'000'000, 1'000'000'000}) {
        const auto pick = nccl_pick(Operation::all_reduce, {size}, members, cluster);
        if (!pick) continue;
        INFO(name << " " << text_of(pick->schedule));
        CHECK(why_not(pick->schedule, members, cluster) == "");
        CHECK(pick->schedule.ranks == ranks);
      }
    }
  const Cluster cluster = cluster_named("dgx-h100-4");
  const auto pick = nccl_pick(Operation::all_reduce, large, first_members(32), cluster);
  REQUIRE(pick);
  CHECK(pick->choice.algorithm == nccl::Algorithm::ring);
  CHECK(pick->schedule == Schedule{Operation::all_reduce, Algorithm::ring, 32, 8, 8});
  CHECK_FALSE(nccl_pick(Operation::all_to_all, large, first_members(32), cluster));
}
