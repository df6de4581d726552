// Collectives over hundreds and thousands of ranks, where one link stands for many.
#include <algorithm>
#include <cmath>
#include <random>

#include "tests/emulator/lab.hpp"

using namespace railwright;
using namespace railwright::emulator;
using collectives::Algorithm;
using collectives::Operation;
using collectives::Schedule;

namespace {

const topology::Calibration none;

// `nodes` of four on a rail-optimised fat-tree of three tiers.
topology::Cluster three_tiers(int nodes, topology::RoutingMode mode, Seconds latency) {
  topology::ClusterSpec spec = lab_cluster(nodes, {.latency = latency}).spec;
  topology::NetworkSpec& network = spec.networks[0];
  network.tiers = 3;
  network.nodes_per_leaf = 8;
  network.leaves_per_pod = 4;
  spec.routing.mode = mode;
  return must(topology::build_cluster(spec));
}

CollectiveRun run_of(const topology::Cluster& cluster, const Schedule& schedule, Detail detail) {
  CollectiveRun run;
  run.schedule = schedule;
  run.size = {static_cast<std::uint64_t>(schedule.ranks) * 4096 * 12};
  run.detail = detail;
  for (int i = 0; i < cluster.accelerators(); ++i) run.members.push_back({i});
  return run;
}

// From the start to the end, some of them on NICs, which bind.
StepFaults degraded(const topology::Cluster& cluster, int count, std::mt19937_64& random) {
  StepFaults faults;
  for (int i = 0; i < count; ++i) {
    const auto links = static_cast<std::uint64_t>(cluster.graph.links());
    faults.links.push_back({{static_cast<int>(random() % links)}, Instant{0}, {}, 0.3});
  }
  return faults;
}

// Phases one after another, each at the pace of the fullest of all links, one by one.
double time_over_all_links(const CollectiveRun& run, const topology::Router& router) {
  std::vector<double> capacity;
  const topology::Graph& graph = router.cluster().graph;
  for (int link = 0; link < graph.links(); ++link)
    capacity.push_back(graph.capacity({link}).bytes_per_second);
  for (const CapacityChange& change : capacity_changes(run.faults.links))
    capacity[static_cast<std::size_t>(change.link.index)] *= change.factor;
  double time = 0;
  for (const auto& load :
       collectives::phase_loads(run.schedule, run.size, run.members, router, none)) {
    double per_byte = 0;
    for (const topology::LinkShare& use : load.consumption)
      per_byte = std::max(per_byte, use.share / capacity[static_cast<std::size_t>(use.link.index)]);
    time += static_cast<double>(load.steps) *
            (load.step_latency.value + load.bytes_per_step * per_byte);
  }
  return time;
}

std::int64_t steps_of(const Schedule& schedule) {
  std::int64_t steps = 0;
  for (const auto& phase : collectives::phases_of(schedule)) steps += phase.steps;
  return steps;
}

double tolerance(double expected, const Schedule& schedule) {
  return std::max(1e-9 * expected, 2e-12 * static_cast<double>(steps_of(schedule)));
}

constexpr topology::RoutingMode modes[] = {
    topology::RoutingMode::spray, topology::RoutingMode::d_mod_k, topology::RoutingMode::ecmp_hash};

}  // namespace

TEST_CASE("512 and 4,096 ranks take what all links, one by one, say, degraded ones too") {
  std::mt19937_64 random(3);
  for (const int ranks : {512, 4096})
    for (const topology::RoutingMode mode : modes) {
      const topology::Cluster cluster = three_tiers(ranks / 4, mode, microseconds(1));
      const topology::Router router(cluster);
      for (const Schedule& schedule :
           {Schedule{Operation::all_reduce, Algorithm::ring, ranks, 4, 4},
            Schedule{Operation::all_reduce, Algorithm::hierarchical, ranks, 1, 4},
            Schedule{Operation::all_reduce, Algorithm::hierarchical, ranks, 1, 4, 0, 8},
            Schedule{Operation::all_reduce, Algorithm::double_tree, ranks, 1, 1, 0, 16},
            Schedule{Operation::all_reduce, Algorithm::double_tree, ranks, 1, 4, 0, 16},
            Schedule{Operation::all_reduce, Algorithm::recursive_doubling, ranks}})
        for (const int faults : {0, 5, 100}) {
          INFO(to_string(schedule.algorithm) << ", " << ranks << " ranks, " << faults
                                             << " degraded links, mode " << static_cast<int>(mode));
          CollectiveRun run = run_of(cluster, schedule, Detail::phases);
          run.faults = degraded(cluster, faults, random);
          std::ranges::shuffle(run.members, random);
          const double time = in_seconds(emulate_collective(run, router, none).time).value;
          const double expected = time_over_all_links(run, router);
          CHECK(std::abs(time - expected) <= tolerance(expected, schedule));
        }
    }
}

TEST_CASE("a ring of 512 ranks in one variable takes what its 261,632 sends take") {
  std::mt19937_64 random(4);
  for (const topology::RoutingMode mode :
       {topology::RoutingMode::spray, topology::RoutingMode::d_mod_k}) {
    const topology::Cluster cluster = three_tiers(128, mode, {});
    const topology::Router router(cluster);
    const Schedule ring{Operation::all_gather, Algorithm::ring, 512};
    for (const int faults : {0, 5}) {
      INFO(faults << " degraded links, mode " << static_cast<int>(mode));
      CollectiveRun run = run_of(cluster, ring, Detail::phases);
      run.faults = degraded(cluster, faults, random);
      const double phases = in_seconds(emulate_collective(run, router, none).time).value;
      run.detail = Detail::steps;
      const double steps = in_seconds(emulate_collective(run, router, none).time).value;
      CHECK(std::abs(phases - steps) <= tolerance(steps, ring));
    }
  }
}
