#include "collectives/bound.hpp"

#include <catch2/catch.hpp>
#include <chrono>
#include <cstdint>
#include <numeric>
#include <random>

#include "bound_topologies.hpp"
#include "collectives/bound/ranks.hpp"

using namespace railwright;
using namespace railwright::collectives;
using namespace railwright::collectives::test;

namespace {

Bound whole_bound(Operation operation, const Cluster& cluster) {
  const auto bound = bound_of(operation, everybody(cluster), cluster);
  REQUIRE(bound);
  return *bound;
}

double gigabytes(Operation operation, const Cluster& cluster) {
  return in_gigabytes_per_second(whole_bound(operation, cluster).algorithm_bandwidth);
}

// Strongly connected: a ring of links, and as many others at random; `ranks` accelerators, then
// switches. Rates are 1 to 9 GB/s each way.
struct RandomGraph {
  struct Wire {
    int from, to, lanes;
  };
  int ranks, vertices;
  std::vector<Wire> wires;

  explicit RandomGraph(std::uint64_t seed) {
    std::mt19937_64 random(seed);
    ranks = 2 + static_cast<int>(random() % 4);
    vertices = ranks + static_cast<int>(random() % 4);
    const auto add = [&](int from, int to) {
      wires.push_back({from, to, 1 + static_cast<int>(random() % 9)});
    };
    for (int v = 0; v < vertices; ++v) add(v, (v + 1) % vertices);
    for (int extra = 0; extra < 2 * vertices; ++extra) {
      const int from = static_cast<int>(random() % vertices);
      const int to = static_cast<int>(random() % vertices);
      if (from != to) add(from, to);
    }
  }

  Cluster cluster(double gigabytes = 1) const {
    GraphBuilder builder;
    const auto link = wire(builder, gigabytes);
    builder.add_block(VertexKind::accelerator, "node{}/gpu", {ranks});
    if (vertices > ranks) builder.add_block(VertexKind::packet_switch, "s{}", {vertices - ranks});
    for (const Wire& w : wires) builder.add_link({w.from}, {w.to}, link, w.lanes);
    return cluster_of(std::move(builder), ranks, 1);
  }

