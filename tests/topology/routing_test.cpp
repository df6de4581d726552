#include "topology/routing.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <cmath>
#include <map>
#include <numeric>
#include <random>
#include <tuple>

#include "tests/topology/specs.hpp"
#include "topology/shapes/direct.hpp"

using namespace railwright;
using namespace railwright::topology;

namespace {

const RoutingMode all_modes[] = {RoutingMode::spray,           RoutingMode::d_mod_k,
                                 RoutingMode::ecmp_hash,       RoutingMode::adaptive,
                                 RoutingMode::dimension_order, RoutingMode::shortest_path};

// What flows out of a vertex minus what flows in, per vertex touched.
std::map<int, double> surplus_of(const Graph& graph, const Route& route) {
  std::map<int, double> surplus;
  for (const LinkShare& part : route.links) {
    surplus[graph.source[part.link.index]] += part.share;
    surplus[graph.target[part.link.index]] -= part.share;
  }
  return surplus;
}

void check_conserved(const Cluster& cluster, int source, int target, const Route& route) {
  REQUIRE_FALSE(route.empty());
  for (std::size_t i = 0; i < route.links.size(); ++i) {
    CHECK(route.links[i].share > 0);
    CHECK(route.links[i].share <= 1);
    if (i > 0) CHECK(route.links[i - 1].link < route.links[i].link);
  }
  auto surplus = surplus_of(cluster.graph, route);
  surplus[cluster.vertex_of({source}).index] -= 1;
  surplus[cluster.vertex_of({target}).index] += 1;
  for (const auto& [vertex, value] : surplus) {
    INFO(cluster.graph.name_of(VertexId{vertex}));
    CHECK(std::abs(value) < 1e-12);
  }
}

double hops_of(const Route& route) {
  return std::accumulate(route.links.begin(), route.links.end(), 0.0,
                         [](double sum, const LinkShare& part) { return sum + part.share; });
}

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

std::vector<int> shuffled(int n, std::mt19937_64& random) {
  std::vector<int> order(n);
  std::iota(order.begin(), order.end(), 0);
  for (int i = n - 1; i > 0; --i) std::swap(order[i], order[random() % (i + 1)]);
  return order;
}

std::vector<std::string> names_of(const Cluster& cluster, const Route& route) {
  std::vector<std::string> names;
  for (const LinkShare& part : route.links) names.push_back(cluster.graph.name_of(part.link));
  return names;
}

}  // namespace

TEST_CASE("a route carries one unit from source to target, in every shape and mode") {
  std::mt19937_64 random(11);
  for (const auto& [name, spec] : all_shapes())
    for (const RoutingMode mode : all_modes) {
      INFO(name << ", mode " << static_cast<int>(mode));
      ClusterSpec with_mode = spec;
      with_mode.routing.mode = mode;
      const Cluster cluster = built(with_mode);
      const Router router(cluster);
      const auto n = static_cast<std::uint64_t>(cluster.accelerators());
      for (int round = 0; round < 60; ++round) {
        const int source = static_cast<int>(random() % n), target = static_cast<int>(random() % n);
        INFO(source << " to " << target);
        const Route route = router.between({source}, {target}, random() % 4);
        if (source == target)
          CHECK(route.empty());
        else
          check_conserved(cluster, source, target, route);
      }
    }
}

TEST_CASE("modes of one path take one path") {
  for (const auto& [name, spec] : all_shapes())
    for (const RoutingMode mode :
         {RoutingMode::d_mod_k, RoutingMode::ecmp_hash, RoutingMode::shortest_path}) {
      INFO(name);
      ClusterSpec with_mode = spec;
      with_mode.routing.mode = mode;
      const Cluster cluster = built(with_mode);
      const Router router(cluster);
      for (int target = 1; target < cluster.accelerators(); ++target)
        for (const LinkShare& part : router.between({0}, {target}).links) CHECK(part.share == 1);
    }
}

