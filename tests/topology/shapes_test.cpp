#include <sys/resource.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <iostream>
#include <random>

#include "tests/topology/specs.hpp"
#include "topology/routing.hpp"

using namespace railwright;
using namespace railwright::topology;

namespace {

int count_of(const Graph& graph, std::string_view link_class) {
  int count = 0;
  for (int l = 0; l < graph.links(); ++l) count += graph.class_of(LinkId{l}).name == link_class;
  return count;
}

Bandwidth capacity_of(const Graph& graph, std::string_view link_class) {
  Bandwidth sum;
  for (int l = 0; l < graph.links(); ++l)
    if (graph.class_of(LinkId{l}).name == link_class) sum = sum + graph.capacity(LinkId{l});
  return sum;
}

std::string message_of(ClusterSpec spec) {
  const auto cluster = build_cluster(std::move(spec));
  return cluster ? "" : to_string(cluster.error());
}

bool says(const ClusterSpec& spec, std::string_view words) {
  const std::string message = message_of(spec);
  INFO(message << " should say: " << words);
  const bool found = message.find(words) != std::string::npos;
  CHECK(found);
  return found;
}

}  // namespace

// Four scalable units of the DGX H100 SuperPOD reference: 32 nodes and 8 leaves a unit, 32 links
// down and 32 up a leaf.
TEST_CASE("a DGX H100 SuperPOD has its leaves, spines and links") {
  const Cluster cluster =
      built(cluster_of(dgx_nodes(128), fat_tree(Shape::rail_fat_tree, 2, 32, 0)));
  CHECK(cluster.accelerators() == 1024);
  const ClusterSummary summary = summarize(cluster);
  CHECK(summary.switches == 128 + 32 + 32);  // NVSwitch domains, leaves, spines
  CHECK(count_of(cluster.graph, "rail") == 2 * 1024);
  CHECK(count_of(cluster.graph, "spine") == 2 * 32 * 32);
  CHECK(count_of(cluster.graph, "pcie") == 2 * 2 * 1024);
  CHECK(count_of(cluster.graph, "nvlink") == 2 * 1024);
  // Leaf r of a unit takes NIC r of its nodes.
  CHECK(cluster.graph.link_named("node33/nic5->rail5/leaf1"));
  CHECK_FALSE(cluster.graph.link_named("node33/nic5->rail5/leaf0"));
}

TEST_CASE("uplinks of the leaves times oversubscription are the downlinks") {
  for (const double over : {1.0, 2.0, 4.0})
    for (const int tiers : {2, 3})
      for (const Shape shape : {Shape::fat_tree, Shape::rail_fat_tree}) {
        const Cluster cluster =
            built(cluster_of(dgx_nodes(16, 4), fat_tree(shape, tiers, 4, 2, over)));
        CHECK((over * capacity_of(cluster.graph, "spine")).bytes_per_second ==
              Approx(capacity_of(cluster.graph, "rail").bytes_per_second));
        if (tiers == 3)
          CHECK(capacity_of(cluster.graph, "core") == capacity_of(cluster.graph, "spine"));
      }
}

TEST_CASE("accelerators are numbered node by node, group after group") {
  const Cluster cluster = built(mixed_spec());
  CHECK(cluster.accelerators() == 4 * 4 + 8);
  CHECK(cluster.nodes() == 12);
  for (int a = 0; a < cluster.accelerators(); ++a) {
    const int node = a < 16 ? a / 4 : 4 + a - 16;
    CHECK(cluster.node_of({a}) == node);
    CHECK(cluster.group_of({a}) == (a < 16 ? 0 : 1));
    CHECK(cluster.first_of_node(node) == AcceleratorId{a < 16 ? a / 4 * 4 : a});
    CHECK(cluster.graph.kind_of(cluster.vertex_of({a})) == VertexKind::accelerator);
    CHECK(cluster.graph.name_of(cluster.vertex_of({a})) ==
          cluster.node_name(node) + "/gpu" + std::to_string(a < 16 ? a % 4 : 0));
  }
  CHECK(cluster.node_name(5) == "chip1");
}

TEST_CASE("hosts belong to nodes") {
  ClusterSpec spec = cluster_of(dgx_nodes(2, 2), network_of(Shape::switched));
  CHECK(built(spec).host_of({3}).empty());
  spec.nodes[0].hosts = {"alpha", "beta"};
  CHECK(built(spec).host_of({1}) == "alpha");
  CHECK(built(spec).host_of({2}) == "beta");
}

