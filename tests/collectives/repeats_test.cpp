#include "collectives/phase_loads/repeats.hpp"

#include <catch2/catch.hpp>
#include <cmath>

#include "collectives/cost.hpp"
#include "collectives/maker.hpp"
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

// Periods of 8 to 48 accelerators.
std::vector<topology::ClusterSpec> specs() {
  return {topology::cluster_of(topology::dgx_nodes(100, 4),
                               topology::fat_tree(Shape::rail_fat_tree, 3, 2, 2)),
          topology::cluster_of(topology::dgx_nodes(150, 4, 2),
                               topology::fat_tree(Shape::rail_fat_tree, 3, 2, 3, 2)),
          topology::cluster_of(topology::dgx_nodes(90, 4),
                               topology::fat_tree(Shape::rail_fat_tree, 2, 3, 0)),
          topology::cluster_of(topology::dgx_nodes(110, 4),
                               topology::fat_tree(Shape::fat_tree, 3, 2, 2, 2)),
          topology::cluster_of(topology::bare_nodes(160, 2),
                               topology::fat_tree(Shape::fat_tree, 2, 4, 0, 2))};
}

// A link that no way among the others crosses: of the last accelerator.
topology::LinkId last_link(const topology::Cluster& cluster) {
  return {cluster.graph.links_from(cluster.vertex_of({cluster.accelerators() - 1})).front()};
}

std::vector<Schedule> schedules(int ranks, int per_node) {
  std::vector<Schedule> all;
  for (const Operation operation : {Operation::all_reduce, Operation::all_gather})
    for (const Algorithm algorithm : {Algorithm::ring, Algorithm::hierarchical,
                                      Algorithm::double_tree, Algorithm::recursive_doubling})
      for (const int channels : {1, 2, 4})
        for (const int inner : {1, per_node}) {
          const Schedule schedule{operation, algorithm, ranks, channels, inner};
          if (why_not(schedule).empty()) all.push_back(schedule);
        }
  return all;
}

}  // namespace

// A router with a dead link knows no period, so that everything is traced.
TEST_CASE("what repeats period by period has the loads of what is traced hop by hop") {
  int repeated = 0, compared = 0;
  for (const auto& spec : specs())
    for (const RoutingMode mode :
         {RoutingMode::d_mod_k, RoutingMode::spray, RoutingMode::ecmp_hash}) {
      const auto cluster = made_of(spec, mode);
      const topology::Router router(cluster), plain(cluster, {last_link(cluster)});
      const auto& calibration = topology::default_calibration();
      const int per_node = cluster.spec.nodes.front().accelerators;
      for (const int first : {0, 1, 5})
        for (const int spacing : {1, per_node, 3}) {
          const int most = (cluster.accelerators() - 2 * per_node - first) / spacing;
          for (const int ranks : {most, most - most % per_node}) {
            std::vector<AcceleratorId> members;
            for (int i = 0; i < ranks; ++i) members.push_back({first + i * spacing});
            repeated += Repeats::among(members, router).has_value();
            CHECK_FALSE(Repeats::among(members, plain).has_value());
            for (const Schedule& schedule : schedules(ranks, per_node)) {
              INFO(cluster.spec.name << ", mode " << static_cast<int>(mode) << ", "
                                     << text_of(schedule) << ", first " << first << ", spacing "
                                     << spacing);
              const auto here = phase_loads(schedule, mebibytes(3), members, router, calibration);
              const auto there = phase_loads(schedule, mebibytes(3), members, plain, calibration);
              REQUIRE(here.size() == there.size());
              for (std::size_t p = 0; p < here.size(); ++p) {
                const auto& a = here[p].consumption;
                const auto& b = there[p].consumption;
                REQUIRE(a.size() == b.size());
                bool equal = true;  // but for the order in which thirds are added up
                for (std::size_t i = 0; i < a.size(); ++i)
                  equal = equal && a[i].link == b[i].link &&
                          std::abs(a[i].share - b[i].share) <= 1e-14 * b[i].share;
                REQUIRE(equal);
                REQUIRE(here[p].step_latency == there[p].step_latency);
                REQUIRE(here[p].bytes_per_step == there[p].bytes_per_step);
              }
              ++compared;
            }
          }
        }
    }
  CHECK(repeated > 20);
  CHECK(compared > 300);
}

TEST_CASE("a ring repeats, all but three periods; a ring with one hop out of place does not") {
  const auto cluster = made_of(specs().front(), RoutingMode::d_mod_k);
  const topology::Router router(cluster);
  std::vector<AcceleratorId> members;
  for (int i = 0; i < cluster.accelerators(); ++i) members.push_back({i});
  const int ranks = cluster.accelerators(), period = router.period();
  auto repeats = Repeats::among(members, router);
  REQUIRE(repeats);
  const auto traced = [&](auto target_of, bool& whole) {
    LinkLoads loads(router);
    topology::Trace way;
    Seconds latency;
    int count = 0;
    repeats->begin_pattern();
    for (int source = 0; source < ranks && !repeats->failed(); ++source) {
      const int target = target_of(source);
      if (repeats->repeated(source, target, latency)) continue;
      router.trace({source}, {target}, 0, way);
      repeats->add(source, target, way.latency, way);
      ++count;
    }
    repeats->end_channel();
    whole = repeats->end_pattern(loads);
    return count;
  };
  bool whole = false;
  CHECK(traced([&](int source) { return (source + 1) % ranks; }, whole) ==
        2 * period + period + ranks % period);
  CHECK(whole);
  const int odd = 4 * period + 1;
  traced([&](int source) { return source == odd ? 0 : (source + 1) % ranks; }, whole);
  CHECK_FALSE(whole);
}