TEST_CASE("routes pass through no accelerator but the proxy of PXN and chips of direct networks") {
  for (const auto& [name, spec] : all_shapes()) {
    const Cluster cluster = built(spec);
    const Router router(cluster);
    const bool direct = spec.nodes[0].accelerators == 1 || spec.networks.empty();
    if (direct || name == "mixed") continue;
    INFO(name);
    for (int s = 0; s < cluster.accelerators(); ++s)
      for (int t = 0; t < cluster.accelerators(); ++t) {
        int passed = 0;
        for (const LinkShare& part : router.between({s}, {t}).links) {
          const VertexId v = cluster.graph.target_of(part.link);
          passed += cluster.graph.kind_of(v) == VertexKind::accelerator;
          if (cluster.graph.kind_of(v) == VertexKind::accelerator && v != cluster.vertex_of({t})) {
            CHECK(name.starts_with("rail fat-tree"));
            CHECK(cluster.spec.routing.cross_rail == CrossRail::pxn);
          }
        }
        CHECK(passed <= 2);
      }
  }
}

TEST_CASE("PXN changes rails inside the node, the other option in the spine") {
  ClusterSpec spec = cluster_of(dgx_nodes(4, 2), fat_tree(Shape::rail_fat_tree, 2, 4, 0));
  spec.routing.mode = RoutingMode::d_mod_k;
  const auto route = [&](CrossRail cross, int source, int target) {
    spec.routing.cross_rail = cross;
    const Cluster cluster = built(spec);
    auto names = names_of(cluster, Router(cluster).between({source}, {target}));
    std::sort(names.begin(), names.end());
    return names;
  };
  // node0/gpu0 (rail 0) to node2/gpu1 (rail 1). Member 2 of the unit: spine 2 under d_mod_k.
  CHECK(route(CrossRail::pxn, 0, 5) ==
        std::vector<std::string>{"node0/gpu0->node0/switch", "node0/gpu1->node0/pcie1",
                                 "node0/nic1->rail1/leaf0", "node0/pcie1->node0/nic1",
                                 "node0/switch->node0/gpu1", "node2/nic1->node2/pcie1",
                                 "node2/pcie1->node2/gpu1", "rail1/leaf0->node2/nic1"});
  CHECK(route(CrossRail::spine, 0, 5) ==
        std::vector<std::string>{"node0/gpu0->node0/pcie0", "node0/nic0->rail0/leaf0",
                                 "node0/pcie0->node0/nic0", "node2/nic1->node2/pcie1",
                                 "node2/pcie1->node2/gpu1", "rail0/leaf0->spine2",
                                 "rail1/leaf0->node2/nic1", "spine2->rail1/leaf0"});
  CHECK(route(CrossRail::pxn, 0, 1) ==
        std::vector<std::string>{"node0/gpu0->node0/switch", "node0/switch->node0/gpu1"});
}

TEST_CASE("latency is the sum over the links, weighted by their shares") {
  const Cluster cluster =
      built(cluster_of(dgx_nodes(4, 2), fat_tree(Shape::rail_fat_tree, 2, 1, 0)));
  const Router router(cluster);
  // NVLink 250 ns a hop; PCIe 500, rail 600, spine 700: 4 x 500 + 2 x 600 + 2 x 700 = 4600 ns.
  CHECK(router.between({0}, {1}).latency.value == Approx(500e-9));
  CHECK(router.between({0}, {2}).latency.value == Approx(4600e-9));
  CHECK(router.between({0}, {3}).latency.value == Approx(5100e-9));  // PXN: two NVLink hops more
}

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

namespace {

double share_of(const Cluster& cluster, const Route& route, const std::string& link) {
  for (const LinkShare& part : route.links)
    if (cluster.graph.name_of(part.link) == link) return part.share;
  return 0;
}

}  // namespace

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

// Rearrangeable in the fractional sense: full bisection carries any permutation at full rate.
TEST_CASE("spray over a fat-tree without oversubscription loads no link beyond one flow") {
  std::mt19937_64 random(3);
  const ClusterSpec specs[] = {
      cluster_of(bare_nodes(24, 1), fat_tree(Shape::fat_tree, 2, 4, 0)),
      cluster_of(bare_nodes(24, 1), fat_tree(Shape::fat_tree, 3, 3, 2)),
      cluster_of(dgx_nodes(8, 4), fat_tree(Shape::rail_fat_tree, 2, 2, 0)),
      cluster_of(dgx_nodes(12, 2), fat_tree(Shape::rail_fat_tree, 3, 2, 2)),
  };
  for (ClusterSpec spec : specs) {
    spec.routing.cross_rail = CrossRail::spine;
    const Cluster cluster = built(spec);
    const Router router(cluster);
    for (int round = 0; round < 30; ++round) {
      const auto target = shuffled(cluster.accelerators(), random);
      std::vector<double> load(cluster.graph.links(), 0);
      for (int s = 0; s < cluster.accelerators(); ++s)
        for (const LinkShare& part : router.between({s}, {target[s]}).links)
          load[part.link.index] += part.share;
      CHECK(*std::max_element(load.begin(), load.end()) <= 1 + 1e-9);
    }
  }
}