TEST_CASE("torus coordinates are row-major, dimension 0 slowest") {
  const Graph graph = built(grid_spec(Shape::torus, {3, 5})).graph;
  CHECK(graph.link_named("node0/gpu0->node1/gpu0"));
  CHECK(graph.link_named("node0/gpu0->node5/gpu0"));
  CHECK(graph.link_named("node0/gpu0->node4/gpu0"));   // closing dimension 1
  CHECK(graph.link_named("node0/gpu0->node10/gpu0"));  // closing dimension 0
  CHECK(graph.links() == 15 * 4);
}

TEST_CASE("a closed dimension of size two has two lanes") {
  const Graph graph = built(grid_spec(Shape::torus, {2, 3})).graph;
  CHECK(graph.capacity(*graph.link_named("node0/gpu0->node3/gpu0")) == gigabytes_per_second(100));
  CHECK(graph.capacity(*graph.link_named("node0/gpu0->node1/gpu0")) == gigabytes_per_second(50));
}

TEST_CASE("closing a twisted dimension shifts the other") {
  const Graph graph = built(grid_spec(Shape::torus, {4, 8}, {{0, 1, 4}})).graph;
  // (3, 1) + (1, 0) = (0, 5)
  CHECK(graph.link_named("node25/gpu0->node5/gpu0"));
  CHECK_FALSE(graph.link_named("node25/gpu0->node1/gpu0"));
}

TEST_CASE("accelerators of one NIC share its host bridge") {
  const Graph graph = built(cluster_of(dgx_nodes(2, 4, 2), network_of(Shape::switched))).graph;
  CHECK(graph.link_named("node1/gpu0->node1/pcie0"));
  CHECK(graph.link_named("node1/gpu1->node1/pcie0"));
  CHECK(graph.link_named("node1/gpu2->node1/pcie1"));
  CHECK(graph.link_named("node1/nic1->switch"));
  CHECK_FALSE(graph.vertex_named("node1/nic2"));
}

TEST_CASE("a dragonfly joins each two groups by the same number of links") {
  // 34 endpoints, 3 routers of 2: 6 groups; 3 x 2 globals over 5 others: one link a pair.
  const Graph graph = built(dragonfly_spec(34, 3, 2, 2)).graph;
  CHECK(count_of(graph, "core") == 6 * 5);
  CHECK(count_of(graph, "spine") == 6 * 3 * 2);
}

TEST_CASE("parameters that do not fit are refused with a reason") {
  ClusterSpec torus = grid_spec(Shape::torus, {4, 4});
  torus.networks[0].dimensions = {4, 5};
  says(torus, "dimensions 4 x 5 multiply to 20, but there are 16 endpoints");
  torus.networks[0].dimensions = {4, -4};
  says(torus, "dimension -4 is not positive");
  says(grid_spec(Shape::torus, {4, 4}, {{0, 1, 2}, {1, 0, 2}}), "in a circle");
  says(grid_spec(Shape::torus, {4, 4}, {{0, 7, 2}}), "names dimensions 0 and 7 of 2");
  says(grid_spec(Shape::mesh, {4, 4}, {{0, 1, 2}}), "only a torus can be twisted");
  says(cluster_of(dgx_nodes(4), fat_tree(Shape::rail_fat_tree, 2, 4, 0, 3)), "links up");
  says(cluster_of(dgx_nodes(4), fat_tree(Shape::rail_fat_tree, 2, 0, 0)), "nodes per leaf");
  says(cluster_of(dgx_nodes(4), fat_tree(Shape::rail_fat_tree, 3, 2, 0)), "leaves of a pod");
  says(cluster_of(dgx_nodes(4), fat_tree(Shape::rail_fat_tree, 4, 2, 2)), "2 or 3");
  says(cluster_of(bare_nodes(1, 1), network_of(Shape::switched)), "joins 1 endpoints");
  says(dragonfly_spec(34, 3, 2, 1), "5 global links");
  says(dragonfly_spec(34, 65'536, 65'536, 1), "2^28 ports");
  says(dragonfly_spec(34, 65'536, 1, 65'536), "2^28 ports");
  says(cluster_of(dgx_nodes(4), fat_tree(Shape::rail_fat_tree, 3, 1 << 22, 1 << 22)),
       "2^28 spines");
  says(cluster_of(dgx_nodes(2, 4, 3), network_of(Shape::switched)), "divide evenly");
  ClusterSpec rails = cluster_of(dgx_nodes(2, 4), fat_tree(Shape::rail_fat_tree, 2, 2, 0));
  rails.nodes.push_back(dgx_nodes(2, 8));
  rails.nodes.back().name = "other";
  says(rails, "different numbers of NICs");
  says(bare_spec(), "no nodes");
}

