// Plans on a torus: which dimension runs along which axis, and steps of TPU v5p.
#include <algorithm>
#include <catch2/catch.hpp>
#include <set>

#include "command.hpp"
#include "coordinator/planner/bound.hpp"
#include "coordinator/planner/emit/emit.hpp"
#include "coordinator/planner/variants.hpp"
#include "emulator/plan_order.hpp"
#include "requests.hpp"

using namespace railwright;
using namespace railwright::coordinator;
using workload::Degrees;

namespace {

// TPU v5p, four to a host, joined as a torus of these extents.
PlanRequest on_torus(const std::string& extents, int accelerators, const std::string& model,
                     std::int64_t batch, std::int64_t sequence) {
  const std::string text = "schema_version: 1\nname: slice\nnodes:\n  - {name: host, count: " +
                           std::to_string(accelerators / 4) +
                           ", accelerator: tpu-v5p, accelerators: 4}\nnetworks:\n"
                           "  - {name: ici, shape: torus, link: tpu-ici-v5p, dimensions: [" +
                           extents + "]}\nrouting: {mode: spray}\n";
  const auto spec = topology::parse_cluster(text, "slice.yaml");
  REQUIRE(spec.has_value());
  auto cluster = topology::build_cluster(*spec);
  REQUIRE(cluster.has_value());
  PlanRequest request = test::request_of(model, "dgx-h100-4", accelerators, batch, sequence);
  request.cluster = std::move(*cluster);
  return request;
}

double emulated(const PlanRequest& request, const Placed& placed) {
  return StepPricer(request.cluster, request.training, request.calibration)
      .emulated(placed)
      .step.value;
}

}  // namespace

TEST_CASE("arrangements on a torus put each rank on a place of its own, and no two are the same") {
  const PlanRequest request = on_torus("2, 4, 8", 64, "llama-2-7b", 64, 4096);
  for (const char* text : {"tp=4,dp=16", "tp=4,pp=2,dp=8", "dp=64", "tp=8,pp=4,dp=2"}) {
    INFO(text);
    const Degrees degrees = *workload::parse_degrees(text);
    const auto arrangements = arrangements_of(request.cluster, degrees);
    CHECK(arrangements.front().is_usual());
    CHECK(arrangements.size() > orders_of(request.cluster, degrees).size());
    std::set<std::vector<int>> all;
    std::set<std::string> names;
    for (const Placed& placed : arrangements) {
      auto placement = emulator::identity_placement(degrees, placed.order);
      placement.axes = placed.axes;
      std::vector<int> places;  // by coordinates, whatever the numbers of the ranks are
      for (std::int64_t rank = 0; rank < 64; ++rank) {
        const auto at = workload::coordinates_of(rank, degrees);
        const auto there = workload::rank_of(at, degrees, placed.order);
        places.push_back(emulator::accelerator_of(there, placement, degrees).index);
      }
      CHECK(std::set<int>(places.begin(), places.end()).size() == 64);
      CHECK(all.insert(places).second);
      CHECK(names.insert(in_words(placed)).second);
    }
  }
}

TEST_CASE("equal axes are not told apart, and part of a torus is not turned") {
  const Degrees degrees = *workload::parse_degrees("tp=4,dp=16");
  const PlanRequest cube = on_torus("4, 4, 4", 64, "llama-2-7b", 64, 4096);
  CHECK(arrangements_of(cube.cluster, degrees).size() == orders_of(cube.cluster, degrees).size());
  const PlanRequest larger = on_torus("4, 4, 8", 128, "llama-2-7b", 64, 4096);
  CHECK(arrangements_of(larger.cluster, degrees).size() ==
        orders_of(larger.cluster, degrees).size());
}

TEST_CASE("a twist tells equal axes apart") {
  const Degrees degrees = *workload::parse_degrees("tp=4,dp=16");
  PlanRequest cube = on_torus("4, 4, 4", 64, "llama-2-7b", 64, 4096);
  topology::ClusterSpec spec = cube.cluster.spec;
  spec.networks.front().twists = {{0, 1, 2}};  // x closes two steps further along y
  auto twisted = topology::build_cluster(spec);
  REQUIRE(twisted.has_value());
  cube.cluster = std::move(*twisted);
  const auto turned = arrangements_of(cube.cluster, degrees);
  CHECK(turned.size() > orders_of(cube.cluster, degrees).size());
  std::set<double> steps;  // and it matters
  for (const Placed& placed : turned)
    if (placed.order == workload::default_order) steps.insert(emulated(cube, placed));
  CHECK(steps.size() > 1);
}

