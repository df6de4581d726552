#include "coordinator/planner/selection.hpp"

#include <catch2/catch.hpp>
#include <set>

#include "coordinator/planner/memory_gate.hpp"
#include "coordinator/planner/request.hpp"
#include "coordinator/planner/search.hpp"
#include "requests.hpp"

using namespace railwright;
using namespace railwright::coordinator;
using workload::Degrees;

namespace {

std::vector<FittingPoint> fitting_of(const PlanRequest& request) {
  const topology::Cluster gate = with_headroom(request.cluster, request.memory_headroom);
  std::vector<FittingPoint> fitting;
  for (const Degrees& point : points_of(request.training, request.accelerators, {}))
    if (tightest_stage(gate, request.training, point).fits())
      fitting.push_back({point, workload::peak_memory(request.training, point).total()});
  return fitting;
}

Economy economy_of(const PlanRequest& request) {
  return {request.cluster, request.accelerators, request.price_per_hour};
}

// Returns how many points the bounds left out.
std::int64_t check_same_best(const PlanRequest& request) {
  INFO(request.training.model.name << " on " << request.cluster.spec.name << ", objective "
                                   << static_cast<int>(request.objective) << ", bubble "
                                   << request.max_bubble << ", head-room "
                                   << request.memory_headroom);
  const auto points = fitting_of(request);
  const Economy economy = economy_of(request);
  Pricing pricing(request);
  constexpr Kept kept{8, 10};
  const Selection all = search_all(request, economy, points, pricing, kept);
  const Selection some = search_pruned(request, economy, points, pricing, kept);
  CHECK(all.pruned == 0);
  CHECK(all.evaluated == static_cast<std::int64_t>(points.size()));
  CHECK(some.evaluated + some.pruned == all.evaluated);
  const auto expected = first_of(all.priced, kept), found = first_of(some.priced, kept);
  CHECK(expected.size() >= std::min(kept.points, all.priced.size()));
  REQUIRE(found.size() == expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    CHECK(found[i].placed == expected[i].placed);
    CHECK(found[i].price.step == expected[i].price.step);
  }
  REQUIRE(some.idle.size() == all.idle.size());
  for (std::size_t i = 0; i < all.idle.size(); ++i)
    CHECK(some.idle[i].placed == all.idle[i].placed);
  return some.pruned;
}

}  // namespace

TEST_CASE("no point is priced below its bound") {
  for (const PlanRequest& request : test::spaces()) {
    INFO(request.training.model.name << " on " << request.cluster.spec.name);
    StepBound bound(request.cluster, request.training, request.calibration);
    StepPricer pricer(request.cluster, request.training, request.calibration);
    double tightest = 0;
    for (const FittingPoint& point : fitting_of(request)) {
      const double at_least = bound.of(point.degrees).at_least.value;
      const double step = pricer.price(point.degrees).step.value;
      INFO(workload::to_string(point.degrees));
      CHECK(at_least <= step);
      tightest = std::max(tightest, at_least / step);
    }
    CHECK(tightest > 0.5);  // a bound of nothing would hold too
  }
}

TEST_CASE("the pruned search finds the best points of the exhaustive one") {
  std::int64_t pruned_somewhere = 0;
  for (PlanRequest request : test::spaces())
    for (const Objective objective : {Objective::time, Objective::cost, Objective::energy}) {
      request.objective = objective;
      pruned_somewhere += check_same_best(request);
    }
  CHECK(pruned_somewhere > 0);
}

TEST_CASE("the spaces hold experts split over ranks, and shards with copies") {
  std::set<int> etp, shard;
  for (const PlanRequest& request : test::spaces())
    for (const FittingPoint& point : fitting_of(request)) {
      const Degrees& degrees = point.degrees;
      etp.insert(degrees.etp);
      shard.insert(degrees.shard);
      CHECK(degrees.tp % degrees.etp == 0);
      if (degrees.shard > 0) CHECK(degrees.zero_stage == 3);
    }
  CHECK(etp == std::set<int>{1, 2, 4, 8});
  CHECK(shard == std::set<int>{0, 2, 4, 8, 16, 32, 64});
}

TEST_CASE("the pruned search finds the best of what bubble and memory head-room leave") {
  std::int64_t pruned_somewhere = 0;
  for (PlanRequest request : test::spaces())
    for (const auto& [bubble, headroom] : {std::pair(0.05, 0.0), {0.2, 0.3}, {1.0, 0.5}})
      for (const Objective objective : {Objective::cost, Objective::energy}) {
        request.objective = objective;
        request.max_bubble = bubble;
        request.memory_headroom = headroom;
        pruned_somewhere += check_same_best(request);
      }
  CHECK(pruned_somewhere > 0);
}

