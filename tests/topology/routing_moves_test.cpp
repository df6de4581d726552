#include <algorithm>
#include <catch2/catch.hpp>
#include <random>

#include "tests/topology/routes.hpp"
#include "tests/topology/specs.hpp"
#include "topology/routing.hpp"

using namespace railwright;
using namespace railwright::topology;

namespace {

using Members = std::vector<AcceleratorId>;

// Some accelerators of the first third, and the same of nodes further on.
Members some_of(const Cluster& cluster, std::mt19937_64& random) {
  Members members;
  const int third = std::max(1, cluster.accelerators() / 3);
  const int count = 1 + static_cast<int>(random() % 6);
  for (int i = 0; i < count; ++i)
    members.push_back({static_cast<int>(random() % static_cast<unsigned>(third))});
  return members;
}

Members further(const Members& members, int accelerators) {
  Members moved;
  for (const AcceleratorId member : members) moved.push_back({member.index + accelerators});
  return moved;
}

std::vector<BundleShare> sorted(std::vector<BundleShare> parts) {
  std::ranges::sort(parts, {}, &BundleShare::bundle);
  return parts;
}

void check_carried(const Router& router, const Members& from, const Members& to, const Move& move) {
  const Graph& graph = router.cluster().graph;
  for (std::size_t i = 0; i < from.size(); ++i)
    for (std::size_t j = 0; j < from.size(); ++j) {
      Trace way, other;
      router.trace(from[i], from[j], i + j, way);
      router.trace(to[i], to[j], i + j, other);
      CHECK(way.latency.value == other.latency.value);
      for (BundleShare& part : way.parts) {
        const BundleId moved = router.moved(part.bundle, move);
        CHECK(graph.link_class[router.first_of(moved).index] ==
              graph.link_class[router.first_of(part.bundle).index]);
        CHECK(router.size_of(moved) == router.size_of(part.bundle));
        part.bundle = moved;
      }
      CHECK(sorted(way.parts) == sorted(other.parts));
    }
}

std::map<std::string, ClusterSpec> clusters() {
  std::map<std::string, ClusterSpec> specs = all_shapes();
  specs["rails, 3 tiers"] =
      cluster_of(dgx_nodes(48, 4, 2), fat_tree(Shape::rail_fat_tree, 3, 4, 2, 2));
  specs["3 tiers"] = cluster_of(dgx_nodes(48, 4), fat_tree(Shape::fat_tree, 3, 3, 2));
  specs["leaves across nodes"] = cluster_of(bare_nodes(30, 2), fat_tree(Shape::fat_tree, 2, 3, 0));
  return specs;
}

}  // namespace

TEST_CASE("a move between accelerators that lie alike carries every way among them") {
  std::mt19937_64 random(29);
  int between_nodes = 0, inside = 0, refused = 0;
  for (const auto& [name, spec] : clusters())
    for (const RoutingMode mode : all_modes) {
      ClusterSpec with_mode = spec;
      with_mode.routing.mode = mode;
      const Cluster cluster = built(with_mode);
      const Router router(cluster);
      for (int draw = 0; draw < 40; ++draw) {
        const Members from = some_of(cluster, random);
        const int each = cluster.spec.nodes[cluster.group_of(from.front())].accelerators;
        const int nodes = static_cast<int>(random() % 9);
        const Members to = further(from, nodes * each);
        if (std::ranges::max(to).index >= cluster.accelerators()) continue;
        INFO(name << ", mode " << static_cast<int>(mode) << ", " << nodes << " nodes on");
        const auto move = router.move_between(from, to);
        if (!move) {
          ++refused;
          continue;
        }
        (move->networks.empty() ? inside : between_nodes) += nodes > 0;
        check_carried(router, from, to, *move);
        const auto back = router.move_between(to, from);
        REQUIRE(back);
        check_carried(router, to, from, *back);
      }
    }
  CHECK(between_nodes > 100);
  CHECK(inside > 100);
  CHECK(refused > 100);
}