  // GB/s that leave the set of vertices with these bits.
  int leaving(unsigned set) const {
    int sum = 0;
    for (const Wire& w : wires)
      if ((set >> w.from & 1) && !(set >> w.to & 1)) sum += w.lanes;
    return sum;
  }
  int ranks_in(unsigned set) const { return __builtin_popcount(set & ((1u << ranks) - 1)); }
};

// Least n / time over all sets, as the definitions say.
double by_enumeration(const RandomGraph& graph, Operation operation) {
  const int p = graph.ranks;
  const auto in = [](unsigned set, int rank) { return (set >> rank & 1) != 0; };
  double least = 1e300;
  for (unsigned set = 1; set + 1 < 1u << graph.vertices; ++set) {
    const double out = graph.leaving(set);
    const double back = graph.leaving(~set & ((1u << graph.vertices) - 1));
    const int held = graph.ranks_in(set);
    const bool split = held > 0 && held < p;
    if (operation == Operation::all_gather && split) least = std::min(least, p * out / held);
    if (operation == Operation::reduce_scatter && split) least = std::min(least, p * back / held);
    if (operation == Operation::broadcast && in(set, 0) && split) least = std::min(least, out);
    if (operation == Operation::send && in(set, 0) && !in(set, p - 1)) least = std::min(least, out);
    if (operation == Operation::all_reduce && split) least = std::min(least, out);
    if (operation == Operation::all_to_all && split)
      least = std::min(least, p * out / (held * (p - held)));
  }
  return least;
}

// Least B+(S) over sets whose ranks are just these.
int leaving_ranks(const RandomGraph& graph, unsigned ranks) {
  int least = INT32_MAX;
  for (unsigned others = 0; others < 1u << (graph.vertices - graph.ranks); ++others)
    least = std::min(least, graph.leaving(ranks | others << graph.ranks));
  return least;
}

// Least sum B+(S_i) / (2 (k-1)) over all partitions of the ranks that are left, given some parts.
double by_partitions(const RandomGraph& graph, unsigned left, int parts, int sum) {
  if (left == 0) return parts < 2 ? 1e300 : sum / (2.0 * (parts - 1));
  const unsigned first = left & -left, rest = left ^ first;
  double least = 1e300;
  for (unsigned more = rest;; more = (more - 1) & rest) {
    const unsigned part = first | more;
    if (part != (1u << graph.ranks) - 1)
      least = std::min(
          least, by_partitions(graph, left ^ part, parts + 1, sum + leaving_ranks(graph, part)));
    if (more == 0) return least;
  }
}

RandomGraph reversed(RandomGraph graph) {
  for (RandomGraph::Wire& w : graph.wires) std::swap(w.from, w.to);
  return graph;
}

constexpr Operation exact[] = {Operation::all_gather, Operation::reduce_scatter,
                               Operation::broadcast, Operation::send};

struct Golden {
  const char* name;
  Cluster cluster;
  std::int64_t numerator, denominator;  // GB/s per root
};

// docs/collectives.md; the fractions were computed independently of this code.
std::vector<Golden> golden_topologies() {
  return {{"A100 1x8", boxes_of_eight(1, 300, 25, 2), 300, 7},
          {"A100 2x8", boxes_of_eight(2, 300, 25, 2), 325, 15},
          {"A100 4x8", boxes_of_eight(4, 300, 25, 2), 200, 24},
          {"MI250 1x16", mi250(1), 300, 14},
          {"MI250 2x16", mi250(2), 332, 30},
          {"H100 1x8", boxes_of_eight(1, 450, 50, 8), 450, 7},
          {"H100 2x8", boxes_of_eight(2, 450, 50, 8), 500, 15},
          {"H100 4x8", boxes_of_eight(4, 450, 50, 8), 500, 31},
          {"H100 16x8", boxes_of_eight(16, 450, 50, 8), 400, 120},
          {"mesh 4x4", grid({4, 4}, false, 50), 100, 15},
          {"torus 4x4", grid({4, 4}, true, 50), 200, 15},
          {"torus 4x4x4", grid({4, 4, 4}, true, 50), 300, 63},
          {"hypercube 2x2x2", grid({2, 2, 2}, false, 50), 150, 7},
          {"ring of 8", grid({8}, true, 50), 100, 7}};
}

}  // namespace

