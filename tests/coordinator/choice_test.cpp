// Which of several allocations a job gets.
#include "coordinator/service/choice.hpp"

#include <catch2/catch.hpp>

using namespace railwright;
using namespace railwright::coordinator;

namespace {

// Four nodes of two, two nodes under each of two leaves, and one thin link between the leaves.
constexpr const char* two_leaves = R"(
schema_version: 1
name: leaves
nodes:
  - {name: node, count: 4, accelerator: h100-sxm5-80gb, accelerators: 1}
networks:
  - {name: fabric, shape: fat_tree, edge: infiniband-ndr, nics_per_leaf: 2, oversubscription: 2}
)";

topology::Cluster cluster_of() {
  auto cluster = topology::build_cluster(*topology::parse_cluster(two_leaves, "leaves.yaml"));
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

TEST_CASE("a neighbour whose links a job would share makes it take others") {
  const auto cluster = cluster_of();
  // Across the leaves, over the thin link: nodes 1 and 2.
  const auto crossing = plan_on(cluster, 1);
  const auto alone = price_allocations(cluster, plan_on(cluster, 0), {1}, {}, {});
  REQUIRE(alone);
  const std::vector<Allocation> both = {{0, seconds(1), seconds(1), 0.5},
                                        {4, seconds(1.2), seconds(1), 0}};
  CHECK(best_of(both) == 1);
  CHECK(moved(plan_on(cluster, 0), cluster, 1).placement == crossing.placement);
}