TEST_CASE("tensors that fit the middle axis of a torus alone are put along it") {
  PlanRequest request = on_torus("2, 4, 8", 64, "llama-2-7b", 64, 4096);
  const Degrees degrees = *workload::parse_degrees("tp=4,dp=16,sequence_parallel=true");
  double linear = 1e9, turned = 1e9;
  for (const Placed& placed : arrangements_of(request.cluster, degrees)) {
    double& best = placed.axes.empty() ? linear : turned;
    best = std::min(best, emulated(request, placed));
  }
  CHECK(turned < 0.99 * linear);  // a ring of four closed links, where a line of four has three

  request.fix = workload::to_string(degrees);
  const auto planning = plan_training(request);
  REQUIRE(planning.has_value());
  const Candidate& best = planning->candidates.front();
  CHECK_FALSE(best.plan.placement.axes.empty());
  CHECK(best.plan.prediction.step_time.value == Approx(turned).epsilon(1e-9));
  CHECK(best.linear_step.value > best.plan.prediction.step_time.value);
  CHECK(std::ranges::any_of(planning->reasons, [](const Reason& reason) {
    return reason.about == "placement" && reason.text.find(" along y") != std::string::npos;
  }));
  request.linear_only = true;
  CHECK(plan_training(request)->candidates.front().plan.placement.axes.empty());
}

TEST_CASE("a plan along the axes of a torus is written, read and emulated as it was made") {
  PlanRequest request = on_torus("2, 4, 8", 64, "llama-2-7b", 64, 4096);
  request.fix = "tp=4,dp=16,sequence_parallel=true,zero_stage=1,micro_batch=1";
  const emulator::Plan plan = plan_training(request)->candidates.front().plan;
  REQUIRE_FALSE(plan.placement.axes.empty());
  const auto read = emulator::parse_plan(emulator::to_json(plan), "plan.json");
  REQUIRE(read.has_value());
  CHECK(*read == plan);
  const auto step = emulator::emulate_step(request.cluster, *read, request.calibration);
  REQUIRE(step.has_value());
  CHECK(in_seconds(step->step_time).value == Approx(plan.prediction.step_time.value).epsilon(1e-9));
  emulator::Plan twice = plan;
  twice.placement.axes.back().stride = twice.placement.axes.front().stride;
  const auto refused = emulator::parse_plan(emulator::to_json(twice), "plan.json");
  REQUIRE_FALSE(refused.has_value());
  CHECK_THAT(refused.error().front().message, Catch::Matchers::Contains("two ranks are on"));
  twice.placement.axes = {{1, 1}, {1, 64}};  // no axis that any place lies along
  CHECK_THAT(emulator::parse_plan(emulator::to_json(twice), "plan.json").error().front().message,
             Catch::Matchers::Contains("beyond the cluster"));
  CHECK_FALSE(emit(Framework::megatron, plan).has_value());
  CHECK_FALSE(emit_sbatch(plan, "plan.json").has_value());
  const test::Folder folder;
  const std::string path = folder.write("plan.json", emulator::to_json(plan));
  for (const char* what : {" --dry-run", ""}) {
    const auto run = test::run_command("run --plan " + path + what);
    CHECK(run.status == 2);
    CHECK_THAT(run.err, Catch::Matchers::Contains(path) &&
                            Catch::Matchers::Contains("along the axes of a torus"));
  }
}

// No step of TPU v5p is published with all that a row of training.csv needs: laws instead.
TEST_CASE("steps of TPU v5p keep to the FLOPs, the bound and the emulation") {
  const PlanRequest request = on_torus("2, 4, 4", 32, "llama-2-7b", 64, 4096);
  const auto& kind = request.cluster.kind_of({0});
  CHECK(kind.name == "tpu-v5p");
  const double peak = workload::peak_rate(kind, topology::Precision::bf16).per_second;
  CHECK(peak == Approx(459e12));  // Google Cloud, TPU v5p: 459 TFLOP/s bf16, 95 GiB
  CHECK(in_gibibytes(kind.memory) == Approx(95));
  const double least =
      workload::model_flops_per_step(request.training).count / (32 * peak);  // 4.5 s
  StepBound bound(request.cluster, request.training, request.calibration);
  StepPricer pricer(request.cluster, request.training, request.calibration);
  for (const char* text : {"dp=32,zero_stage=3", "tp=4,dp=8,sequence_parallel=true,zero_stage=1",
                           "tp=2,pp=4,dp=4,sequence_parallel=true", "pp=8,dp=4,zero_stage=1"}) {
    INFO(text);
    const Degrees degrees = *workload::parse_degrees(text);
    const double at_least = bound.of(degrees).at_least.value;
    const double closed = pricer.price(degrees).step.value;
    const double whole = pricer.emulated(degrees).step.value;
    CHECK(least < at_least);
    CHECK(at_least <= closed);
    CHECK(at_least <= whole);
    CHECK(closed <= 1.02 * whole);  // idle links: optimistic where groups share them
    CHECK(closed >= 0.6 * whole);
    const auto plan =
        emulator::make_plan(request.cluster, request.training, degrees, request.calibration);
    REQUIRE(plan.has_value());
    const auto step = emulator::emulate_step(request.cluster, *plan, request.calibration);
    REQUIRE(step.has_value());
    CHECK(step->mfu == Approx(least / in_seconds(step->step_time).value));
    CHECK(step->mfu < 1);
  }
}
