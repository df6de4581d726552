#include "topology/routing.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <map>
#include <numeric>
#include <random>

#include "tests/topology/routes.hpp"
#include "tests/topology/specs.hpp"

using namespace railwright;
using namespace railwright::topology;

namespace {

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

std::vector<int> shuffled(int n, std::mt19937_64& random) {
  std::vector<int> order(n);
  std::iota(order.begin(), order.end(), 0);
  for (int i = n - 1; i > 0; --i) std::swap(order[i], order[random() % (i + 1)]);
  return order;
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
