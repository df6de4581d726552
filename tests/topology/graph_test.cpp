#include "topology/graph.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <random>
#include <set>

#include "tests/topology/specs.hpp"

using namespace railwright;
using namespace railwright::topology;

TEST_CASE("every vertex of every shape is found by its name") {
  for (const auto& [name, spec] : all_shapes()) {
    INFO(name);
    const Graph graph = built(spec).graph;
    std::set<std::string> names;
    for (int v = 0; v < graph.vertices(); ++v) {
      const std::string vertex = graph.name_of(VertexId{v});
      CHECK(graph.vertex_named(vertex) == VertexId{v});
      names.insert(vertex);
    }
    CHECK(static_cast<int>(names.size()) == graph.vertices());
  }
}

TEST_CASE("links are sorted by source, then target, each pair once") {
  for (const auto& [name, spec] : all_shapes()) {
    INFO(name);
    const Graph graph = built(spec).graph;
    for (int l = 1; l < graph.links(); ++l)
      CHECK(std::pair(graph.source[l - 1], graph.target[l - 1]) <
            std::pair(graph.source[l], graph.target[l]));
    for (int v = 0; v < graph.vertices(); ++v)
      for (const int l : graph.links_from({v})) CHECK(graph.source[l] == v);
    CHECK(graph.first_link.back() == graph.links());
  }
}

TEST_CASE("link_between finds every link and nothing else") {
  for (const auto& [name, spec] : all_shapes()) {
    INFO(name);
    const Graph graph = built(spec).graph;
    int found = 0;
    for (int a = 0; a < graph.vertices(); ++a)
      for (int b = 0; b < graph.vertices(); ++b)
        if (const auto link = graph.link_between({a}, {b})) {
          ++found;
          CHECK(graph.source_of(*link) == VertexId{a});
          CHECK(graph.target_of(*link) == VertexId{b});
        }
    CHECK(found == graph.links());
  }
}

TEST_CASE("links are found by their names") {
  const Graph graph = built(all_shapes().at("rail fat-tree")).graph;
  for (int l = 0; l < graph.links(); ++l)
    CHECK(graph.link_named(graph.name_of(LinkId{l})) == LinkId{l});
  CHECK_FALSE(graph.link_named("node0/gpu0->node1/gpu0"));
  CHECK_FALSE(graph.link_named("node0/gpu0"));
}

TEST_CASE("names that only look right are refused") {
  const Graph graph = built(all_shapes().at("rail fat-tree")).graph;  // 6 nodes of 4
  for (const char* name : {"node6/gpu0", "node0/gpu4", "node00/gpu0", "node0/gpu", "node0/gpu01",
                           "node-1/gpu0", "node0/gpu0x", "", "node", "rail4/leaf0", "+0"})
    CHECK_FALSE(graph.vertex_named(name));
}

TEST_CASE("a repeated link becomes lanes, in any order of insertion") {
  std::mt19937_64 random(7);
  for (int round = 0; round < 50; ++round) {
    INFO("round " << round);
    GraphBuilder builder;
    builder.add_class(link_class("a", 10, 0));
    builder.add_block(VertexKind::packet_switch, "s{}", {9});
    std::map<std::pair<int, int>, int> expected;
    for (int i = 0; i < 60; ++i) {
      const int from = static_cast<int>(random() % 9), to = static_cast<int>(random() % 9);
      if (from == to) continue;
      const int lanes = 1 + static_cast<int>(random() % 3);
      builder.add_link({from}, {to}, {0}, lanes);
      expected[{from, to}] += lanes;
    }
    const Graph graph = std::move(builder).build();
    REQUIRE(graph.links() == static_cast<int>(expected.size()));
    for (const auto& [pair, lanes] : expected) {
      const auto link = graph.link_between({pair.first}, {pair.second});
      REQUIRE(link);
      CHECK(graph.capacity(*link) == lanes * gigabytes_per_second(10));
    }
  }
}

TEST_CASE("kinds follow the blocks") {
  const Cluster cluster = built(all_shapes().at("rail fat-tree"));
  const auto kind = [&](const char* name) {
    return cluster.graph.kind_of(*cluster.graph.vertex_named(name));
  };
  CHECK(kind("node5/gpu3") == VertexKind::accelerator);
  CHECK(kind("node5/pcie3") == VertexKind::host_bridge);
  CHECK(kind("node5/nic3") == VertexKind::nic);
  CHECK(kind("node5/switch") == VertexKind::packet_switch);
  CHECK(kind("rail3/leaf2") == VertexKind::packet_switch);
  CHECK(kind("spine1") == VertexKind::packet_switch);
}
