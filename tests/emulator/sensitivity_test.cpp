// What is planted as the bottleneck comes first: in the blame, in the sensitivities, among links.
#include <algorithm>

#include "tests/emulator/lab.hpp"

using namespace railwright;
using namespace railwright::emulator;

namespace {

StepResult step_on(const topology::Cluster& cluster, const char* degrees,
                   const workload::Training& training, const StepFaults& faults = {}) {
  const auto& calibration = topology::default_calibration();
  const Plan plan = must(make_plan(cluster, training, degrees_of(degrees), calibration));
  StepOptions options;
  options.faults = faults;
  options.sensitivities_up_to = INT64_MAX;
  return must(emulate_step(cluster, plan, calibration, options));
}

topology::Cluster lab_with(double flops, double memory, const Wires& wires = {}, int nodes = 2) {
  topology::ClusterSpec spec = lab_cluster(nodes, wires).spec;
  for (auto& [precision, rate] : spec.accelerator_kinds[0].peak) rate = flops * rate;
  spec.accelerator_kinds[0].memory_bandwidth = memory * spec.accelerator_kinds[0].memory_bandwidth;
  return must(topology::build_cluster(spec));
}

// Two leaves with four nodes each, thin wires outside.
topology::Cluster spread_cluster(topology::RoutingMode mode) {
  topology::ClusterSpec spec =
      lab_cluster(8, {gigabytes_per_second(400), gigabytes_per_second(0.5), microseconds(1)}).spec;
  spec.networks[0].nodes_per_leaf = 4;
  spec.routing.mode = mode;
  return must(topology::build_cluster(spec));
}

}  // namespace

TEST_CASE("a sensitivity is the step on a cluster that is better by a tenth") {
  const auto training = lab_training(16);
  const char* degrees = "tp=2,pp=2,dp=2";
  const StepResult step = step_on(lab_with(1, 1), degrees, training);
  const StepResult faster = step_on(lab_with(1.1, 1), degrees, training);
  const StepResult wider = step_on(lab_with(1, 1.1), degrees, training);
  const auto time_with = [&](const std::string& what) {
    for (const Sensitivity& entry : step.sensitivities)
      if (entry.what == what) return entry.step_time;
    return Picoseconds{-1};
  };
  CHECK(time_with("tensor") == faster.step_time);
  CHECK(time_with("hbm") == wider.step_time);
  REQUIRE(step.sensitivities.size() == 5);  // and inside, pcie, rail: no spine carries anything
  for (std::size_t i = 0; i < step.sensitivities.size(); ++i) {
    CHECK(step.sensitivities[i].step_time <= step.step_time);
    if (i > 0) CHECK(step.sensitivities[i - 1].step_time <= step.sensitivities[i].step_time);
  }
}

TEST_CASE("sensitivities are left out beyond the events that one allows") {
  const auto cluster = lab_cluster(1);
  const auto& calibration = topology::default_calibration();
  const Plan plan = must(make_plan(cluster, lab_training(4), degrees_of("tp=4"), calibration));
  const StepResult none = must(emulate_step(cluster, plan, calibration));
  CHECK(none.sensitivities.empty());
  StepOptions options;
  options.sensitivities_up_to = none.events - 1;
  CHECK(must(emulate_step(cluster, plan, calibration, options)).sensitivities.empty());
  options.sensitivities_up_to = none.events;
  CHECK_FALSE(must(emulate_step(cluster, plan, calibration, options)).sensitivities.empty());
}

TEST_CASE("thin HBM is named first") {
  const StepResult step = step_on(lab_with(1, 0.05), "tp=2,dp=4", lab_training(16));
  CHECK(step.blame.front().cause == "hbm");
  CHECK(step.sensitivities.front().what == "hbm");
}

TEST_CASE("slow tensor cores are named first") {
  const StepResult step = step_on(lab_with(0.05, 1), "tp=2,dp=4", lab_training(16));
  CHECK_THAT(step.blame.front().cause, Catch::Matchers::StartsWith("tensor_"));
  CHECK(step.sensitivities.front().what == "tensor");
}

TEST_CASE("one slow link is named first, with its name") {
  const auto cluster = lab_cluster(4);
  const auto link = cluster.graph.link_named("node1/nic2->rail2/leaf0");
  REQUIRE(link);
  StepFaults faults;
  faults.links = {{*link, Instant{0}, std::nullopt, 0.01}};
  const StepResult step = step_on(cluster, "tp=4,dp=4", lab_training(16), faults);
  CHECK(step.blame.front().cause == "link:rail");
  CHECK(step.links.front().link == *link);
  CHECK(step.sensitivities.front().what == "link:rail");
  CHECK_THAT(step_on(cluster, "tp=4,dp=4", lab_training(16)).blame.front().cause,
             Catch::Matchers::StartsWith("tensor_"));
}

TEST_CASE("one slow accelerator is named first") {
  StepFaults faults;
  faults.accelerators = {{topology::AcceleratorId{5}, 0.25}};
  const StepResult step = step_on(lab_cluster(2), "tp=2,dp=4", lab_training(16), faults);
  CHECK(step.blame.front().cause == "straggler");
  // Everybody waits for it, and it for nobody.
  CHECK(std::ranges::min_element(step.rank_wait) - step.rank_wait.begin() == 5);
}

TEST_CASE("too small a micro-batch is named first: weights from memory, and tiles mostly empty") {
  workload::Training training = lab_training(64);
  training.sequence = 64;
  const StepResult small = step_on(lab_cluster(1), "dp=4,micro_batch=1", training);
  const std::string& first = small.blame.front().cause;
  CHECK((first == "hbm" || first == "tensor_inefficiency"));
  const StepResult large = step_on(lab_cluster(1), "dp=4,micro_batch=16", training);
  CHECK(large.step_time.count < small.step_time.count / 2);
  const auto lost = [](const StepResult& step) {
    return time_of(step.blame, "hbm") + time_of(step.blame, "tensor_inefficiency");
  };
  CHECK(lost(large).count < lost(small).count / 2);
}

// Stage 0 lies under one leaf, stage 1 under the other: on each rail four messages at a time go up
// four links. Spray uses all four; hashed, two of them meet on one link.
TEST_CASE("hash collisions are named first, which spray does not have") {
  const auto training = lab_training(256);
  const char* degrees = "tp=4,pp=2,dp=4";
  const StepResult spray = step_on(spread_cluster(topology::RoutingMode::spray), degrees, training);
  const StepResult hash =
      step_on(spread_cluster(topology::RoutingMode::ecmp_hash), degrees, training);
  CHECK(hash.blame.front().cause == "link:spine");
  CHECK(hash.sensitivities.front().what == "link:spine");
  CHECK(time_of(spray.blame, "link:spine").count == 0);
  CHECK(hash.step_time > spray.step_time);
}
