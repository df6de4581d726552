#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <set>

#include "coordinator/coordinator.hpp"
#include "coordinator/planner/alike.hpp"
#include "coordinator/planner/baseline.hpp"
#include "coordinator/planner/memory_gate.hpp"
#include "coordinator/planner/search.hpp"
#include "requests.hpp"

using namespace railwright;
using namespace railwright::coordinator;
using test::request_of;
using workload::Degrees;
using workload::Recompute;

namespace {

// Requests that differ in what binds.
std::vector<PlanRequest> some_requests() {
  return {request_of("llama-3.1-8b", "dgx-h100-4", 32, 128, 8192),
          request_of("llama-2-7b", "dgx-h100-4", 24, 96, 4096),
          request_of("gpt2", "dgx-h100-4", 8, 64, 1024),
          request_of("llama-2-70b", "dgx-h100-4", 32, 64, 4096)};
}

double step_of(const Candidate& candidate) { return candidate.plan.prediction.step_time.value; }

}  // namespace

TEST_CASE("points are valid, distinct, use all accelerators, and count up") {
  for (PlanRequest request : some_requests()) {
    const auto points = points_of(request.training, request.accelerators, {});
    std::set<std::string> names;
    for (const Degrees& point : points) {
      CHECK(workload::violations(request.training, point).empty());
      CHECK(point.world() == request.accelerators);
      CHECK((point.tp > 1 || !point.sequence_parallel));
      CHECK((point.dp > 1 || point.zero_stage == 0));
      names.insert(workload::to_string(point));
    }
    CHECK(names.size() == points.size());
    const auto planning = plan_training(request);
    REQUIRE(planning.has_value());
    CHECK(planning->points_total == static_cast<std::int64_t>(points.size()));
    CHECK(planning->points_total ==
          planning->points_rejected_memory + planning->points_pruned + planning->points_evaluated);
    for (const Candidate& candidate : planning->candidates)
      CHECK(candidate.plan.training == request.training);  // the batch above all
  }
}

TEST_CASE("selective recomputation is a point of its own only where it changes something") {
  auto request = request_of("llama-3.1-8b", "dgx-h100-4", 8, 8, 4096);
  const auto has_selective = [&] {
    const auto points = points_of(request.training, 8, {});
    return std::any_of(points.begin(), points.end(), [](const Degrees& point) {
      return point.recompute == Recompute::selective;
    });
  };
  CHECK_FALSE(has_selective());
  request.training.model.flash_attention = false;
  CHECK(has_selective());
}

TEST_CASE("candidates are sorted, fit into memory, and none is slower than the rule of thumb") {
  for (PlanRequest request : some_requests()) {
    request.top = 40;
    request.list_alike = true;
    const auto planning = plan_training(request);
    REQUIRE(planning.has_value());
    REQUIRE_FALSE(planning->candidates.empty());
    const Bytes memory = request.cluster.kind_of({0}).memory;
    for (std::size_t i = 0; i < planning->candidates.size(); ++i) {
      CHECK(planning->candidates[i].plan.prediction.peak_memory <= memory);
      if (i > 0) CHECK(step_of(planning->candidates[i - 1]) <= step_of(planning->candidates[i]));
    }
    CHECK(static_cast<std::int64_t>(planning->candidates.size()) >=
          std::min<std::int64_t>(40, planning->points_evaluated));
    if (planning->baseline_fits)
      CHECK(step_of(planning->candidates.front()) <= step_of(planning->baseline));
  }
}