TEST_CASE("what lies otherwise, or may, is not taken for alike") {
  ClusterSpec spec = cluster_of(dgx_nodes(32, 4), fat_tree(Shape::rail_fat_tree, 3, 4, 2));
  spec.routing.mode = RoutingMode::spray;
  const Cluster cluster = built(spec);
  const Router router(cluster);
  const Members across{{0}, {4 * 4}};  // one leaf, then the next one
  CHECK(router.move_between(across, further(across, 4 * 8)));
  CHECK(router.move_between(across, further(across, 4)));
  const Members neighbours{{0}, {4}};
  CHECK(router.move_between(neighbours, further(neighbours, 4 * 2)));
  CHECK_FALSE(router.move_between(neighbours, further(neighbours, 4 * 3)));  // leaves part them
  CHECK_FALSE(router.move_between(neighbours, further(neighbours, 1)));      // another rail
  CHECK_FALSE(router.move_between(neighbours, Members{{4}, {0}}));
  CHECK_FALSE(Router(cluster, {{0}}).move_between(neighbours, further(neighbours, 4 * 2)));
  spec.routing.mode = RoutingMode::d_mod_k;
  const Cluster single = built(spec);
  CHECK_FALSE(Router(single).move_between(neighbours, further(neighbours, 4 * 2)));
  ClusterSpec two = spec;
  two.routing.mode = RoutingMode::spray;
  two.nodes.push_back(dgx_nodes(32, 4));
  two.nodes.back().name = "other";
  const Cluster mixed = built(two);
  CHECK(Router(mixed).move_between(neighbours, further(neighbours, 4 * 2)));
  CHECK_FALSE(Router(mixed).move_between(neighbours, further(neighbours, 4 * 32)));
  CHECK_FALSE(Router(mixed).move_between(further(neighbours, 4 * 32), neighbours));
  const Members inside{{0}, {3}};
  CHECK(Router(single).move_between(inside, further(inside, 4 * 31)));
}

namespace {

// A way in terms of what its ends are within their periods.
using Told = std::vector<std::tuple<bool, int, double>>;  // of the source's, bundle, share

Told told_of(const Router& router, AcceleratorId source, AcceleratorId target) {
  Trace way;
  router.trace(source, target, 3, way);
  const int from = source.index / router.period(), to = target.index / router.period();
  Told told;
  for (const BundleShare& part : way.parts) {
    const int period = router.period_of(part.bundle);
    REQUIRE((period == from || period == to));
    const BundleId first = router.in_period(part.bundle, 0);
    CHECK(router.period_of(first) == 0);
    CHECK(router.in_period(first, period) == part.bundle);
    told.push_back({period == from, first.index, part.share});
  }
  std::ranges::sort(told);
  return told;
}

}  // namespace

TEST_CASE("ways between periods are told by what their ends are within these") {
  std::mt19937_64 random(11);
  int across = 0, inside = 0;
  for (const auto& [name, shape] : clusters())
    for (const RoutingMode mode : all_modes)
      for (const CrossRail cross : {CrossRail::pxn, CrossRail::spine}) {
        ClusterSpec spec = shape;
        spec.routing.mode = mode;
        spec.routing.cross_rail = cross;
        const Cluster cluster = built(spec);
        const Router router(cluster);
        const int period = router.period();
        if (period == 0) continue;
        const int periods = cluster.accelerators() / period;  // a last one may be less than whole
        INFO(name << ", " << periods << " periods of " << period);
        const auto any = [&](int count) {
          return static_cast<int>(random() % static_cast<unsigned>(count));
        };
        for (int trial = 0; trial < 40; ++trial) {
          const int source = any(period), target = any(period);
          const int from = any(periods), to = any(periods);
          const int other = any(periods), last = any(periods);
          if ((from == to) != (other == last)) continue;
          (from == to ? inside : across) += 1;
          CHECK(told_of(router, {from * period + source}, {to * period + target}) ==
                told_of(router, {other * period + source}, {last * period + target}));
        }
      }
  CHECK(across > 100);
  CHECK(inside > 100);
}
