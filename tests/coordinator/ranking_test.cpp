// Does the closed form choose as emulation would?
#include <catch2/catch.hpp>
#include <chrono>
#include <iostream>

#include "coordinator/planner/memory_gate.hpp"
#include "coordinator/planner/pricing.hpp"
#include "coordinator/planner/search.hpp"
#include "coordinator/validation/training/choice.hpp"
#include "requests.hpp"

using namespace railwright;
using namespace railwright::coordinator;

namespace {

// Evenly picked from all that fit and have a closed form.
std::vector<Placed> sample_of(const PlanRequest& request, std::size_t count) {
  std::vector<Placed> fitting;
  for (const workload::Degrees& point : points_of(request.training, request.accelerators, {}))
    if (tightest_stage(request.cluster, request.training, point).fits()) fitting.push_back({point});
  REQUIRE(fitting.size() >= count);
  std::vector<Placed> sample;
  for (std::size_t i = 0; i < count; ++i) sample.push_back(fitting[i * fitting.size() / count]);
  return sample;
}

}  // namespace

TEST_CASE("the closed form ranks a thousand points as emulation does") {
  const auto start = std::chrono::steady_clock::now();
  std::size_t compared = 0;
  for (const auto& [request, count] :
       {std::pair(test::request_of("llama-2-7b", "dgx-h100-4", 16, 16, 2048), 250),
        {test::request_of("gpt2", "dgx-h100-4", 8, 16, 1024), 250},
        {test::request_of("mixtral-8x7b", "gb200-nvl72", 8, 8, 2048), 250},
        {test::request_of("llama-2-7b", "dgx-a100", 16, 16, 2048), 250}}) {
    Pricing pricing(request);
    const auto sample = sample_of(request, static_cast<std::size_t>(count));
    const auto closed = pricing.prices(sample, By::closed_form);
    const auto emulated = pricing.prices(sample, By::emulation);
    std::vector<MeasuredAndPredicted> pairs;
    for (std::size_t i = 0; i < sample.size(); ++i)
      pairs.push_back({emulated[i].step, closed[i].step});
    const double tau = kendall_tau(pairs, 0), clear = kendall_tau(pairs, 0.05);
    const double regret = regret_of(pairs);
    std::cout << "closed form against emulation: tau " << tau << ", " << clear
              << " where steps differ by 5 %, regret " << regret << "  "
              << request.training.model.name << " on " << request.cluster.spec.name << "\n";
    INFO(request.training.model.name << " on " << request.cluster.spec.name);
    CHECK(tau > 0.95);
    CHECK(clear > 0.99);
    CHECK(regret < 0.03);
    compared += pairs.size();
  }
  CHECK(compared == 1000);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  std::cout << compared << " points in " << took.count() << " s\n";
}

TEST_CASE("a plan of very many ranks is emulated where one period of the fabric tells all") {
  const std::string cluster = std::string(RAILWRIGHT_SOURCE_DIR) + "/bench/million-h100.yaml";
  auto request = test::request_of("gpt3-175b", cluster, 1 << 20, 1 << 18, 2048);
  request.top = 3;
  request.fix = "tp=16,pp=16,micro_batch=1,sequence_parallel=true,recompute=none";
  const auto planning = plan_training(request);
  REQUIRE(planning.has_value());
  REQUIRE(planning->candidates.size() >= 2);
  CHECK(planning->baseline.emulated);
  for (const Candidate& candidate : planning->candidates) CHECK(candidate.emulated);
  CHECK(planning->candidates.front().plan.prediction.step_time.value ==
        Approx(2.225).epsilon(0.05));
  // A few ranks fewer fill no whole periods: the same step is not emulated.
  request.accelerators -= 256;
  request.training.global_batch -= 64;
  const auto odd = plan_training(request);
  REQUIRE(odd.has_value());
  CHECK_FALSE(odd->candidates.front().emulated);
  CHECK(odd->candidates.front().plan.prediction.step_time.value ==
        Approx(planning->candidates.front().plan.prediction.step_time.value).epsilon(0.02));
}