TEST_CASE("the all-gather optimum of fourteen topologies is the published fraction, exactly") {
  for (const Golden& golden : golden_topologies()) {
    INFO(golden.name);
    Ranks ranks(everybody(golden.cluster), golden.cluster);
    for (const Direction direction : {Direction::forward, Direction::reversed}) {
      FlowNetwork& network = ranks.network(direction);
      const Cut cut = tightest_cut(network, ranks.all_to_everyone());
      // capacity / weight = numerator / denominator, in whole numbers.
      CHECK(cut.capacity * network.unit() * golden.denominator ==
            golden.numerator * 1'000'000'000 * cut.weight);
    }
  }
}

TEST_CASE("the links of an all-gather bound are those of a cut, and carry just its capacity") {
  for (const Golden& golden : golden_topologies()) {
    INFO(golden.name);
    const Bound bound = whole_bound(Operation::all_gather, golden.cluster);
    INFO(bound.cut);
    double sum = 0;
    for (const auto link : bound.links) sum += golden.cluster.graph.capacity(link).bytes_per_second;
    const double per_root =
        bound.algorithm_bandwidth.bytes_per_second / golden.cluster.accelerators();
    const double held = sum / per_root;  // ranks on the near side
    CHECK(held == Approx(std::round(held)).epsilon(1e-12));
    CHECK(std::is_sorted(bound.links.begin(), bound.links.end()));
  }
}

TEST_CASE("a bound names its cut") {
  const Cluster h100 = boxes_of_eight(16, 450, 50, 8), a100 = boxes_of_eight(1, 300, 25, 2);
  const Bound box = whole_bound(Operation::all_gather, h100);
  CHECK(box.cut.rfind("120 ranks to node", 0) == 0);
  CHECK(box.links.size() == 8);
  const Bound gpu = whole_bound(Operation::all_gather, a100);
  CHECK(gpu.cut.rfind("node0 (7 ranks) to node0/gpu", 0) == 0);
  REQUIRE(gpu.links.size() == 1);
  const Bound boxes = whole_bound(Operation::all_reduce, h100);
  CHECK(boxes.cut == "16 nodes, each on its own");
  CHECK(boxes.links.size() == 128);
}

// 4x4 mesh: 48 directed links of 50, singletons: 2400 / 30. Torus: 3200 / 30. Switch: 3600 / 14.
// Seven at 450 and one at 225: all of the vector goes into the slow one.
TEST_CASE("the all-reduce bound is what is attained on meshes, tori and switches") {
  CHECK(gigabytes(Operation::all_reduce, grid({4, 4}, false, 50)) == Approx(80));
  CHECK(gigabytes(Operation::all_reduce, grid({4, 4}, true, 50)) == Approx(3200.0 / 30));
  CHECK(gigabytes(Operation::all_reduce, boxes_of_eight(1, 450, 50, 8)) == Approx(3600.0 / 14));
  GraphBuilder builder;
  const auto fast = wire(builder, 450), slow = wire(builder, 225);
  const VertexId gpu = builder.add_block(VertexKind::accelerator, "node{}/gpu{}", {1, 8});
  const VertexId crossbar = builder.add_block(VertexKind::packet_switch, "node{}/nvswitch", {1});
  for (int g = 0; g < 8; ++g) builder.add_duplex(offset(gpu, g), crossbar, g == 5 ? slow : fast);
  CHECK(gigabytes(Operation::all_reduce, cluster_of(std::move(builder), 1, 8)) == Approx(225));
}

TEST_CASE("an all-reduce bound is never below reduce-scatter and all-gather in turn") {
  for (const Golden& golden : golden_topologies()) {
    INFO(golden.name);
    const double gather = gigabytes(Operation::all_gather, golden.cluster);
    CHECK(gigabytes(Operation::all_reduce, golden.cluster) >= gather / 2 * (1 - 1e-12));
  }
}

// MI250: the ingress of a pair of dies binds the all-gather, 300 for 14 others. Eight pairs on
// their own give 8 x 300 / 14; sixteen dies only 56 x 2 x 50 / 30 = 186.7, one box nothing. A100:
// four boxes of 200 give 800 / 6.
TEST_CASE("groups that the all-gather cuts suggest are tried for all-reduce") {
  CHECK(gigabytes(Operation::all_reduce, mi250(1)) == Approx(8 * 300.0 / 14));
  CHECK(whole_bound(Operation::all_reduce, mi250(1)).cut == "8 groups, each on its own");
  CHECK(gigabytes(Operation::all_reduce, boxes_of_eight(4, 300, 25, 2)) == Approx(800.0 / 6));
}

TEST_CASE("bounds equal the enumeration of all cuts on random graphs with switches") {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    INFO("seed " << seed);
    const RandomGraph graph(seed);
    const Cluster cluster = graph.cluster();
    for (const Operation operation : exact) {
      INFO(to_string(operation));
      CHECK(gigabytes(operation, cluster) == Approx(by_enumeration(graph, operation)));
    }
    const double cuts = by_enumeration(graph, Operation::all_reduce);
    const unsigned all = (1u << graph.ranks) - 1;
    const double partitions =
        std::min(by_partitions(graph, all, 0, 0), by_partitions(reversed(graph), all, 0, 0));
    const double all_reduce = gigabytes(Operation::all_reduce, cluster);
    CHECK(all_reduce <= cuts * (1 + 1e-12));
    CHECK(all_reduce >= std::min(cuts, partitions) * (1 - 1e-12));
    CHECK(gigabytes(Operation::all_to_all, cluster) >=
          by_enumeration(graph, Operation::all_to_all) * (1 - 1e-12));
  }
}