TEST_CASE("d_mod_k carries every shift along the rails without a collision") {
  ClusterSpec spec = cluster_of(dgx_nodes(16, 2), fat_tree(Shape::rail_fat_tree, 3, 2, 2));
  spec.routing.mode = RoutingMode::d_mod_k;
  const Cluster cluster = built(spec);
  const Router router(cluster);
  const int n = cluster.accelerators();
  for (int shift = 2; shift < n; shift += 2) {
    INFO("shift " << shift / 2 << " nodes");
    std::vector<double> load(cluster.graph.links(), 0);
    for (int s = 0; s < n; ++s)
      for (const LinkShare& part : router.between({s}, {(s + shift) % n}).links)
        load[part.link.index] += part.share;
    CHECK(*std::max_element(load.begin(), load.end()) == 1);
  }
}

TEST_CASE("ecmp_hash depends on seed, pair and flow, and repeats itself") {
  ClusterSpec spec = cluster_of(dgx_nodes(16, 2), fat_tree(Shape::rail_fat_tree, 2, 8, 0));
  spec.routing.mode = RoutingMode::ecmp_hash;
  const Cluster cluster = built(spec);
  spec.routing.seed = 2;
  const Cluster other = built(spec);
  const Router router(cluster), again(cluster), seeded(other);
  int by_flow = 0, by_seed = 0;
  std::vector<int> used(8, 0);
  for (std::uint64_t flow = 0; flow < 400; ++flow) {
    const Route route = router.between({0}, {20}, flow);
    CHECK(route == again.between({0}, {20}, flow));
    by_flow += !(route == router.between({0}, {20}, flow + 1));
    by_seed += !(route == seeded.between({0}, {20}, flow));
    for (int s = 0; s < 8; ++s)
      for (const std::string& name : names_of(cluster, route))
        used[s] += name == "rail0/leaf0->spine" + std::to_string(s);
  }
  // 400 draws over 8 spines: mean 50, standard deviation 6.6; 5 sigma either way.
  for (const int count : used) CHECK(std::abs(count - 50) < 33);
  CHECK(by_flow > 300);
  CHECK(by_seed > 300);
}

TEST_CASE("explicit links: shares follow the lanes, servers do not forward") {
  const Cluster cluster = built(explicit_spec());
  const Route route = Router(cluster).between({0}, {5});
  const auto share = [&](const char* name) {
    const LinkId link = *cluster.graph.link_named(name);
    for (const LinkShare& part : route.links)
      if (part.link == link) return part.share;
    return 0.0;
  };
  CHECK(share("blue->top") == Approx(2.0 / 3));
  CHECK(share("blue->top-2") == Approx(1.0 / 3));
  CHECK(share("node0/nic0->blue") == 1);
}

TEST_CASE("chips joined by explicit links alone forward for each other") {
  ClusterSpec spec = bare_spec();
  spec.nodes = {bare_nodes(4, 1)};
  for (int i = 0; i < 3; ++i)
    spec.links.push_back(explicit_link("node" + std::to_string(i) + "/gpu0",
                                       "node" + std::to_string(i + 1) + "/gpu0", rail));
  const Cluster cluster = built(spec);
  CHECK(hops_of(Router(cluster).between({0}, {3})) == 3);
}

TEST_CASE("an explicit short cut beside a shape is used, further lanes change no path") {
  ClusterSpec spec = cluster_of(dgx_nodes(4, 2), fat_tree(Shape::rail_fat_tree, 2, 1, 0));
  const Route plain = Router(built(spec)).between({0}, {4});
  spec.links = {explicit_link("rail0/leaf0", "spine0", spine)};
  const Cluster wider = built(spec);
  CHECK(Router(wider).between({0}, {4}) == plain);
  CHECK(in_gigabytes_per_second(
            wider.graph.capacity(*wider.graph.link_named("rail0/leaf0->spine0"))) == Approx(100));
  spec.links = {explicit_link("rail0/leaf0", "rail0/leaf2", spine)};
  const Cluster shorter = built(spec);
  CHECK(hops_of(Router(shorter).between({0}, {4})) == 7);
  CHECK(hops_of(plain) == 8);
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
