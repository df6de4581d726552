#include <catch2/catch.hpp>
#include <random>

#include "collectives/cost.hpp"
#include "collectives/maker.hpp"
#include "collectives/proof.hpp"
#include "tests/collectives/groups.hpp"
#include "topology/topology.hpp"

using namespace railwright;
using namespace railwright::collectives;
using namespace railwright::collectives::test;
using topology::AcceleratorId;

namespace {

topology::LinkClass wire(const char* name, Bandwidth capacity, Seconds latency) {
  topology::LinkClass link;
  link.name = link.kind = name;
  link.capacity = capacity;
  link.latency = latency;
  return link;
}

topology::Cluster built(topology::ClusterSpec spec) {
  topology::AcceleratorKind kind;
  kind.name = "test-chip";
  kind.peak = {{topology::Precision::bf16, teraflops(100)}};
  kind.memory = gibibytes(80);
  kind.memory_bandwidth = gigabytes_per_second(2000);
  spec.accelerator_kinds = {kind};
  auto cluster = topology::build_cluster(std::move(spec));
  if (!cluster) FAIL(to_string(cluster.error()));
  return std::move(*cluster);
}

// One node of a shape; 50 GB/s and 2 us per link unless said otherwise.
topology::Cluster one_node(int accelerators, topology::Shape shape,
                           Bandwidth bandwidth = gigabytes_per_second(50),
                           Seconds latency = microseconds(2)) {
  topology::ClusterSpec spec;
  spec.name = "node";
  spec.link_classes = {wire("wire", bandwidth, latency)};
  topology::NodeGroup group;
  group.name = "node";
  group.accelerators = accelerators;
  group.scale_up = shape;
  group.scale_up_class = topology::ClassId{0};
  if (shape == topology::Shape::ring) group.scale_up_dimensions = {accelerators};
  spec.nodes = {group};
  return built(spec);
}

// Nodes of four on switches of 400 GB/s; a NIC of 50 GB/s per accelerator, all on one switch.
topology::Cluster nodes_of_four(int nodes) {
  topology::ClusterSpec spec;
  spec.name = "nodes";
  spec.link_classes = {wire("inside", gigabytes_per_second(400), microseconds(1)),
                       wire("pcie", gigabytes_per_second(60), microseconds(0.5)),
                       wire("network", gigabytes_per_second(50), microseconds(3))};
  topology::NodeGroup group;
  group.name = "node";
  group.count = nodes;
  group.accelerators = 4;
  group.scale_up = topology::Shape::switched;
  group.scale_up_class = topology::ClassId{0};
  group.nic = topology::NicSpec{topology::ClassId{1}, 1};
  spec.nodes = {group};
  topology::NetworkSpec network;
  network.name = "fabric";
  network.shape = topology::Shape::switched;
  network.edge_class = network.spine_class = network.global_class = topology::ClassId{2};
  spec.networks = {network};
  return built(spec);
}

std::vector<AcceleratorId> all_of(const topology::Cluster& cluster) {
  std::vector<AcceleratorId> members;
  for (int i = 0; i < cluster.accelerators(); ++i) members.push_back({i});
  return members;
}

// No efficiency, no software latency unless asked for.
topology::Calibration calibration_of(double software_latency = 0, double efficiency = 1) {
  topology::Calibration calibration;
  const auto entry = [&](const char* subject, const char* parameter, double value) {
    topology::CalibrationEntry e;
    e.subject = subject;
    e.parameter = parameter;
    e.value = value;
    calibration.entries.push_back(e);
  };
  entry("library:nccl", "software_latency", software_latency);
  entry("wire", "link_efficiency", efficiency);
  return calibration;
}

struct Lab {
  topology::Cluster cluster;
  topology::Calibration calibration = calibration_of();
  topology::Router router{cluster};
  std::vector<AcceleratorId> members = all_of(cluster);

