#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <random>

#include "tests/topology/routes.hpp"
#include "tests/topology/specs.hpp"
#include "topology/routing/walk.hpp"

using namespace railwright;
using namespace railwright::topology;

namespace {

std::vector<LinkId> links_of(const Router& router, BundleId bundle) {
  std::vector<LinkId> links;
  router.append_links_of(bundle, links);
  return links;
}

std::map<int, double> shares_of(const std::vector<BundleShare>& parts) {
  std::map<int, double> shares;
  for (const BundleShare& part : parts) shares[part.bundle.index] += part.share;
  return shares;
}

ClusterSpec with_mode(ClusterSpec spec, RoutingMode mode) {
  spec.routing.mode = mode;
  return spec;
}

// Accelerators that hang on the leaves themselves.
std::map<std::string, ClusterSpec> bare_fat_trees() {
  std::map<std::string, ClusterSpec> specs;
  specs["2 tiers"] = cluster_of(bare_nodes(13, 2), fat_tree(Shape::fat_tree, 2, 4, 0, 2));
  specs["3 tiers"] = cluster_of(bare_nodes(22, 1), fat_tree(Shape::fat_tree, 3, 3, 2));
  specs["rails, 2 tiers"] = cluster_of(bare_nodes(7, 4), fat_tree(Shape::rail_fat_tree, 2, 3, 0));
  specs["rails, 3 tiers"] =
      cluster_of(bare_nodes(23, 3), fat_tree(Shape::rail_fat_tree, 3, 4, 2, 2));
  return specs;
}

}  // namespace

TEST_CASE("the closed form of a fat-tree is the walk from switch to switch") {
  for (const auto& [name, spec] : bare_fat_trees())
    for (const RoutingMode mode : all_modes) {
      INFO(name << ", mode " << static_cast<int>(mode));
      const Cluster cluster = built(with_mode(spec, mode));
      const Router router(cluster);
      const Layout layout = layout_of(cluster.spec).value();
      const NetworkLayout& network = layout.networks.front();
      for (int source = 0; source < cluster.accelerators(); ++source)
        for (int target = 0; target < cluster.accelerators(); ++target) {
          if (source == target) continue;
          Walk walk(cluster.graph, mode,
                    {cluster.spec.routing.seed, static_cast<std::uint64_t>(source),
                     static_cast<std::uint64_t>(target), 3});
          std::vector<BundleShare> parts;
          walk.go(FabricSpace(network.fabric, network.placement, target), source, target, parts);
          const auto expected = shares_of(parts);
          const Route route = router.between({source}, {target}, 3);
          REQUIRE(route.links.size() == expected.size());
          for (const LinkShare& use : route.links)
            REQUIRE(expected.at(use.link.index) == Approx(use.share).epsilon(1e-12));
        }
    }
}

TEST_CASE("every route loads the links of a bundle alike, and each link is in one bundle") {
  for (const auto& [name, spec] : all_shapes())
    for (const RoutingMode mode : {RoutingMode::spray, RoutingMode::d_mod_k}) {
      INFO(name << ", mode " << static_cast<int>(mode));
      const Cluster cluster = built(with_mode(spec, mode));
      const Router router(cluster);
      std::vector<int> bundle_of(static_cast<std::size_t>(cluster.graph.links()), -1);
      for (int bundle = cluster.graph.links(); bundle < router.bundles(); ++bundle) {
        const auto links = links_of(router, {bundle});
        CHECK(static_cast<int>(links.size()) == router.size_of({bundle}));
        CHECK(links.front() == router.first_of({bundle}));
        for (const LinkId link : links) {
          CHECK(bundle_of[link.index] == -1);
          CHECK(cluster.graph.link_class[link.index] ==
                cluster.graph.link_class[links.front().index]);
          bundle_of[link.index] = bundle;
        }
      }
      Trace trace;
      for (int source = 0; source < cluster.accelerators(); ++source)
        for (int target = 0; target < cluster.accelerators(); ++target) {
          router.trace({source}, {target}, 0, trace);
          std::size_t links = 0;
          for (const BundleShare& part : trace.parts) {
            links += static_cast<std::size_t>(router.size_of(part.bundle));
            if (router.is_link(part.bundle)) REQUIRE(bundle_of[part.bundle.index] == -1);
          }
          const Route route = router.between({source}, {target});
          REQUIRE(route.links.size() == links);
          REQUIRE(route.latency == trace.latency);
        }
    }
}

TEST_CASE("a route through a large fat-tree is a few bundles") {
  // 3 tiers, 4 rails, leaves of 8: 8 uplinks, 8 x 16 cores. Host bridge and NIC 2 + 2, leaf 1 + 1,
  // uplinks, pod, pod, leaf's downlinks.
  const Cluster cluster = built(with_mode(
      cluster_of(dgx_nodes(64, 4), fat_tree(Shape::rail_fat_tree, 3, 8, 4)), RoutingMode::spray));
  const Router router(cluster);
  Trace trace;
  router.trace({0}, {252}, 0, trace);
  CHECK(trace.parts.size() == 10);
  CHECK(router.between({0}, {252}).links.size() > 200);
}

TEST_CASE("routes around dead links are told in links, the others in bundles") {
  const Cluster cluster = built(with_mode(
      cluster_of(bare_nodes(22, 1), fat_tree(Shape::fat_tree, 3, 3, 2)), RoutingMode::spray));
  const LinkId dead = *cluster.graph.link_named("leaf0->pod0/spine0");
  const Router whole(cluster), router(cluster, {dead});
  Trace trace;
  int around = 0;
  for (int source = 0; source < 22; ++source)
    for (int target = 0; target < 22; ++target) {
      const Route before = whole.between({source}, {target});
      const bool crosses =
          std::ranges::any_of(before.links, [&](const LinkShare& use) { return use.link == dead; });
      const Route after = router.between({source}, {target});
      router.trace({source}, {target}, 0, trace);
      around += crosses;
      for (const LinkShare& use : after.links) CHECK(use.link != dead);
      if (!crosses) CHECK(after == before);
      if (crosses)
        CHECK(std::ranges::all_of(
            trace.parts, [&](const BundleShare& part) { return router.is_link(part.bundle); }));
    }
  CHECK(around > 0);
}
