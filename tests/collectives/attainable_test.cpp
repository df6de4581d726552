#include "collectives/attainable.hpp"

#include <catch2/catch.hpp>
#include <chrono>
#include <random>

#include "bound_topologies.hpp"
#include "collectives/bound/tree_packing.hpp"

using namespace railwright;
using namespace railwright::collectives;
using namespace railwright::collectives::test;

namespace {

constexpr Operation operations[] = {Operation::all_gather, Operation::reduce_scatter,
                                    Operation::broadcast,  Operation::reduce,
                                    Operation::all_reduce, Operation::send};

Attainable whole(Operation operation, const Cluster& cluster) {
  const auto attainable = attainable_of(operation, everybody(cluster), cluster);
  REQUIRE(attainable);
  return *attainable;
}

double gigabytes(Operation operation, const Cluster& cluster) {
  return in_gigabytes_per_second(whole(operation, cluster).algorithm_bandwidth);
}

// Seven GPUs at 450 on a switch and one at 225.
Cluster one_slow() {
  GraphBuilder builder;
  const auto fast = wire(builder, 450), slow = wire(builder, 225);
  const VertexId gpu = builder.add_block(VertexKind::accelerator, "node{}/gpu{}", {1, 8});
  const VertexId crossbar = builder.add_block(VertexKind::packet_switch, "node{}/nvswitch", {1});
  for (int g = 0; g < 8; ++g) builder.add_duplex(offset(gpu, g), crossbar, g == 5 ? slow : fast);
  return cluster_of(std::move(builder), 1, 8);
}

// A ring of links each way, chords, and switches; both directions alike unless `skewed`.
Cluster random_cluster(std::uint64_t seed, bool skewed, double scale = 1) {
  std::mt19937_64 random(seed);
  const int ranks = 2 + static_cast<int>(random() % 6),
            all = ranks + static_cast<int>(random() % 3);
  GraphBuilder builder;
  const auto link = wire(builder, scale);
  builder.add_block(VertexKind::accelerator, "node{}/gpu", {ranks});
  if (all > ranks) builder.add_block(VertexKind::packet_switch, "s{}", {all - ranks});
  const auto add = [&](int a, int b) {
    const int lanes = 1 + static_cast<int>(random() % 5);
    builder.add_link({a}, {b}, link, lanes);
    builder.add_link({b}, {a}, link, skewed ? 1 + static_cast<int>(random() % 5) : lanes);
  };
  for (int v = 0; v < all; ++v) add(v, (v + 1) % all);
  for (int extra = 0; extra < all; ++extra) {
    const int a = static_cast<int>(random() % all), b = static_cast<int>(random() % all);
    if (a != b) add(a, b);
  }
  return cluster_of(std::move(builder), ranks, 1);
}

}  // namespace

// Mesh: 24 links of 50 under trees of 15. Switch: 8 x 450 under paths of 14 ends. One slow GPU: the
// whole vector goes into it.
TEST_CASE("all-reduce attains what spanning trees do, beyond a reduce-scatter and an all-gather") {
  const Attainable mesh = whole(Operation::all_reduce, grid({4, 4}, false, 50));
  CHECK(in_gigabytes_per_second(mesh.algorithm_bandwidth) == Approx(80).epsilon(1e-9));
  CHECK(mesh.exact);
  CHECK(mesh.how.find("trees") != std::string::npos);
  CHECK(gigabytes(Operation::all_reduce, grid({4, 4}, true, 50)) == Approx(3200.0 / 30));
  CHECK(gigabytes(Operation::all_reduce, boxes_of_eight(1, 450, 50, 8)) == Approx(3600.0 / 14));
  CHECK(gigabytes(Operation::all_reduce, one_slow()) == Approx(225));
  CHECK(gigabytes(Operation::all_gather, one_slow()) == Approx(8 * 225.0 / 7));
}

// "RS+AG algbw" of the reference: attained, so nothing less may come out.
TEST_CASE("the fourteen topologies attain their bounds, and all-reduce the published values") {
  struct Known {
    Cluster cluster;
    double in_turn;
  };
  const Known known[] = {{boxes_of_eight(1, 300, 25, 2), 171.429},
                         {boxes_of_eight(2, 300, 25, 2), 173.333},
                         {boxes_of_eight(4, 300, 25, 2), 133.333},
                         {mi250(1), 171.429},
                         {mi250(2), 177.067},
                         {boxes_of_eight(1, 450, 50, 8), 257.143},
                         {boxes_of_eight(2, 450, 50, 8), 266.667},
                         {boxes_of_eight(4, 450, 50, 8), 258.065},
                         {boxes_of_eight(16, 450, 50, 8), 213.333},
                         {grid({4, 4}, false, 50), 53.333},
                         {grid({4, 4}, true, 50), 106.667},
                         {grid({4, 4, 4}, true, 50), 152.381},
                         {grid({2, 2, 2}, false, 50), 85.714},
                         {grid({8}, true, 50), 57.143}};
  for (const Known& one : known) {
    INFO(one.cluster.accelerators() << " ranks, " << one.in_turn);
    CHECK(gigabytes(Operation::all_reduce, one.cluster) >= one.in_turn * (1 - 5e-6));
    for (const Operation operation : operations) {
      INFO(to_string(operation));
      const Attainable attainable = whole(operation, one.cluster);
      CHECK(attainable.exact);
      CHECK(attainable.algorithm_bandwidth ==
            bound_of(operation, everybody(one.cluster), one.cluster)->algorithm_bandwidth);
    }
  }
}