  explicit Lab(topology::Cluster c) : cluster(std::move(c)) {}
  Lab(const Lab&) = delete;  // the router looks at the cluster
  std::vector<PhaseLoad> loads(const Schedule& schedule, Bytes size) const {
    return phase_loads(schedule, size, members, router, calibration);
  }
  Seconds time(const Schedule& schedule, Bytes size) const {
    return idle_time(loads(schedule, size), cluster.graph, calibration);
  }
};

// Chains in opposite directions: see cost_test.cpp.
bool is_only_a_bound(const Schedule& schedule) {
  const bool along =
      schedule.operation == Operation::broadcast || schedule.operation == Operation::reduce;
  return (along && schedule.channels > 1) || schedule.algorithm == Algorithm::double_tree;
}

// What a phase says of all its steps is so, not the most that any of them may take.
bool is_exact(const Schedule& schedule) {
  if (maker_of(schedule).samples) return true;
  return std::ranges::all_of(
      phases_of(schedule), [](const Phase& phase) { return phase.stationary || phase.steps == 1; });
}

}  // namespace

TEST_CASE("on one switch every schedule takes its closed form, calibration included") {
  for (int ranks = 2; ranks <= 17; ++ranks) {
    Lab lab(one_node(ranks, topology::Shape::switched));
    lab.calibration = calibration_of(5e-6, 0.8);
    // Two links of 2 us and 5 us of software; 80 % of 50 GB/s.
    const Hop hop{microseconds(9), gigabytes_per_second(40)};
    for (const Schedule& schedule : schedules_of(ranks))
      for (const std::uint64_t size : {0, 1, 1'000'003, 123'456'789}) {
        INFO(text_of(schedule) << ", " << size << " bytes");
        const Seconds closed = closed_form_time(schedule, bytes(size), hop);
        const Seconds idle = lab.time(schedule, bytes(size));
        if (schedule.algorithm == Algorithm::pat)  // some messages are shorter than the longest
          REQUIRE(idle.value >= closed.value * (1 - 1e-9) - 99 / 40e9);
        else if (is_only_a_bound(schedule))
          REQUIRE(idle.value <= closed.value * (1 + 1e-9));
        else
          REQUIRE(idle.value == Approx(closed.value).epsilon(1e-9).margin(99 / 40e9));  // rounding
      }
  }
}

TEST_CASE("phases carry the steps, the order and the software latency of the schedule") {
  Lab lab(one_node(6, topology::Shape::switched));
  lab.calibration = calibration_of(5e-6);
  for (const Schedule& schedule : schedules_of(6)) {
    INFO(text_of(schedule));
    const std::vector<Phase> phases = phases_of(schedule);
    const std::vector<PhaseLoad> loads = lab.loads(schedule, mebibytes(1));
    REQUIRE(loads.size() == phases.size());
    for (std::size_t i = 0; i < loads.size(); ++i) {
      CHECK(loads[i].steps == phases[i].steps);
      CHECK(loads[i].stationary == phases[i].stationary);
      const int phase = static_cast<int>(i);
      const auto waiting = maker_of(schedule).waiting_steps(schedule, phase, phases[i].steps);
      if (waiting == phases[i].steps) {
        CHECK(loads[i].software_latency.value == Approx(5e-6));
        CHECK(loads[i].step_latency.value == Approx(9e-6));
      }
      CHECK(std::ranges::is_sorted(loads[i].consumption, {}, &topology::LinkShare::link));
    }
  }
}

TEST_CASE("the bytes of all phases on all links are the bytes of all sends on their routes") {
  // Sizes that divide, so that no chunk is rounded up; phases that ramp up are no equality.
  Lab lab(nodes_of_four(3));
  const Bytes size{12 * 12 * 96};
  for (const Schedule& schedule : schedules_of(12)) {
    if (!is_exact(schedule)) continue;
    if (schedule.algorithm == Algorithm::halving_doubling &&
        schedule.operation != Operation::all_reduce)
      continue;  // ranges of equally many chunks, of which some stand for two ranks
    INFO(text_of(schedule));
    double from_sends = 0, from_phases = 0;
    for (const TimedSend& timed : all_sends(schedule)) {
      const auto route = lab.router.between({timed.send.source}, {timed.send.target});
      const auto moved = static_cast<double>(bytes_of(schedule, timed.send.chunks, size).count);
      for (const auto& use : route.links) from_sends += use.share * moved;
    }
    for (const PhaseLoad& load : lab.loads(schedule, size))
      for (const auto& use : load.consumption)
        from_phases += use.share * load.bytes_per_step * static_cast<double>(load.steps);
    CHECK(from_phases == Approx(from_sends).epsilon(1e-12));
  }
}

