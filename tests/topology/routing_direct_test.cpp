// Routes where servers or routers are wired to each other: meshes, tori, dragonflies.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <tuple>

#include "tests/topology/routes.hpp"
#include "tests/topology/specs.hpp"
#include "topology/shapes/direct.hpp"

using namespace railwright;
using namespace railwright::topology;

namespace {

// Largest load and mean hops when every accelerator sends one unit to every other.
struct AllToAll {
  double load = 0, hops = 0, diameter = 0;
};
AllToAll all_to_all(const Cluster& cluster) {
  const Router router(cluster);
  const int n = cluster.accelerators();
  std::vector<double> load(cluster.graph.links(), 0);
  AllToAll result;
  for (int s = 0; s < n; ++s)
    for (int t = 0; t < n; ++t) {
      if (s == t) continue;
      const Route route = router.between({s}, {t});
      for (const LinkShare& part : route.links) load[part.link.index] += part.share;
      result.hops += hops_of(route) / (n * (n - 1.0));
      result.diameter = std::max(result.diameter, hops_of(route));
    }
  result.load = *std::max_element(load.begin(), load.end());
  return result;
}

double share_of(const Cluster& cluster, const Route& route, const std::string& link) {
  for (const LinkShare& part : route.links)
    if (cluster.graph.name_of(part.link) == link) return part.share;
  return 0;
}

}  // namespace

TEST_CASE("hops in tori and meshes are the closed form") {
  for (const Shape shape : {Shape::torus, Shape::mesh})
    for (const std::vector<int>& d : {std::vector{5}, {4, 3}, {4, 2, 3}, {1, 6}}) {
      const Cluster cluster = built(grid_spec(shape, d));
      for (const RoutingMode mode : all_modes) {
        ClusterSpec spec = cluster.spec;
        spec.routing.mode = mode;
        const Cluster with_mode = built(spec);
        const Router router(with_mode);
        for (int s = 0; s < cluster.accelerators(); ++s)
          for (int t = 0; t < cluster.accelerators(); ++t) {
            int expected = 0, from = s, to = t;
            for (std::size_t i = d.size(); i-- > 0; from /= d[i], to /= d[i]) {
              const int apart = std::abs(from % d[i] - to % d[i]);
              expected += shape == Shape::torus ? std::min(apart, d[i] - apart) : apart;
            }
            CHECK(hops_of(router.between({s}, {t})) == Approx(expected));
          }
      }
    }
}

TEST_CASE("dimension order corrects dimension 0 first") {
  ClusterSpec spec = grid_spec(Shape::torus, {4, 5});
  spec.routing.mode = RoutingMode::dimension_order;
  const Cluster cluster = built(spec);
  // 0 = (0, 0) to 7 = (1, 2): over (1, 0) and (1, 1).
  CHECK(names_of(cluster, Router(cluster).between({0}, {7})) ==
        std::vector<std::string>{"node0/gpu0->node5/gpu0", "node5/gpu0->node6/gpu0",
                                 "node6/gpu0->node7/gpu0"});
}

TEST_CASE("dimension order uses both ways where they are equally long, in every dimension") {
  ClusterSpec spec = grid_spec(Shape::torus, {4, 4});
  spec.routing.mode = RoutingMode::dimension_order;
  const Cluster cluster = built(spec);
  const Router router(cluster);
  // 0 = (0, 0); 8 = (2, 0) is half-way round dimension 0, 2 = (0, 2) round dimension 1.
  for (const auto& [target, up, down] : {std::tuple(8, 4, 12), std::tuple(2, 1, 3)})
    for (const int first : {up, down})
      CHECK(share_of(cluster, router.between({0}, {target}),
                     "node0/gpu0->node" + std::to_string(first) + "/gpu0") == 0.5);
}