TEST_CASE("of each family the first of a list stands for it, and the others are counted") {
  const auto degrees = [](std::initializer_list<const char*> texts) {
    std::vector<Degrees> all;
    for (const char* text : texts) all.push_back(*workload::parse_degrees(text));
    return all;
  };
  const auto first = first_of_families(degrees(
      {"dp=8,zero_stage=3", "dp=8,zero_stage=3,shard=4", "tp=2,dp=4", "dp=8,zero_stage=2",
       "tp=2,dp=4,sequence_parallel=true", "dp=8,zero_stage=3,shard=2", "pp=2,dp=4,vpp=2",
       "pp=2,dp=4", "pp=2,dp=4,vpp=4", "dp=8,recompute=full", "dp=8,micro_batch=2", "dp=8"}));
  std::vector<std::pair<std::size_t, std::size_t>> found;
  for (const Representative& one : first) found.emplace_back(one.index, one.alike);
  CHECK(found == std::vector<std::pair<std::size_t, std::size_t>>{
                     {0, 2}, {2, 1}, {3, 0}, {6, 1}, {7, 0}, {9, 0}, {10, 0}, {11, 0}});
}

TEST_CASE("the list shows the best of each family, and loses nothing that is better") {
  std::size_t left_out = 0;
  for (PlanRequest request : {request_of("llama-2-7b", "dgx-h100-4", 32, 64, 4096),
                              request_of("mixtral-8x7b", "dgx-h100-4", 16, 32, 4096),
                              request_of("gpt2", "dgx-h100-4", 8, 64, 1024)}) {
    const auto short_list = plan_training(request);
    request.list_alike = true;
    const auto all = plan_training(request);
    REQUIRE(short_list.has_value());
    REQUIRE(all.has_value());
    CHECK(short_list->candidates.size() == 10);
    CHECK(step_of(short_list->candidates.front()) <= step_of(all->candidates.front()));
    std::map<Family, double> families;
    std::size_t counted = 0;
    for (const Candidate& shown : short_list->candidates) {
      CHECK(families.emplace(family_of(shown.plan.degrees), step_of(shown)).second);
      counted += 1 + shown.alike;
    }
    CHECK(static_cast<std::int64_t>(counted) <= short_list->points_emulated);
    left_out += counted - short_list->candidates.size();
    for (const Candidate& other : all->candidates) {
      CHECK(other.alike == 0);
      const auto family = families.find(family_of(other.plan.degrees));
      if (family != families.end()) CHECK(family->second <= step_of(other));
    }
  }
  CHECK(left_out > 10);
}

TEST_CASE("the number of threads changes nothing") {
  auto request = request_of("llama-2-7b", "dgx-h100-4", 32, 64, 4096);
  request.threads = 1;
  const auto one = plan_training(request);
  request.threads = 7;
  const auto seven = plan_training(request);
  REQUIRE(one.has_value());
  REQUIRE(seven.has_value());
  REQUIRE(one->candidates.size() == seven->candidates.size());
  for (std::size_t i = 0; i < one->candidates.size(); ++i)
    CHECK(one->candidates[i].plan == seven->candidates[i].plan);
  CHECK(one->points_evaluated == seven->points_evaluated);
}

TEST_CASE("fixed degrees are kept, and searching within them finds no faster plan") {
  auto request = request_of("llama-3.1-8b", "dgx-h100-4", 32, 128, 8192);
  const auto free = plan_training(request);
  request.fix = "tp=4,zero_stage=1";
  const auto fixed = plan_training(request);
  REQUIRE(fixed.has_value());
  for (const Candidate& candidate : fixed->candidates) {
    CHECK(candidate.plan.degrees.tp == 4);
    CHECK(candidate.plan.degrees.zero_stage == 1);
  }
  CHECK(step_of(free->candidates.front()) <= step_of(fixed->candidates.front()));
  // The same point has the same price whatever else was searched.
  const Candidate& best = fixed->candidates.front();
  request.fix = workload::to_string(best.plan.degrees);
  request.top = 1;
  const auto alone = plan_training(request);
  REQUIRE(alone->candidates.size() == 1);
  CHECK(alone->candidates.front().plan.prediction == best.plan.prediction);
}

