// Bounds of quotients against bounds of whole networks.
#include "collectives/bound/folding.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <random>

#include "bound_topologies.hpp"
#include "collectives/attainable.hpp"

using namespace railwright;
using namespace railwright::collectives;
using namespace railwright::collectives::test;

namespace {

constexpr Operation exact[] = {Operation::all_gather, Operation::reduce_scatter,
                               Operation::broadcast, Operation::reduce, Operation::send};

// `boxes` boxes of `inside` accelerators and one switch each; wires at random between the places of
// a box and those of the box so many boxes on, every box alike. `broken`: so many wires have rates
// of their own.
Cluster turning_boxes(std::uint64_t seed, int broken) {
  std::mt19937_64 random(seed);
  const auto below = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  const int boxes = 2 + below(6), inside = 1 + below(3), places = inside + 1;
  GraphBuilder builder;
  const auto link = wire(builder, 1);
  const VertexId first =
      builder.add_block(VertexKind::accelerator, "node{}/gpu{}", {boxes, inside});
  const VertexId crossbar = builder.add_block(VertexKind::packet_switch, "node{}/switch", {boxes});
  const auto vertex = [&](int box, int place) {
    return place < inside ? offset(first, box * inside + place) : offset(crossbar, box);
  };
  const auto add = [&](int from, int to, int boxes_on) {
    const int lanes = 1 + below(5), back = random() % 2 == 0 ? lanes : 1 + below(5);
    for (int box = 0; box < boxes; ++box) {
      const VertexId a = vertex(box, from), b = vertex((box + boxes_on) % boxes, to);
      if (a == b) continue;
      const int more = broken > 0 && below(4) == 0 ? 1 + below(3) : 0;
      broken -= more > 0 ? 1 : 0;
      builder.add_link(a, b, link, lanes + more);
      builder.add_link(b, a, link, back);
    }
  };
  for (int place = 0; place < inside; ++place) add(place, inside, 0);
  add(inside, inside, 1);
  for (int extra = below(4); extra > 0; --extra) add(below(places), below(places), below(boxes));
  return cluster_of(std::move(builder), boxes, inside);
}

// n / time, units per second, on quotients whatever the size.
double folded(Operation operation, const std::vector<AcceleratorId>& members,
              const Cluster& cluster, int root = 0) {
  const Ranks ranks(members, cluster);
  const bool rooted = operation == Operation::broadcast || operation == Operation::reduce;
  const Folding folding(ranks, rooted ? ranks.vertices()[root] : -1);
  const auto limit = folded_limit(operation, ranks, folding, root);
  REQUIRE(limit);
  return static_cast<double>(ranks.rates().unit) * static_cast<double>(limit->capacity) /
         static_cast<double>(limit->demand);
}

std::size_t kinds(const Cluster& cluster) {
  const Ranks ranks(everybody(cluster), cluster);
  return Folding(ranks).orbits().size();
}

void check_equal(const std::vector<AcceleratorId>& members, const Cluster& cluster, int root = 0) {
  for (const Operation operation : exact) {
    INFO(to_string(operation));
    const auto plain = bound_of(operation, members, cluster, root);
    REQUIRE(plain);
    CHECK(folded(operation, members, cluster, root) ==
          Approx(plain->algorithm_bandwidth.bytes_per_second));
  }
}

}  // namespace

TEST_CASE("bounds of quotients equal those of whole networks, whatever is alike") {
  std::size_t smaller = 0;
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    INFO("seed " << seed);
    const Cluster cluster = turning_boxes(seed, seed % 3 == 0 ? static_cast<int>(seed % 4) : 0);
    const auto all = everybody(cluster);
    check_equal(all, cluster, static_cast<int>(seed) % cluster.accelerators());
    if (kinds(cluster) < all.size()) ++smaller;
    if (all.size() < 4) continue;
    std::vector<AcceleratorId> half;
    for (std::size_t i = 0; i < all.size(); i += 2) half.push_back(all[i]);
    check_equal(half, cluster);
  }
  CHECK(smaller > 150);
}

TEST_CASE("bounds of quotients equal those of whole networks on known shapes") {
  for (const Cluster& cluster : {boxes_of_eight(4, 300, 25, 2), boxes_of_eight(16, 450, 50, 8),
                                 mi250(2), grid({4, 4}, false, 50), grid({4, 4, 4}, true, 50),
                                 grid({2, 2, 2}, false, 50), grid({5, 3}, true, 50)}) {
    check_equal(everybody(cluster), cluster, 3);
    const double plain = bound_of(Operation::all_reduce, everybody(cluster), cluster)
                             ->algorithm_bandwidth.bytes_per_second;
    CHECK(folded(Operation::all_reduce, everybody(cluster), cluster) >= plain * (1 - 1e-12));
  }
}

