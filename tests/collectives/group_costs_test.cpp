#include "collectives/group_costs.hpp"

#include <catch2/catch.hpp>

#include "collectives/ways.hpp"
#include "tests/collectives/groups.hpp"
#include "tests/collectives/made.hpp"
#include "tests/topology/specs.hpp"
#include "topology/topology.hpp"

using namespace railwright;
using namespace railwright::collectives;
using namespace railwright::collectives::test;
using topology::AcceleratorId;
using topology::RoutingMode;
using topology::Shape;

namespace {

std::vector<AcceleratorId> members_of(int first, int stride, int count) {
  std::vector<AcceleratorId> members;
  for (int i = 0; i < count; ++i) members.push_back({first + i * stride});
  return members;
}

topology::ClusterSpec rails(int nodes) {
  return topology::cluster_of(topology::dgx_nodes(nodes, 4),
                              topology::fat_tree(Shape::rail_fat_tree, 3, 2, 2));
}

}  // namespace

// One object is asked for all schedules in turn, so what it keeps of one is there for the next.
TEST_CASE("the line of a group is what its phases take, for all schedules and sizes") {
  const auto cluster = made_of(rails(9));
  const topology::Router router(cluster);
  const auto& calibration = topology::default_calibration();
  for (const int stride : {1, 3})
    for (const int ranks : {2, 4, 6, 8, 9, 12}) {
      const auto members = members_of(0, stride, ranks);
      GroupCosts costs(members, router, calibration);
      std::vector<Schedule> all = schedules_of(ranks);
      for (const int segments : {1, 3, 8})
        for (const Algorithm algorithm : {Algorithm::hierarchical, Algorithm::double_tree})
          all.push_back({Operation::all_reduce, algorithm, ranks, 1, 2, 0, segments});
      for (const Schedule& schedule : all) {
        if (!why_not(schedule, members, cluster).empty()) continue;
        INFO(text_of(schedule) << " stride " << stride);
        for (const std::uint64_t per_chunk : {1, 1000}) {
          const Bytes size{per_chunk * static_cast<std::uint64_t>(chunk_count(schedule))};
          const auto loads = folded_phase_loads(schedule, size, members, router, calibration);
          const Seconds time = idle_time(loads.phases, cluster.graph, calibration);
          CHECK(time_of(costs.phases(schedule, router), size).value ==
                Approx(time.value).epsilon(1e-12));
        }
      }
    }
}

TEST_CASE("the best schedule of a group is no slower than that of each size by itself") {
  const auto cluster = made_of(rails(16));
  const topology::Router router(cluster);
  const auto& calibration = topology::default_calibration();
  for (const auto& members :
       {members_of(0, 1, 4), members_of(0, 1, 64), members_of(1, 4, 16), members_of(0, 2, 24)}) {
    GroupCosts costs(members, router, calibration);
    for (const Operation operation :
         {Operation::all_reduce, Operation::reduce_scatter, Operation::all_gather})
      for (int power = 0; power < 34; power += 3) {
        const Bytes size{std::uint64_t{48} << power};
        const auto time = [&](const Schedule& schedule) {
          const auto loads = folded_phase_loads(schedule, size, members, router, calibration);
          return idle_time(loads.phases, cluster.graph, calibration).value;
        };
        const Schedule exact = best_schedule(operation, size, members, router, calibration);
        const Schedule kept = costs.best(operation, size, router);
        INFO(text_of(kept) << " for " << text_of(exact) << " of " << size.count);
        // Chunks of a few bytes are rounded up to whole ones.
        CHECK(time(kept) <= time(exact) * 1.01);
      }
  }
}

TEST_CASE("groups that lie a period of the router apart cost the same") {
  const std::vector<topology::ClusterSpec> specs = {
      rails(33),
      topology::cluster_of(topology::dgx_nodes(40, 4, 2),
                           topology::fat_tree(Shape::rail_fat_tree, 3, 2, 3, 2)),
      topology::cluster_of(topology::dgx_nodes(31, 4),
                           topology::fat_tree(Shape::rail_fat_tree, 2, 3, 0)),
      topology::cluster_of(topology::dgx_nodes(20, 4),
                           topology::fat_tree(Shape::fat_tree, 3, 2, 2, 2)),
      topology::cluster_of(topology::bare_nodes(50, 2),
                           topology::fat_tree(Shape::fat_tree, 2, 4, 0, 2))};
  int compared = 0, differing = 0;
  for (const auto& spec : specs)
    for (const RoutingMode mode : {RoutingMode::d_mod_k, RoutingMode::spray}) {
      const auto cluster = made_of(spec, mode);
      const topology::Router router(cluster);
      const int period = router.period();
      REQUIRE(period > 0);
      CHECK(period % cluster.spec.nodes.front().accelerators == 0);
      const auto& calibration = topology::default_calibration();
      for (const int first : {0, 1, 6})
        for (const int stride : {1, 3, 4, 8, 9})
          for (const int shift : {period, period / 2}) {
            const int count = (cluster.accelerators() - first - shift) / stride;
            if (count < 2) continue;
            GroupCosts here(members_of(first, stride, count), router, calibration);
            GroupCosts there(members_of(first + shift, stride, count), router, calibration);
            for (const Algorithm algorithm :
                 {Algorithm::ring, Algorithm::binomial_tree, Algorithm::halving_doubling}) {
              const Schedule schedule{Operation::all_reduce, algorithm, count};
              const double a = time_of(here.phases(schedule, router), mebibytes(64)).value;
              const double b = time_of(there.phases(schedule, router), mebibytes(64)).value;
              INFO(text_of(schedule) << " first " << first << " stride " << stride);
              if (shift == period) CHECK(a == Approx(b).epsilon(1e-12));
              if (shift == period) ++compared;
              if (shift != period && a != Approx(b).epsilon(1e-12)) ++differing;
            }
          }
    }
  CHECK(compared > 200);
  CHECK(differing > 10);  // half a period is none: the law is not empty
}

TEST_CASE("no period is told where a hash, a cable of the file or a dead link makes a difference") {
  const auto cluster = made_of(rails(33)), hashed = made_of(rails(33), RoutingMode::ecmp_hash);
  CHECK(topology::Router(cluster).period() > 0);
  CHECK(topology::Router(hashed).period() == 0);
  CHECK(topology::Router(cluster, {{7}}).period() == 0);
  auto two_kinds = rails(33);
  two_kinds.nodes.push_back(two_kinds.nodes.front());
  two_kinds.nodes.back().name = "other";
  const auto mixed = made_of(two_kinds);
  CHECK(topology::Router(mixed).period() == 0);
}