TEST_CASE("scaling all rates scales every bound and keeps its cut") {
  constexpr Operation all[] = {Operation::all_reduce, Operation::reduce_scatter,
                               Operation::all_gather, Operation::broadcast,
                               Operation::all_to_all, Operation::send};
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    INFO("seed " << seed);
    const RandomGraph graph(seed);
    for (const Operation operation : all) {
      const Bound one = whole_bound(operation, graph.cluster());
      const Bound many = whole_bound(operation, graph.cluster(12.5));
      CHECK(many.algorithm_bandwidth.bytes_per_second ==
            Approx(12.5 * one.algorithm_bandwidth.bytes_per_second));
      CHECK(many.links == one.links);
      CHECK(many.cut == one.cut);
    }
  }
}

TEST_CASE("removing a link never improves an exact bound") {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    INFO("seed " << seed);
    RandomGraph graph(seed);
    const Cluster before = graph.cluster();
    graph.wires.pop_back();
    const Cluster after = graph.cluster();
    for (const Operation operation : exact)
      CHECK(gigabytes(operation, after) <= gigabytes(operation, before) * (1 + 1e-12));
  }
}

TEST_CASE("other accelerators forward for a group, so leaving ranks out never lowers all-gather") {
  const Cluster torus = grid({4, 4}, true, 50);
  // Two ranks far apart: all four links of each, 2 x 200.
  const auto two = bound_of(Operation::all_gather, {{0}, {10}}, torus);
  REQUIRE(two);
  CHECK(in_gigabytes_per_second(two->algorithm_bandwidth) == Approx(400));
}

TEST_CASE("fewer than two ranks have no bound, and no bytes no time") {
  const Cluster ring = grid({8}, true, 50);
  CHECK_FALSE(bound_of(Operation::all_reduce, {{3}}, ring));
  CHECK_FALSE(bound_of(Operation::all_reduce, {}, ring));
  const Bound bound = whole_bound(Operation::all_gather, ring);
  CHECK(bound_time(bound, Operation::all_gather, 8, {0}).value == 0);
  CHECK(bound_time(bound, Operation::all_gather, 8, {7}).value == 0);  // one part may be empty
  CHECK(bound_time(bound, Operation::all_gather, 8, {8}).value > 0);
}

TEST_CASE("rates that are no whole bytes per second are rounded up, never down") {
  const Cluster ring = grid({4}, true, 1.1e-9);
  CHECK(whole_bound(Operation::broadcast, ring).algorithm_bandwidth.bytes_per_second == 4);
}

// Nothing is alike in a mesh whose links have rates at random: 12,000 ranks of as many kinds.
TEST_CASE("a question too large to answer exactly in seconds has no answer, never a wrong one") {
  GraphBuilder builder;
  const auto link = wire(builder, 1);
  std::mt19937_64 random(1);
  const VertexId first = builder.add_block(VertexKind::accelerator, "node{}/gpu", {12'000});
  for (int v = 0; v < 12'000; ++v)
    for (const int on : {1, 110})
      builder.add_duplex(offset(first, v), offset(first, (v + on) % 12'000), link,
                         1 + static_cast<int>(random() % 1000));
  const Cluster mesh = cluster_of(std::move(builder), 12'000, 1);
  CHECK_FALSE(bound_of(Operation::all_gather, everybody(mesh), mesh));
  CHECK(bound_of(Operation::all_gather, {{0}, {1}, {17}}, mesh));
}

// 64 boxes of 8 with host bridges and NICs, on rails of two tiers: 10,240 links with the other
// 64 boxes of the cluster, which may forward. All-gather is held to one box: 512 x 400 / 504.
TEST_CASE("the bounds of 512 ranks on two tiers take seconds at most") {
  const auto cluster = topology::load_cluster("dgx-h100");
  REQUIRE(cluster);
  std::vector<AcceleratorId> members(512);
  for (int a = 0; a < 512; ++a) members[a] = {a};
  for (const Operation operation :
       {Operation::all_gather, Operation::all_reduce, Operation::all_to_all}) {
    const auto start = std::chrono::steady_clock::now();
    const auto bound = bound_of(operation, members, *cluster);
    const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - start;
    REQUIRE(bound);
    if (operation == Operation::all_gather)
      CHECK(in_gigabytes_per_second(bound->algorithm_bandwidth) == Approx(512 * 400.0 / 504));
    INFO(to_string(operation) << ": " << bound->cut);
    CHECK(wall.count() < 5);
  }
}