TEST_CASE("schedules without a closed form are planned with the emulated step") {
  auto request = request_of("llama-3.1-8b", "dgx-h100-4", 32, 128, 8192);
  for (const char* fix : {"tp=2,pp=4,vpp=2", "tp=2,pp=4,schedule=zb-h1"}) {
    INFO(fix);
    request.fix = fix;
    request.top = 2;
    const auto planning = plan_training(request);
    REQUIRE(planning.has_value());
    REQUIRE_FALSE(planning->candidates.empty());
    for (const Candidate& candidate : planning->candidates) {
      const auto step =
          emulator::emulate_step(request.cluster, candidate.plan, request.calibration);
      REQUIRE(step.has_value());
      const double emulated = in_seconds(step->step_time).value;
      CHECK(step_of(candidate) ==
            Approx(emulated).epsilon(1e-9));  // once more to whole picoseconds
      CHECK(candidate.plan.degrees.vpp == parse_fixed(fix)->values.vpp);
      CHECK(candidate.plan.degrees.schedule == parse_fixed(fix)->values.schedule);
    }
  }
}

TEST_CASE("experts are planned with sequence parallelism wherever tensors are split") {
  auto request = request_of("mixtral-8x7b", "dgx-h100-4", 32, 64, 4096);
  request.fix = "ep=8";
  request.top = 40;
  const auto planning = plan_training(request);
  REQUIRE(planning.has_value());
  REQUIRE_FALSE(planning->candidates.empty());
  int split = 0;
  for (const Candidate& candidate : planning->candidates) {
    const Degrees& degrees = candidate.plan.degrees;
    CHECK(degrees.ep == 8);
    CHECK((degrees.tp == 1 || degrees.sequence_parallel));
    split += degrees.tp > 1;
  }
  CHECK(split > 0);
}

TEST_CASE("no fixed split of experts and no fixed size of a shard beats the search") {
  const auto check = [](PlanRequest request, std::initializer_list<const char*> fixes) {
    const auto free = plan_training(request);
    REQUIRE(free.has_value());
    CHECK(free->points_total ==
          free->points_rejected_memory + free->points_pruned + free->points_evaluated);
    for (const char* fix : fixes) {
      INFO(request.training.model.name << " " << fix);
      request.fix = fix;
      const auto fixed = plan_training(request);
      REQUIRE(fixed.has_value());
      REQUIRE_FALSE(fixed->candidates.empty());
      CHECK(workload::to_string(fixed->candidates.front().plan.degrees).find(fix) !=
            std::string::npos);
      CHECK(step_of(free->candidates.front()) <= step_of(fixed->candidates.front()) * (1 + 1e-12));
    }
  };
  check(request_of("mixtral-8x7b", "dgx-h100-4", 16, 32, 4096), {"etp=2", "etp=4", "etp=8"});
  check(request_of("llama-2-7b", "dgx-h100-4", 32, 64, 4096), {"shard=4", "shard=8", "shard=16"});
}

// Whole experts take memory and time for their gradients, thin slices of them make thin products.
TEST_CASE("experts are split over some of the tensor-parallel ranks where that is best") {
  auto request = request_of("mixtral-8x7b", "dgx-h100-4", 16, 32, 4096);
  for (const auto& [fix, etp] : {std::pair("tp=8,ep=2", 2), {"tp=8,ep=1", 4}}) {
    INFO(fix);
    request.fix = fix;
    const auto planning = plan_training(request);
    REQUIRE(planning.has_value());
    const Candidate& best = planning->candidates.front();
    CHECK(best.plan.degrees.etp == etp);
    for (const char* outermost : {",etp=1", ",etp=8"}) {
      request.fix = fix + std::string(outermost);
      const auto other = plan_training(request);
      REQUIRE(other.has_value());
      CHECK(step_of(best) < 0.95 * step_of(other->candidates.front()));
    }
  }
}

TEST_CASE("context parallelism takes its ranks from data parallelism") {
  auto request = request_of("llama-3.1-8b", "dgx-h100-4", 32, 16, 32768);
  request.fix = "cp=4";
  const auto planning = plan_training(request);
  REQUIRE(planning.has_value());
  REQUIRE_FALSE(planning->candidates.empty());
  for (const Candidate& candidate : planning->candidates) {
    CHECK(candidate.plan.degrees.cp == 4);
    CHECK(candidate.plan.degrees.world() == 32);
  }
}

