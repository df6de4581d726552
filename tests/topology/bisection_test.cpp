#include <algorithm>
#include <bit>
#include <catch2/catch.hpp>
#include <limits>

#include "tests/topology/specs.hpp"

using namespace railwright;
using namespace railwright::topology;

namespace {

// Maximum flow by augmenting along shortest paths; small graphs only.
class Flow {
 public:
  explicit Flow(const Cluster& cluster) : cluster_(cluster) {
    const Graph& graph = cluster.graph;
    size_ = graph.vertices() + 2;
    fresh_.assign(static_cast<std::size_t>(size_) * size_, 0);
    for (int l = 0; l < graph.links(); ++l)
      fresh_[graph.source[l] * size_ + graph.target[l]] =
          in_gigabytes_per_second(graph.capacity(LinkId{l}));
  }

  // The least capacity, GB/s, that separates these accelerators from the others.
  double cut(std::uint32_t half) {
    const int source = size_ - 2, sink = size_ - 1;
    left_ = fresh_;
    for (int a = 0; a < cluster_.accelerators(); ++a) {
      const int v = cluster_.vertex_of({a}).index;
      (half >> a & 1 ? left_[source * size_ + v] : left_[v * size_ + sink]) = 1e9;
    }
    double total = 0;
    while (const double more = augment(source, sink)) total += more;
    return total;
  }

 private:
  double augment(int source, int sink) {
    std::vector<int> before(size_, -1), queue{source};
    before[source] = source;
    for (std::size_t i = 0; i < queue.size() && before[sink] < 0; ++i)
      for (int v = 0; v < size_; ++v)
        if (before[v] < 0 && left_[queue[i] * size_ + v] > 1e-9) {
          before[v] = queue[i];
          queue.push_back(v);
        }
    if (before[sink] < 0) return 0;
    double room = 1e18;
    for (int v = sink; v != source; v = before[v])
      room = std::min(room, left_[before[v] * size_ + v]);
    for (int v = sink; v != source; v = before[v]) {
      left_[before[v] * size_ + v] -= room;
      left_[v * size_ + before[v]] += room;
    }
    return room;
  }

  const Cluster& cluster_;
  int size_;
  std::vector<double> fresh_, left_;
};

// Over every half of the accelerators.
double brute_force(const Cluster& cluster) {
  Flow flow(cluster);
  const int n = cluster.accelerators();
  double best = std::numeric_limits<double>::infinity();
  for (std::uint32_t half = 0; half < 1u << n; ++half)
    if (std::popcount(half) == n / 2) best = std::min(best, flow.cut(half));
  return best;
}

void check_against_brute_force(const ClusterSpec& spec, bool exact) {
  const Cluster cluster = built(spec);
  const Bisection bisection = bisection_of(cluster);
  INFO(bisection.method);
  CHECK(bisection.exact == exact);
  CHECK(in_gigabytes_per_second(bisection.bandwidth) == Approx(brute_force(cluster)));
}

ClusterSpec narrow_spine(ClusterSpec spec, double gigabytes) {
  spec.link_classes[3] = link_class("spine", gigabytes, 700);
  spec.link_classes[4] = link_class("core", gigabytes, 700);
  return spec;
}

}  // namespace

TEST_CASE("closed forms inside a node agree with brute force") {
  for (int n = 2; n <= 7; ++n) {
    INFO(n << " accelerators");
    check_against_brute_force(node_spec(Shape::switched, n), true);
    check_against_brute_force(node_spec(Shape::full_mesh, n), true);
    check_against_brute_force(node_spec(Shape::ring, n), true);
  }
}

TEST_CASE("closed forms of meshes and tori agree with brute force, even sizes and odd") {
  for (const Shape shape : {Shape::mesh, Shape::torus})
    for (const std::vector<int>& dimensions :
         {std::vector{6}, {7}, {3, 3}, {4, 3}, {2, 5}, {5, 2}, {2, 2, 2}, {3, 2, 2}, {1, 4}}) {
      INFO(static_cast<int>(shape)
           << ": " << dimensions.size() << " dimensions, first " << dimensions.front());
      check_against_brute_force(grid_spec(shape, dimensions), true);
    }
}