TEST_CASE("the pruned search leaves out the same points for any number of threads") {
  PlanRequest request = test::spaces().front();
  const auto points = fitting_of(request);
  const Economy economy = economy_of(request);
  std::vector<Selection> selections;
  for (const unsigned threads : {1u, 2u, 5u}) {
    request.threads = threads;
    Pricing pricing(request);
    selections.push_back(search_pruned(request, economy, points, pricing, {4, 1}));
  }
  for (const Selection& selection : selections) {
    CHECK(selection.pruned == selections.front().pruned);
    REQUIRE(selection.priced.size() == selections.front().priced.size());
    for (std::size_t i = 0; i < selection.priced.size(); ++i)
      CHECK(selection.priced[i].placed == selections.front().priced[i].placed);
  }
}

TEST_CASE("equal scores go to the simpler plan, then to the usual order of ranks") {
  const Degrees simple = *workload::parse_degrees("dp=8,micro_batch=2");
  const std::vector<Degrees> harder = {
      *workload::parse_degrees("tp=2,dp=4,micro_batch=2"),
      *workload::parse_degrees("pp=2,dp=4,micro_batch=2"),
      *workload::parse_degrees("dp=8,micro_batch=2,zero_stage=1"),
      *workload::parse_degrees("dp=8,micro_batch=2,zero_stage=3,shard=4"),
      *workload::parse_degrees("dp=8,micro_batch=2,ep=2"),
      *workload::parse_degrees("dp=8,micro_batch=2,etp=2"),
      *workload::parse_degrees("dp=8,micro_batch=2,recompute=full"),
      *workload::parse_degrees("dp=8,micro_batch=4")};
  for (const Degrees& degrees : harder) {
    const PricedPoint plain{{simple}, {}, {}, {}, 1, {}}, other{{degrees}, {}, {}, {}, 1, {}};
    CHECK(better(plain, other));
    CHECK_FALSE(better(other, plain));
    const PricedPoint faster{{degrees}, {}, {}, {}, 0.5, {}};
    CHECK(better(faster, plain));
  }
  PricedPoint usual{{harder.front()}, {}, {}, {}, 1, {}}, turned = usual;
  turned.placed.order = {workload::Dimension::ep, workload::Dimension::dp, workload::Dimension::tp,
                         workload::Dimension::cp, workload::Dimension::pp};
  CHECK(better(usual, turned));
  CHECK_FALSE(better(turned, usual));
}

TEST_CASE("of the front no point is beaten by another, and every other point is") {
  const PlanRequest request = test::spaces().front();
  const Economy economy = economy_of(request);
  Pricing pricing(request);
  const auto priced = search_all(request, economy, fitting_of(request), pricing, {8, 8}).priced;
  const auto front = pareto_front(priced, economy);
  REQUIRE(front.size() > 1);
  const auto beats = [&](std::size_t a, std::size_t b) {
    return priced[a].step() <= priced[b].step() && priced[a].memory <= priced[b].memory;
  };
  for (const std::size_t i : front)
    for (const std::size_t j : front) CHECK((i == j || !beats(i, j)));
  for (std::size_t i = 0; i < priced.size(); ++i)
    CHECK(std::any_of(front.begin(), front.end(), [&](std::size_t j) { return beats(j, i); }));
}

TEST_CASE("a step costs in proportion to its time, and draws more where it computes more") {
  PlanRequest request = test::request_of("llama-2-7b", "dgx-h100-4", 16, 64, 4096);
  request.price_per_hour = Dollars{3.6};
  const Economy economy = economy_of(request);
  // 16 accelerators x 3.6 $/h x 10 s / 3,600 s
  CHECK(economy.cost(seconds(10)).value == Approx(0.16));
  // 16 x 700 W x (0.35 x 10 s + 0.65 x 4 s)
  CHECK(economy.energy(seconds(10), seconds(4)).value == Approx(16 * 700 * 6.1));
  CHECK(economy.energy(seconds(10), seconds(10)).value == Approx(16 * 700 * 10.0));
  CHECK(economy.assumptions().empty());
  for (auto& kind : request.cluster.spec.accelerator_kinds) kind.power = Watts{0};
  CHECK(economy_of(request).assumptions().size() == 1);
}
