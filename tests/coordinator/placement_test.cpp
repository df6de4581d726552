// Which dimension sits inside the node, along rails, along the axes of a torus.
#include <catch2/catch.hpp>

#include "coordinator/planner/variants.hpp"
#include "emulator/plan_order.hpp"
#include "requests.hpp"

using namespace railwright;
using namespace railwright::coordinator;
using workload::Degrees;
using workload::Dimension;

namespace {

double step_of(const Candidate& candidate) { return candidate.plan.prediction.step_time.value; }

}  // namespace

TEST_CASE("orders of ranks are distinct, start with the usual one, and keep groups whole") {
  const auto cluster = *topology::load_cluster("dgx-h100-4");
  const auto count = [&](const char* degrees) {
    const Degrees d = *workload::parse_degrees(degrees);
    const auto orders = orders_of(cluster, d);
    CHECK(orders.front() == workload::default_order);
    std::vector<std::string> names;
    for (const auto& order : orders) {
      CHECK(workload::has_groups(d, order));
      names.push_back(to_string(order, d));
    }
    std::sort(names.begin(), names.end());
    CHECK(std::adjacent_find(names.begin(), names.end()) == names.end());
    return orders.size();
  };
  CHECK(count("dp=32") == 1);
  CHECK(count("tp=4,dp=8") == 2);
  CHECK(count("tp=4,pp=2,dp=4") == 6);
  CHECK(count("tp=2,cp=2,pp=2,dp=4") == 12);       // cp beside dp
  CHECK(count("tp=2,pp=4,dp=4,ep=2,etp=1") == 4);  // tp beside dp
}

TEST_CASE("stages stay slowest where accelerators differ") {
  const auto cluster = *topology::load_cluster("mixed-h100-a100");
  const Degrees degrees = *workload::parse_degrees("tp=4,pp=2,dp=4");
  const auto orders = orders_of(cluster, degrees);
  CHECK(orders.size() == 2);
  for (const auto& order : orders) CHECK_THAT(to_string(order, degrees), Catch::EndsWith("-pp"));
}

TEST_CASE("a plan in any order is emulated, and its closed form is near") {
  const auto request = test::request_of("llama-2-7b", "dgx-h100-4", 32, 64, 4096);
  const Degrees degrees = *workload::parse_degrees("tp=4,pp=2,dp=4,zero_stage=1");
  StepPricer pricer(request.cluster, request.training, request.calibration);
  for (const auto& order : orders_of(request.cluster, degrees)) {
    INFO(to_string(order, degrees));
    const double closed = pricer.price(Placed{degrees, order}).step.value;
    const double emulated = pricer.emulated(Placed{degrees, order}).step.value;
    CHECK(closed <= 1.02 * emulated);  // idle links: optimistic where groups share them
    CHECK(closed >= 0.7 * emulated);
  }
}

TEST_CASE("searching the order never loses against the usual one") {
  for (PlanRequest request : {test::request_of("llama-2-7b", "dgx-h100-4", 32, 64, 4096),
                              test::request_of("gpt2", "tpu-v4-4x4x8", 64, 64, 1024)}) {
    request.top = 1;
    for (const char* fix : {"tp=4,pp=4", "pp=2,tp=2", "tp=4"}) {
      request.fix = fix;
      request.linear_only = false;
      const auto searched = plan_training(request);
      request.linear_only = true;
      const auto linear = plan_training(request);
      REQUIRE(searched.has_value());
      REQUIRE(linear.has_value());
      if (linear->candidates.empty()) continue;
      CHECK(step_of(searched->candidates.front()) <= step_of(linear->candidates.front()));
      const Candidate& best = searched->candidates.front();
      if (best.linear_step.value > 0) CHECK(step_of(best) <= best.linear_step.value);
    }
  }
}

TEST_CASE("between thin links the heaviest dimension stays inside the node") {
  auto request = test::request_of("llama-2-7b", "dgx-h100-4", 32, 64, 4096);
  auto spec = request.cluster.spec;
  for (auto& link_class : spec.link_classes)
    if (link_class.name.find("nvlink") == std::string::npos)
      link_class.capacity = 0.1 * link_class.capacity;
  request.cluster = *topology::build_cluster(spec);
  StepPricer pricer(request.cluster, request.training, request.calibration);
  const auto fastest = [&](const char* text) {
    const Degrees degrees = *workload::parse_degrees(text);
    std::pair<double, workload::RankOrder> best{1e9, {}};
    for (const auto& order : orders_of(request.cluster, degrees))
      best = std::min(best, std::pair(pricer.price(Placed{degrees, order}).step.value, order));
    return best.second;
  };
  CHECK(fastest("tp=8,dp=4,sequence_parallel=true").front() == Dimension::tp);
  const auto gathers = fastest("tp=1,pp=4,dp=8,zero_stage=3");
  CHECK(to_string(gathers, *workload::parse_degrees("pp=4,dp=8")) == "dp-pp");
}
