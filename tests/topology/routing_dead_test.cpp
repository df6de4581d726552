#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <map>
#include <random>
#include <set>

#include "tests/topology/routes.hpp"
#include "tests/topology/specs.hpp"

using namespace railwright;
using namespace railwright::topology;

namespace {

// Whether links that are not dead lead from one accelerator to the other.
bool joined(const Cluster& cluster, const std::set<LinkId>& dead, int source, int target) {
  const Graph& graph = cluster.graph;
  std::vector<char> seen(graph.vertices(), 0);
  std::vector<int> queue{cluster.vertex_of({source}).index};
  seen[queue.front()] = 1;
  for (std::size_t i = 0; i < queue.size(); ++i)
    for (const int link : graph.links_from({queue[i]})) {
      const int next = graph.target[link];
      if (dead.contains({link}) || seen[next]) continue;
      seen[next] = 1;
      queue.push_back(next);
    }
  return seen[cluster.vertex_of({target}).index] != 0;
}

bool conserved(const Cluster& cluster, int source, int target, const Route& route) {
  std::map<int, double> surplus;
  for (const LinkShare& part : route.links) {
    surplus[cluster.graph.source[part.link.index]] += part.share;
    surplus[cluster.graph.target[part.link.index]] -= part.share;
  }
  surplus[cluster.vertex_of({source}).index] -= 1;
  surplus[cluster.vertex_of({target}).index] += 1;
  return std::ranges::all_of(surplus,
                             [](const auto& entry) { return std::abs(entry.second) < 1e-12; });
}

bool crosses(const Route& route, const std::set<LinkId>& dead) {
  return std::ranges::any_of(route.links,
                             [&](const LinkShare& use) { return dead.contains(use.link); });
}

}  // namespace

TEST_CASE("routes avoid dead links where anything else leads there, and change nowhere else") {
  std::mt19937_64 random(17);
  int moved = 0, lost = 0;
  for (const auto& [name, spec] : all_shapes())
    for (const RoutingMode mode : all_modes) {
      ClusterSpec with_mode = spec;
      with_mode.routing.mode = mode;
      const Cluster cluster = built(with_mode);
      std::set<LinkId> dead;
      const int links = cluster.graph.links();
      for (int i = 0; i < std::max(2, links / 10); ++i)
        dead.insert({static_cast<int>(random() % static_cast<std::uint64_t>(links))});
      const Router healthy(cluster), router(cluster, {dead.begin(), dead.end()});
      for (int i = 0; i < 40; ++i) {
        const auto ranks = static_cast<std::uint64_t>(cluster.accelerators());
        const int source = static_cast<int>(random() % ranks);
        const int target = static_cast<int>(random() % ranks);
        if (source == target) continue;
        INFO(name << ", mode " << static_cast<int>(mode) << ": " << source << " to " << target);
        const Route before = healthy.between({source}, {target});
        const Route after = router.between({source}, {target});
        REQUIRE(after.empty() != joined(cluster, dead, source, target));
        if (!crosses(before, dead)) CHECK(after == before);
        lost += after.empty();
        if (after.empty() || after == before) continue;
        ++moved;
        CHECK_FALSE(crosses(after, dead));
        CHECK(conserved(cluster, source, target, after));
      }
    }
  CHECK(moved > 100);
  CHECK(lost > 10);
}

TEST_CASE("spray splits over the live spines only") {
  ClusterSpec spec = bare_spec();
  spec.nodes = {dgx_nodes(4)};
  NetworkSpec network = network_of(Shape::rail_fat_tree);
  network.nodes_per_leaf = 2;
  spec.networks = {network};
  spec.routing.mode = RoutingMode::spray;
  const Cluster cluster = built(spec);
  // Node 0 and node 2 hang on different leaves of rail 0.
  const Route before = Router(cluster).between({0}, {16});
  std::vector<LinkId> up;
  for (const LinkShare& part : before.links)
    if (cluster.graph.class_of(part.link).name == "spine" && part.share < 1)
      up.push_back(part.link);
  REQUIRE(up.size() >= 4);  // up to and down from at least two spines
  const Route after = Router(cluster, {up.front()}).between({0}, {16});
  // One spine less: its link up and its link down.
  CHECK(after.links.size() == before.links.size() - 2);
  CHECK(hops_of(after) == Approx(hops_of(before)));
}

TEST_CASE("a dead NIC sends its accelerator through a neighbour of its node") {
  ClusterSpec spec = bare_spec();
  spec.nodes = {dgx_nodes(2)};
  spec.networks = {network_of(Shape::rail_fat_tree)};
  spec.networks[0].nodes_per_leaf = 2;
  const Cluster cluster = built(spec);
  const LinkId uplink = Router(cluster).between({0}, {8}).links.front().link;
  REQUIRE(cluster.graph.name_of(uplink).find("node0/gpu0->") == 0);
  std::vector<LinkId> dead;
  for (const int link : cluster.graph.links_from(cluster.vertex_of({0})))
    if (cluster.graph.class_of({link}).name == "pcie") dead.push_back({link});
  REQUIRE(dead.size() == 1);
  const Route route = Router(cluster, dead).between({0}, {8});
  REQUIRE_FALSE(route.empty());
  CHECK(cluster.graph.class_of(route.links.front().link).name == "nvlink");
}