TEST_CASE("bad capacities, classes and lanes are refused") {
  ClusterSpec spec = cluster_of(dgx_nodes(2), network_of(Shape::switched));
  for (const double gigabytes : {0.0, -1.0, std::nan("")}) {
    spec.link_classes[2] = link_class("rail", gigabytes, 1);
    says(spec, "link class 'rail': capacity must be positive");
  }
  spec.link_classes.resize(2);
  says(spec, "network 'net': unknown link class");
  ClusterSpec lanes = explicit_spec();
  lanes.links[0].lanes = 0;
  says(lanes, "lanes must be 1 to 65535");
}

TEST_CASE("names that are missing or double are refused") {
  ClusterSpec spec = explicit_spec();
  spec.links.push_back(explicit_link("node0/nic9", "blue", rail));
  says(spec, "nothing is called 'node0/nic9'");
  spec = explicit_spec();
  spec.switches.push_back(spec.switches.front());
  says(spec, "two switches are called 'blue'");
  spec = explicit_spec();
  spec.switches.push_back({"node1/nic2", VertexKind::packet_switch, false, {}});
  says(spec, "'node1/nic2' is already the name of another vertex");
  spec = cluster_of(bare_nodes(20, 1), network_of(Shape::switched));
  spec.nodes.push_back(bare_nodes(2, 1));
  spec.nodes.back().name = "node1";  // its node 0 is called node10
  says(spec, "two vertices are called 'node10/gpu0'");
  spec.nodes.back().name = "node";
  says(spec, "two node groups are called 'node'");
  spec.networks[0].groups = {"nodes"};
  spec.nodes.pop_back();
  says(spec, "no node group 'nodes'");
}

TEST_CASE("a graph that does not join all accelerators is refused, one of them named") {
  ClusterSpec spec = bare_spec();
  spec.nodes = {dgx_nodes(2, 2)};
  says(spec, "no path to 'node1/gpu0' from 'node0/gpu0'");
  spec = explicit_spec();
  for (ExplicitLink& link : spec.links)
    if (link.from == "node1/nic0") link.duplex = false;
  CHECK(message_of(spec).empty());  // the NVSwitch still leads back through another NIC
  for (ExplicitLink& link : spec.links) link.duplex = link.from.starts_with("node1") ? false : true;
  says(spec, "no path to 'node1/gpu0' from 'node0/gpu0'");
}

TEST_CASE("parallel links of different classes are refused") {
  ClusterSpec spec = cluster_of(dgx_nodes(4, 2), fat_tree(Shape::rail_fat_tree, 2, 1, 0));
  spec.links = {explicit_link("rail0/leaf0", "spine0", core)};
  says(spec, "there is already a link of class 'spine'");
}

TEST_CASE("power and cost add up accelerators and links, lane by lane") {
  // Two chips, a ring of two: one pair, two lanes each way. 2 x 700 + 4 x 2 W; 2 x 25000 + 4 x 10
  // $.
  const ClusterSummary summary = summarize(built(grid_spec(Shape::ring, {2})));
  CHECK(summary.power.value == Approx(1408));
  CHECK(summary.cost.value == Approx(50040));
  CHECK(summary.links == 2);
  REQUIRE(summary.link_classes.size() == 1);
  CHECK(summary.link_classes[0].name == "rail");
  CHECK(summary.link_classes[0].count == 2);
}

TEST_CASE("a million accelerators build within a gigabyte, and a route costs microseconds",
          "[.big]") {
  using Clock = std::chrono::steady_clock;
  const auto since = [](Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  const auto start = Clock::now();
  ClusterSpec spec = cluster_of(dgx_nodes(131072), fat_tree(Shape::rail_fat_tree, 3, 32, 8));
  spec.routing.mode = RoutingMode::d_mod_k;
  const Cluster cluster = built(spec);
  const double build = since(start);
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const double gibibytes = static_cast<double>(usage.ru_maxrss) / (1 << 20);
  std::cout << cluster.accelerators() << " accelerators, " << cluster.graph.links()
            << " links: " << build << " s, " << gibibytes << " GiB\n";
  CHECK(cluster.accelerators() == 1 << 20);
  CHECK(gibibytes <= 1);
  const Router router(cluster);
  std::mt19937_64 random(1);
  const auto routing = Clock::now();
  std::size_t links = 0;
  for (int i = 0; i < 100000; ++i)
    links += router.between({static_cast<int>(random() >> 44)}, {static_cast<int>(random() >> 44)})
                 .links.size();
  std::cout << since(routing) * 10 << " us a route of " << static_cast<double>(links) / 1e5
            << " links\n";
}