TEST_CASE("long sequences are searched in parts, and no fixed number of parts is faster") {
  auto request = request_of("llama-3.1-8b", "dgx-h100-4", 32, 32, 131072);
  const auto whole = plan_training(request);
  REQUIRE(whole.has_value());
  REQUIRE_FALSE(whole->candidates.empty());
  CHECK(whole->points_total ==
        whole->points_rejected_memory + whole->points_pruned + whole->points_evaluated);
  CHECK(whole->candidates.front().plan.degrees.cp > 1);  // 4: a tenth faster than any of one part
  for (const char* fix : {"cp=1", "cp=2", "cp=4", "cp=8"}) {
    INFO(fix);
    request.fix = fix;
    const auto fixed = plan_training(request);
    REQUIRE(fixed.has_value());
    for (const Candidate& candidate : fixed->candidates)
      CHECK(step_of(whole->candidates.front()) <= step_of(candidate) * (1 + 1e-12));
  }
  for (const Degrees& point :
       points_of(request_of("llama-3.1-8b", "dgx-h100-4", 32, 32, 8192).training, 32, {}))
    REQUIRE(point.cp == 1);
}

TEST_CASE("what cannot fit says which memory binds and by how much") {
  const auto planning = plan_training(request_of("llama-3.1-405b", "dgx-h100-4", 8, 8, 4096));
  REQUIRE(planning.has_value());
  CHECK(planning->candidates.empty());
  CHECK(planning->points_evaluated == 0);
  CHECK_FALSE(planning->baseline_fits);
  CHECK_THAT(planning->infeasible_reason, Catch::Matchers::Contains("GiB too much"));
}

TEST_CASE("the sequence that is named where nothing fits is the longest one that fits") {
  for (auto request : {request_of("llama-3.1-8b", "dgx-h100-4", 8, 8, 524288),
                       request_of("llama-3.1-70b", "dgx-h100-4", 16, 16, 32768)}) {
    const auto planning = plan_training(request);
    REQUIRE(planning.has_value());
    REQUIRE(planning->candidates.empty());
    INFO(planning->infeasible_hint);
    const auto at = planning->infeasible_hint.find("--sequence ");
    REQUIRE(at != std::string::npos);
    const std::int64_t longest = std::stoll(planning->infeasible_hint.substr(at + 11));
    const std::int64_t unit = std::min<std::int64_t>(1024, request.training.sequence / 64);
    const auto any_fits = [&](std::int64_t sequence) {
      request.training.sequence = sequence;
      const auto points = points_of(request.training, request.accelerators, {});
      return std::any_of(points.begin(), points.end(), [&](const Degrees& point) {
        return tightest_stage(request.cluster, request.training, point).fits();
      });
    };
    CHECK(any_fits(longest));
    CHECK_FALSE(any_fits(longest + unit));
  }
}

TEST_CASE("baseline and placement are always among the reasons") {
  const auto reason = [](const PlanRequest& request, const std::string& about) {
    const auto planning = plan_training(request);
    REQUIRE(planning.has_value());
    for (const Reason& one : planning->reasons)
      if (one.about == about) return one.text;
    return std::string();
  };
  auto request = request_of("llama-3.1-8b", "dgx-h100-4", 32, 128, 8192);
  CHECK_THAT(reason(request, "baseline"), Catch::Matchers::Contains("Megatron's rule of thumb"));
  for (const char* fix : {"", "tp=2,pp=2", "tp=4,pp=2,vpp=2", "dp=32"}) {
    request.fix = fix;
    INFO(fix);
    CHECK_FALSE(reason(request, "placement").empty());
  }
  CHECK_THAT(reason(request, "placement"), Catch::Matchers::Contains("one order only"));
  request.fix = "tp=2,pp=2";
  request.linear_only = true;
  CHECK_THAT(reason(request, "placement"), Catch::Matchers::Contains("--placement linear"));
}