TEST_CASE("the order of links does not depend on how the loads were summed") {
  // Two members of a cluster of many touch few links, all members touch all.
  Lab lab(one_node(64, topology::Shape::switched));
  const std::vector<AcceleratorId> few = {{3}, {60}, {17}};
  const Schedule ring{Operation::all_reduce, Algorithm::ring, 3};
  const auto load = phase_loads(ring, mebibytes(1), few, lab.router, lab.calibration)[0];
  CHECK(load.consumption.size() == 6);
  for (const auto& use : load.consumption) CHECK(use.share == 1);
  const Schedule all{Operation::all_reduce, Algorithm::ring, 64};
  CHECK(lab.loads(all, mebibytes(1))[0].consumption.size() == 128);
}

TEST_CASE("an idle ring runs at the bandwidth of its slowest link for large buffers") {
  // Across nodes 50 GB/s bind, inside one node 400 GB/s.
  Lab lab(nodes_of_four(4));
  const Bytes size{std::uint64_t{1} << 40};
  const Schedule ring{Operation::all_reduce, Algorithm::ring, 16};
  const Bandwidth across = size / lab.time(ring, size);
  CHECK(bus_bandwidth_factor(Operation::all_reduce, 16) * across / gigabytes_per_second(50) ==
        Approx(1).epsilon(1e-4));
  const std::vector<AcceleratorId> node = {{4}, {5}, {6}, {7}};
  const Schedule small{Operation::all_reduce, Algorithm::ring, 4};
  const auto loads = phase_loads(small, size, node, lab.router, lab.calibration);
  const Bandwidth inside = size / idle_time(loads, lab.cluster.graph, lab.calibration);
  CHECK(bus_bandwidth_factor(Operation::all_reduce, 4) * inside / gigabytes_per_second(400) ==
        Approx(1).epsilon(1e-4));
}

TEST_CASE("the latency of a ring is that of the hops that its last chunk crosses") {
  // 8 ranks on 2 nodes: 6 hops inside of 2 x 1 us, 2 across of 2 x (2 x 0.5 + 3) = 8 us (host
  // bridge and NIC at both ends). All hops but the fastest: 5 x 2 + 2 x 8 = 26 us over 7 steps.
  Lab lab(nodes_of_four(2));
  const auto loads = lab.loads({Operation::all_gather, Algorithm::ring, 8}, mebibytes(1));
  REQUIRE(loads.size() == 1);
  CHECK(in_microseconds(loads[0].step_latency) == Approx(26.0 / 7));
  // A tree waits for the slowest pair of each round.
  const auto tree = lab.loads({Operation::broadcast, Algorithm::binomial_tree, 8}, mebibytes(1));
  CHECK(in_microseconds(tree[0].step_latency) == Approx(8));
  CHECK(in_microseconds(tree[1].step_latency) == Approx(2));
}

TEST_CASE("members fill in how a schedule is laid out") {
  const topology::Cluster nodes = nodes_of_four(3);
  const auto inner = [&](std::vector<AcceleratorId> members) {
    return schedule_for(Operation::all_reduce, Algorithm::hierarchical, members, nodes).inner;
  };
  CHECK(inner(all_of(nodes)) == 4);
  CHECK(inner({{0}, {1}, {4}, {5}}) == 2);
  CHECK(inner({{8}, {9}, {0}, {1}}) == 2);
  CHECK(inner({{0}, {1}, {2}, {3}}) == 4);
  CHECK(inner({{0}, {4}, {8}}) == 1);
  CHECK(inner({{0}, {1}, {4}}) == 1);                 // unequal
  CHECK(inner({{0}, {4}, {1}, {5}}) == 1);            // not node by node
  CHECK(inner({{0}, {1}, {4}, {5}, {2}, {3}}) == 1);  // a node twice

  const topology::Cluster cabled = one_node(4, topology::Shape::ring);
  CHECK(schedule_for(Operation::all_reduce, Algorithm::ring, all_of(cabled), cabled).channels == 2);
  // A channel for each NIC of a node; one node needs one.
  CHECK(schedule_for(Operation::all_reduce, Algorithm::ring, all_of(nodes), nodes) ==
        Schedule{Operation::all_reduce, Algorithm::ring, 12, 4, 4});
  const std::vector<AcceleratorId> node = {{4}, {5}, {6}, {7}};
  CHECK(schedule_for(Operation::all_reduce, Algorithm::ring, node, nodes) ==
        Schedule{Operation::all_reduce, Algorithm::ring, 4});
}

