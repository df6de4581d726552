// Which of several allocations a job gets.
#include "coordinator/service/choice.hpp"

#include <fmt/format.h>

#include <catch2/catch.hpp>

using namespace railwright;
using namespace railwright::coordinator;

namespace {

// Two nodes under each leaf, and half of their bandwidth between the leaves.
constexpr const char* leaves = R"(
schema_version: 1
name: leaves
nodes:
  - {{name: node, count: {}, accelerator: h100-sxm5-80gb, accelerators: 1}}
networks:
  - {{name: fabric, shape: fat_tree, edge: infiniband-ndr, nics_per_leaf: 2, oversubscription: 2}}
)";

topology::Cluster cluster_of(int nodes = 4) {
  const auto text = fmt::format(leaves, nodes);
  auto cluster = topology::build_cluster(*topology::parse_cluster(text, "leaves.yaml"));
  if (!cluster) FAIL(to_string(cluster.error()));
  return std::move(*cluster);
}

emulator::Plan plan_on(const topology::Cluster& cluster, int first_node) {
  workload::Degrees degrees;
  degrees.dp = 2;
  const auto model = *workload::load_model("gpt2");
  auto plan = emulator::make_plan(cluster, {model, 8, 128}, degrees,
                                  topology::default_calibration(), first_node);
  if (!plan) FAIL(to_string(plan.error()));
  return *plan;
}

}  // namespace

TEST_CASE("alone on equal nodes the first allocation counts") {
  const auto cluster = cluster_of();
  const auto priced = price_allocations(cluster, plan_on(cluster, 0), {0, 2}, {}, {});
  REQUIRE(priced);
  CHECK((*priced)[0].step.value == Approx((*priced)[1].step.value));
  CHECK(best_of(*priced) == 0);
}

TEST_CASE("nodes behind a link that runs found slow are left") {
  const auto cluster = cluster_of();
  const SlowLinks slow = {{"node0->leaf0", 0.1},
                          {"node1/gpu0->leaf0", 0.1},
                          {"node0/gpu0->leaf0", 0.1},
                          {"unknown", 0.1}};
  const auto priced = price_allocations(cluster, plan_on(cluster, 0), {0, 2}, {}, slow);
  REQUIRE(priced);
  CHECK((*priced)[0].step.value > 1.1 * (*priced)[1].step.value);
  CHECK(best_of(*priced) == 1);
  const Json document = to_json(*priced, 1);
  CHECK(document["chosen"] == 2);
  CHECK(document["allocations"].size() == 2);
}

TEST_CASE("what two allocations cost is weighed: the own step and the neighbours'") {
  const std::vector<Allocation> both = {{0, seconds(1), seconds(1), 0.5},
                                        {4, seconds(1.2), seconds(1), 0}};
  CHECK(best_of(both) == 1);
}

// Leaves hold nodes 0-1, 2-3, 4-5, 6-7. The neighbour runs on 1 and 2, over the links of two
// leaves.
TEST_CASE("a neighbour whose links a job would share makes it take others") {
  const auto cluster = cluster_of(8);
  const auto neighbour = plan_on(cluster, 1);
  const auto plan = plan_on(cluster, 3);
  const std::vector<int> places = {3, 5};  // each over two leaves, the first one shared
  const auto alone = price_allocations(cluster, plan, places, {}, {});
  REQUIRE(alone);
  CHECK((*alone)[0].step.value == Approx((*alone)[1].step.value));
  CHECK(best_of(*alone) == 0);
  const auto beside = price_allocations(cluster, plan, places, {neighbour}, {});
  REQUIRE(beside);
  CHECK((*beside)[0].step > (*beside)[1].step);
  CHECK((*beside)[0].slowdown > 0);
  CHECK((*beside)[1].slowdown == Approx(0).margin(1e-9));
  CHECK((*beside)[1].step.value == Approx((*alone)[1].step.value));
  CHECK(best_of(*beside) == 1);
  CHECK(moved(plan, cluster, 5).placement == plan_on(cluster, 5).placement);
}