TEST_CASE("the rule of thumb takes the least tensor parallelism that fits, then stages") {
  auto request = request_of("llama-3.1-8b", "dgx-h100-4", 32, 128, 4096);
  const auto points = points_of(request.training, 32, {});
  const auto rule = [&](auto fits) { return rule_of_thumb(points, {}, 8, fits).degrees; };
  CHECK(rule([](const Degrees&) { return true; }).tp == 1);
  CHECK(rule([](const Degrees& d) { return d.tp >= 4; }).tp == 4);
  const Degrees deep = rule([](const Degrees& d) { return d.tp * d.pp >= 16; });
  CHECK(deep.tp == 8);
  CHECK(deep.pp == 2);
  CHECK(deep.recompute == Recompute::none);
  CHECK(rule([](const Degrees& d) { return d.recompute == Recompute::full; }).tp == 1);
  CHECK_FALSE(rule_of_thumb(points, {}, 8, [](const Degrees&) { return false; }).fits);
}

TEST_CASE("the rule of thumb takes what is fixed, and the best plan is no slower than it") {
  auto request = request_of("llama-3.1-8b", "dgx-h100-4", 32, 128, 8192);
  for (const char* fix : {"tp=8,recompute=full", "zero_stage=0", "micro_batch=2,pp=4",
                          "sequence_parallel=false,tp=4", "dp=8"}) {
    INFO(fix);
    request.fix = fix;
    const auto fixed = parse_fixed(fix);
    const auto planning = plan_training(request);
    REQUIRE(planning.has_value());
    REQUIRE_FALSE(planning->candidates.empty());
    const auto points = points_of(request.training, 32, *fixed);
    CHECK(std::count(points.begin(), points.end(), planning->baseline.plan.degrees) == 1);
    CHECK(step_of(planning->candidates.front()) <= step_of(planning->baseline));
  }
  request.fix = "zero_stage=0";
  CHECK(plan_training(request)->baseline.plan.degrees.dp > 1);  // no ZeRO is no end of dp
}

TEST_CASE("a stage needs to fit into its own accelerators, not into the smallest of the job") {
  auto request = request_of("llama-3.1-8b", "mixed-h100-a100", 32, 32, 8192);
  auto& kinds = request.cluster.spec.accelerator_kinds;
  REQUIRE(kinds.size() == 2);
  const Degrees degrees = *workload::parse_degrees("tp=8,pp=4");
  const auto need = [&](int stage) {
    return workload::stage_memory(request.training, degrees, stage).total();
  };
  // 1F1B: earlier stages hold more micro-batches, and they sit on the first kind.
  const auto hopper = request.cluster.spec.nodes[0].accelerator_kind;
  REQUIRE(need(0) > need(2));
  REQUIRE(need(0) > need(3));
  kinds[static_cast<std::size_t>(1 - hopper)].memory = std::max(need(2), need(3));
  kinds[static_cast<std::size_t>(hopper)].memory = std::max(need(0), need(1));
  request.fix = "tp=8,pp=4,micro_batch=1,recompute=none,sequence_parallel=false,zero_stage=0";
  const auto fits = plan_training(request);
  REQUIRE(fits.has_value());
  CHECK(fits->candidates.size() == 1);
  std::swap(kinds[0].memory, kinds[1].memory);
  const auto lacks = plan_training(request);
  REQUIRE(lacks.has_value());
  CHECK(lacks->candidates.empty());
  CHECK_THAT(lacks->infeasible_reason,
             Catch::Matchers::Contains("stage 0") && Catch::Matchers::Contains("GiB too much"));
}

TEST_CASE("a batch of too many micro-batches of one sequence is planned with larger ones") {
  const auto request = request_of("gpt2", "dgx-h100-4", 4, 1'000'000, 1024);
  const auto points = points_of(request.training, 4, *parse_fixed("tp=1,pp=1"));
  CHECK_FALSE(points.empty());
  for (const Degrees& point : points) CHECK(point.micro_batch > 1);
}

TEST_CASE("divisors are all there, ascending") {
  CHECK(divisors(1) == std::vector<std::int64_t>{1});
  CHECK(divisors(12) == std::vector<std::int64_t>{1, 2, 3, 4, 6, 12});
  CHECK(divisors(49) == std::vector<std::int64_t>{1, 7, 49});
}