TEST_CASE("the best schedule is no slower than any that could be chosen") {
  for (const auto& cluster :
       {one_node(8, topology::Shape::switched), one_node(8, topology::Shape::ring),
        one_node(7, topology::Shape::full_mesh), nodes_of_four(3)}) {
    Lab lab(cluster);
    const int ranks = lab.cluster.accelerators();
    for (const Operation operation : operations)
      for (const std::uint64_t size : {1, 4096, 1'000'000, 1'000'000'000}) {
        const Schedule best =
            best_schedule(operation, bytes(size), lab.members, lab.router, lab.calibration);
        INFO(text_of(best) << ", " << size << " bytes");
        REQUIRE(why_not(best) == "");
        for (const Schedule& other : schedules_of(ranks)) {
          const bool same_layout = other.inner == 1 || other.inner == 4;
          if (other.operation != operation || other.channels > 2 || !same_layout) continue;
          if (other.root != 0 || other.algorithm == Algorithm::pairwise) continue;
          INFO(text_of(other));
          CHECK(lab.time(best, bytes(size)).value <=
                lab.time(other, bytes(size)).value * (1 + 1e-5));
        }
      }
  }
}

TEST_CASE("large buffers go the way that spares the slow links") {
  const auto best = [](Lab lab) {
    return best_schedule(Operation::all_reduce, gibibytes(1), lab.members, lab.router,
                         lab.calibration);
  };
  // Both directions of every cable.
  CHECK(best(Lab(one_node(8, topology::Shape::ring))) ==
        Schedule{Operation::all_reduce, Algorithm::ring, 8, 2});
  // Six nodes of four, a NIC each: NICs carry 2 x 5/24 n at 50 GB/s, and NVLink works meanwhile,
  // against 2 x 23/24 n / 200 of a ring with four channels.
  const Schedule chosen = best(Lab(nodes_of_four(6)));
  CHECK(chosen.algorithm == Algorithm::hierarchical);
  CHECK(chosen.inner == 4);
  CHECK(chosen.segments > 1);
}

// astra-network-analytical, test/*.cpp (congestion-unaware): 16 NPUs, 50 GB/s where a GB is 2^30
// bytes, 500 ns per link, 1 MiB from NPU 1 to NPU 4, whole nanoseconds: hops x 500 + 19,531.25.
TEST_CASE("a send takes what ASTRA-sim's analytical network says") {
  const Bandwidth bandwidth = bytes_per_second(50.0 * (1 << 30));
  const auto nanoseconds_of = [&](topology::Shape shape) {
    Lab lab(one_node(16, shape, bandwidth, nanoseconds(500)));
    const Schedule send{Operation::send, Algorithm::direct, 2};
    const auto loads = phase_loads(send, mebibytes(1), {{1}, {4}}, lab.router, lab.calibration);
    return std::floor(idle_time(loads, lab.cluster.graph, lab.calibration).value * 1e9);
  };
  CHECK(nanoseconds_of(topology::Shape::ring) == 21'031);
  CHECK(nanoseconds_of(topology::Shape::full_mesh) == 20'031);
  CHECK(nanoseconds_of(topology::Shape::switched) == 20'531);
}

TEST_CASE("one member needs no schedule") {
  Lab lab(one_node(4, topology::Shape::switched));
  const std::vector<AcceleratorId> alone = {{2}};
  for (const Operation operation : operations) {
    const Schedule best =
        best_schedule(operation, mebibytes(1), alone, lab.router, lab.calibration);
    CHECK(why_not(best) == "");
    CHECK(phase_loads(best, mebibytes(1), alone, lab.router, lab.calibration).empty());
  }
}