TEST_CASE("spray splits by lanes: both links of a closed dimension of two carry as much") {
  const Cluster torus = built(grid_spec(Shape::torus, {4, 2}));
  // 0 = (0, 0) to 3 = (1, 1): one link along dimension 0, two along dimension 1.
  const Route route = Router(torus).between({0}, {3});
  CHECK(share_of(torus, route, "node0/gpu0->node2/gpu0") == Approx(1.0 / 3));
  CHECK(share_of(torus, route, "node0/gpu0->node1/gpu0") == Approx(2.0 / 3));
  // Three groups of three routers with five global links each. Router 0 has two links to the first
  // router of the next group, one to the second, and a local one to the router that has the rest.
  const Cluster fly = built(dragonfly_spec(9, 3, 1, 5));
  const Route far = Router(fly).between({0}, {5});
  CHECK(share_of(fly, far, "group0/router0->group1/router0") == 0.5);
  CHECK(share_of(fly, far, "group0/router0->group1/router1") == 0.25);
  CHECK(share_of(fly, far, "group0/router0->group0/router2") == 0.25);
}

TEST_CASE("distances round a long twisted ring do not overflow") {
  // Two steps along dimension 0 are one along dimension 1: a ring of 280,000 with steps of 1 and 2.
  const Grid ring({2, 140'000}, true, {{0, 1, 1}}, rail);
  CHECK(ring.distance(0, 70'000) == 70'000);
}

// reference: uniform all-to-all, exact by symmetry; bandwidth of TPU v4 slices.
TEST_CASE("twisting a 4x4x8 torus takes the all-to-all load from 128 to 220/3") {
  const AllToAll plain = all_to_all(built(grid_spec(Shape::torus, {4, 4, 8})));
  CHECK(plain.load == Approx(128).epsilon(1e-9));
  CHECK(plain.hops == Approx(512.0 / 127).epsilon(1e-9));  // 4.031
  CHECK(plain.diameter == Approx(8));
  const AllToAll twisted =
      all_to_all(built(grid_spec(Shape::torus, {4, 4, 8}, {{0, 2, 4}, {1, 2, 4}})));
  CHECK(twisted.load == Approx(220.0 / 3).epsilon(1e-9));
  CHECK(twisted.hops == Approx(440.0 / 127).epsilon(1e-9));  // 3.465
  CHECK(twisted.diameter == Approx(6));
}

TEST_CASE("twisting a 4x8x8 torus takes the all-to-all load from 256 to 184") {
  const AllToAll plain = all_to_all(built(grid_spec(Shape::torus, {4, 8, 8})));
  CHECK(plain.load == Approx(256).epsilon(1e-9));
  CHECK(plain.hops == Approx(5.020).epsilon(1e-4));
  CHECK(plain.diameter == Approx(10));
  const AllToAll twisted =
      all_to_all(built(grid_spec(Shape::torus, {4, 8, 8}, {{0, 1, 4}, {0, 2, 4}})));
  CHECK(twisted.load == Approx(184).epsilon(1e-9));
  CHECK(twisted.hops == Approx(4.329).epsilon(1e-4));
  CHECK(twisted.diameter == Approx(6));
}

// Breadth-first search may find a path over two global links that is a hop shorter; minimal
// dragonfly routing takes one global link, and needs at most local, global, local.
TEST_CASE("dragonfly routes take one global link between groups and none inside") {
  const Cluster cluster = built(dragonfly_spec(34, 3, 2, 2));  // groups of 6 endpoints
  const Router router(cluster);
  for (int s = 0; s < 34; ++s)
    for (int t = 0; t < 34; ++t) {
      if (s == t) continue;
      double global = 0;
      const Route route = router.between({s}, {t});
      for (const LinkShare& part : route.links)
        if (cluster.graph.class_of(part.link).name == "core") global += part.share;
      CHECK(global == Approx(s / 6 == t / 6 ? 0 : 1));
      CHECK(hops_of(route) <= 5 + 1e-12);
    }
}