// One kind of GPU each. All-reduce: nodes (16 x 400 / 30), ranks of a torus (3200 / 30 GB/s).
TEST_CASE("regular shapes have one kind of rank, and blocks that bound an all-reduce") {
  CHECK(kinds(grid({4, 4, 4}, true, 50)) == 1);
  CHECK(kinds(grid({6}, true, 50)) == 1);
  const Cluster boxes = boxes_of_eight(16, 450, 50, 8);
  CHECK(kinds(boxes) == 1);
  CHECK(folded(Operation::all_reduce, everybody(boxes), boxes) == Approx(16 * 400e9 / 30));
  CHECK(folded(Operation::all_to_all, everybody(boxes), boxes) == Approx(128 * 400e9 / (8 * 120)));
  const Cluster torus = grid({4, 4}, true, 50);
  CHECK(folded(Operation::all_reduce, everybody(torus), torus) == Approx(3200e9 / 30));
}

TEST_CASE("bounds of quotients do not depend on the order of the ranks") {
  const Cluster boxes = boxes_of_eight(16, 450, 50, 8);
  const auto given = everybody(boxes);
  auto turned = given;
  std::ranges::reverse(turned);
  std::ranges::rotate(turned, turned.begin() + 13);
  for (std::size_t i = 0; i + 7 < turned.size(); i += 5) std::swap(turned[i], turned[i + 7]);
  for (const Operation operation : {Operation::all_gather, Operation::reduce_scatter,
                                    Operation::all_reduce, Operation::all_to_all})
    CHECK(folded(operation, turned, boxes) == folded(operation, given, boxes));
}

// Every corner has two neighbours and a link to the hub, so colours tell none apart, but into a
// triangle lead three links of 1 for 9 others, into the hexagon six for 6.
TEST_CASE("a hexagon and two triangles on one hub are two kinds of ranks") {
  GraphBuilder builder;
  const auto strong = wire(builder, 100), weak = wire(builder, 1);
  const VertexId corner = builder.add_block(VertexKind::accelerator, "node{}/gpu", {12});
  const VertexId hub = builder.add_block(VertexKind::packet_switch, "hub{}", {1});
  for (int i = 0; i < 6; ++i)
    builder.add_duplex(offset(corner, i), offset(corner, (i + 1) % 6), strong);
  for (int i = 0; i < 6; ++i)
    builder.add_duplex(offset(corner, 6 + i), offset(corner, 6 + i / 3 * 3 + (i + 1) % 3), strong);
  for (int i = 0; i < 12; ++i) builder.add_duplex(offset(corner, i), hub, weak);
  const Cluster cluster = cluster_of(std::move(builder), 12, 1);
  const Ranks ranks(everybody(cluster), cluster);
  const Entering into = entering(cluster.graph);
  const EquitablePartition partition(ranks.rates(), into,
                                     std::vector<int>(cluster.graph.vertices(), 0));
  CHECK(partition.classes() == 2);  // corners, hub
  CHECK(kinds(cluster) >= 2);
  check_equal(everybody(cluster), cluster, 7);
  CHECK(folded(Operation::all_gather, everybody(cluster), cluster) == Approx(12 * 3e9 / 9));
}

// 16^3 nodes of six ports of 50: 4096 x 300 / 4095 for an all-gather, half of it for an all-reduce.
TEST_CASE("4,096 ranks of a torus have a bound, and it is attained") {
  const Cluster torus = grid({16, 16, 16}, true, 50);
  GroupLimits limits(everybody(torus), torus);
  const auto start = std::chrono::steady_clock::now();
  const auto gather = limits.bound(Operation::all_gather);
  REQUIRE(gather);
  CHECK(in_gigabytes_per_second(gather->algorithm_bandwidth) == Approx(4096 * 300.0 / 4095));
  const auto reduce = limits.attainable(Operation::all_reduce);
  REQUIRE(reduce);
  CHECK(reduce->exact);
  CHECK(in_gigabytes_per_second(reduce->algorithm_bandwidth) == Approx(4096 * 150.0 / 4095));
  const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - start;
  CHECK(wall.count() < 10);
}