TEST_CASE("closed forms of fat-trees of chips agree with brute force") {
  for (const double over : {1.0, 2.0})
    for (const int chips : {4, 7, 8, 10})
      for (const double gigabytes : {50.0, 20.0}) {
        INFO(chips << " chips, oversubscription " << over << ", spine " << gigabytes);
        check_against_brute_force(
            narrow_spine(cluster_of(bare_nodes(chips, 1), fat_tree(Shape::fat_tree, 2, 4, 0, over)),
                         gigabytes),
            true);
        check_against_brute_force(
            narrow_spine(cluster_of(bare_nodes(chips, 1), fat_tree(Shape::fat_tree, 3, 2, 2, over)),
                         gigabytes),
            true);
      }
}

TEST_CASE("closed forms of NVSwitch nodes on a network agree with brute force") {
  check_against_brute_force(cluster_of(dgx_nodes(4, 2), network_of(Shape::switched)), true);
  check_against_brute_force(cluster_of(dgx_nodes(2, 4, 2), network_of(Shape::switched)), true);
  for (const double over : {1.0, 2.0})
    for (const int nodes : {2, 4}) {
      INFO(nodes << " nodes, oversubscription " << over);
      check_against_brute_force(
          cluster_of(dgx_nodes(nodes, 2), fat_tree(Shape::rail_fat_tree, 2, 2, 0, over)), true);
      check_against_brute_force(
          cluster_of(dgx_nodes(nodes, 2), fat_tree(Shape::fat_tree, 2, 4, 0, over)), true);
      check_against_brute_force(
          cluster_of(dgx_nodes(2, nodes), fat_tree(Shape::fat_tree, 2, 2, 0, over)), true);
    }
  check_against_brute_force(cluster_of(dgx_nodes(4, 2), fat_tree(Shape::rail_fat_tree, 3, 2, 1, 2)),
                            true);
}

// 64 of 128 nodes, 8 NICs each, 400 Gb/s: 25.6 TB/s; two units of 8 leaves, 32 uplinks each, say
// the same.
TEST_CASE("a DGX SuperPOD of full bisection is cut at the NICs of half of its nodes") {
  const auto superpod = [](double over) {
    return bisection_of(
        built(cluster_of(dgx_nodes(128), fat_tree(Shape::rail_fat_tree, 2, 32, 0, over))));
  };
  CHECK(in_gigabytes_per_second(superpod(1).bandwidth) == Approx(25600));
  CHECK(in_gigabytes_per_second(superpod(2).bandwidth) == Approx(12800));
  CHECK(superpod(1).method == "closed form (rail fat-tree)");
}

TEST_CASE("the search finds the best cut of small graphs without a formula") {
  check_against_brute_force(explicit_spec(), false);
  check_against_brute_force(grid_spec(Shape::torus, {2, 4}, {{0, 1, 2}}), false);
  check_against_brute_force(cluster_of(dgx_nodes(4, 2, 2), network_of(Shape::ring)), false);
  check_against_brute_force(dragonfly_spec(10, 2, 2, 1), false);
  check_against_brute_force(cluster_of(dgx_nodes(5, 2), fat_tree(Shape::rail_fat_tree, 2, 2, 0)),
                            false);
}

TEST_CASE("the search agrees with the closed form where an unrelated link switches it off") {
  for (const ClusterSpec& plain :
       {grid_spec(Shape::torus, {8, 8}), grid_spec(Shape::mesh, {6, 6, 4}),
        cluster_of(dgx_nodes(16, 4), fat_tree(Shape::rail_fat_tree, 2, 4, 0, 2))}) {
    const Bisection exact = bisection_of(built(plain));
    ClusterSpec spec = plain;
    spec.switches = {{"spare", VertexKind::packet_switch, false, {}}};
    spec.links = {explicit_link("spare", "node0/gpu0", rail)};
    const Bisection searched = bisection_of(built(spec));
    CHECK(exact.exact);
    CHECK_FALSE(searched.exact);
    CHECK(searched.bandwidth.bytes_per_second == Approx(exact.bandwidth.bytes_per_second));
  }
}