TEST_CASE("nothing attainable is above its bound, and the gap between them is named") {
  for (std::uint64_t seed = 1; seed <= 120; ++seed) {
    INFO("seed " << seed);
    const Cluster cluster = random_cluster(seed, seed % 2 == 0);
    for (const Operation operation : operations) {
      INFO(to_string(operation));
      const Attainable attainable = whole(operation, cluster);
      const double bound =
          bound_of(operation, everybody(cluster), cluster)->algorithm_bandwidth.bytes_per_second;
      CHECK(attainable.algorithm_bandwidth.bytes_per_second <= bound);
      CHECK(attainable.algorithm_bandwidth.bytes_per_second > 0);
      CHECK(attainable.gap ==
            Approx(1 - attainable.algorithm_bandwidth.bytes_per_second / bound).margin(1e-12));
      CHECK(attainable.exact == (attainable.gap == 0));
    }
  }
}

TEST_CASE("faster links attain more, in proportion") {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    INFO("seed " << seed);
    for (const Operation operation : operations)
      CHECK(gigabytes(operation, random_cluster(seed, seed % 2 == 0, 7)) ==
            Approx(7 * gigabytes(operation, random_cluster(seed, seed % 2 == 0))).epsilon(3e-5));
  }
}

TEST_CASE("packed trees join all ranks and overload no link") {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    INFO("seed " << seed);
    const Cluster cluster = random_cluster(seed, false);
    std::vector<int> ranks;
    for (int a = 0; a < cluster.accelerators(); ++a) ranks.push_back(a);
    const UndirectedNetwork network = undirected(cluster.graph, ranks);
    const TreePacking packing = packed_trees(network);
    CHECK(packing.rate >= packing.bound * (1 - 3e-6));
    std::vector<double> load(network.links.size(), 0);
    double rate = 0;
    for (const SpanningTree& tree : packing.trees) {
      REQUIRE(tree.edges.size() + 1 == ranks.size());
      rate += tree.weight;
      for (const SpanningTree::Edge& edge : tree.edges) {
        int at = edge.a;
        for (const int l : edge.way) {
          REQUIRE((network.links[l].a == at || network.links[l].b == at));
          at = network.links[l].a == at ? network.links[l].b : network.links[l].a;
          load[l] += tree.weight;
        }
        CHECK(at == edge.b);
      }
    }
    CHECK(rate == Approx(packing.rate));
    for (std::size_t l = 0; l < load.size(); ++l)
      CHECK(load[l] <= network.links[l].capacity * (1 + 1e-9));
  }
}

TEST_CASE("bound and attainable rate of 512 GPUs on two tiers take seconds at most") {
  const auto cluster = topology::load_cluster("dgx-h100");
  REQUIRE(cluster);
  std::vector<AcceleratorId> members(512);
  for (int a = 0; a < 512; ++a) members[a] = {a};
  const auto start = std::chrono::steady_clock::now();
  for (const Operation operation : {Operation::all_gather, Operation::all_reduce}) {
    const auto attainable = attainable_of(operation, members, *cluster);
    REQUIRE(attainable);
    CHECK(attainable->exact);
  }
  const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - start;
  INFO(wall.count() << " s");
  CHECK(wall.count() < 5);
}

// One GPU of each of four nodes has its own NIC of 50 GB/s, over which three quarters come in:
// 50 x 4 / 3. The bound grants them the other NICs of the nodes, through GPUs that pass nothing on.
TEST_CASE("ranks attain nothing through accelerators outside the group") {
  const auto cluster = topology::load_cluster("dgx-h100-4");
  REQUIRE(cluster);
  const std::vector<AcceleratorId> members = {{0}, {8}, {16}, {24}};
  const auto attainable = attainable_of(Operation::all_gather, members, *cluster);
  REQUIRE(attainable);
  CHECK(attainable->exact);
  CHECK(in_gigabytes_per_second(attainable->algorithm_bandwidth) == Approx(200.0 / 3));
  const auto bound = bound_of(Operation::all_gather, members, *cluster);
  REQUIRE(bound);
  CHECK(attainable->algorithm_bandwidth < bound->algorithm_bandwidth);
}

TEST_CASE("what has no bound has no attainable rate") {
  const Cluster ring = grid({8}, true, 50);
  CHECK_FALSE(attainable_of(Operation::all_to_all, everybody(ring), ring));
  CHECK_FALSE(attainable_of(Operation::all_gather, {{3}}, ring));
}
