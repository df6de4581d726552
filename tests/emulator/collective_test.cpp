#include "emulator/collective.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>

#include "tests/emulator/random_system.hpp"

using namespace railwright;
using namespace railwright::emulator;
using collectives::Algorithm;
using collectives::Operation;
using collectives::Schedule;
using topology::AcceleratorId;

namespace {

const topology::Calibration none;

// `count` accelerators on one switch; a hop crosses two links, so `latency` halves onto each.
topology::Cluster one_switch(int count, std::string_view bandwidth, std::string_view link_latency,
                             std::string_view shape = "switch") {
  const std::string text = fmt::format(R"(
schema_version: 1
name: one-switch
link_classes:
  wire: {{bandwidth: {}, latency: {}}}
nodes:
  - {{name: node, count: 1, accelerator: h100-sxm5-80gb, accelerators: {},
     scale_up: {{shape: {}, link: wire}}}}
)",
                                       bandwidth, link_latency, count, shape);
  auto cluster = topology::parse_cluster(text, "one-switch.yaml").and_then([](auto spec) {
    return topology::build_cluster(std::move(spec));
  });
  if (!cluster) FAIL(to_string(cluster.error()));
  return *cluster;
}

CollectiveRun run_of(const Schedule& schedule, Bytes size, Detail detail) {
  CollectiveRun run;
  run.schedule = schedule;
  run.size = size;
  run.detail = detail;
  for (int i = 0; i < schedule.ranks; ++i) run.members.push_back({i});
  return run;
}

// Every schedule without switches that a group of this size can do.
std::vector<Schedule> all_schedules(int ranks) {
  std::vector<Schedule> all;
  for (const Operation operation :
       {Operation::all_reduce, Operation::reduce_scatter, Operation::all_gather,
        Operation::broadcast, Operation::reduce, Operation::all_to_all, Operation::send})
    for (int i = 0; i < collectives::algorithm_count; ++i)
      for (const int parameter : {1, 2, 4}) {
        Schedule schedule{operation, static_cast<Algorithm>(i), ranks};
        if (schedule.algorithm == Algorithm::ring) schedule.channels = parameter;
        if (schedule.algorithm == Algorithm::hierarchical) schedule.inner = parameter;
        const bool pipelined =
            schedule.algorithm == Algorithm::chain || schedule.algorithm == Algorithm::double_tree;
        if (pipelined) schedule.segments = 2 * parameter - 1;
        const bool known = std::ranges::find(all, schedule) != all.end();
        if (!known && collectives::why_not(schedule).empty() &&
            collectives::switch_count(schedule) == 0)
          all.push_back(schedule);
      }
  return all;
}

std::int64_t steps_of(const Schedule& schedule) {
  std::int64_t steps = 0;
  for (const auto& phase : collectives::phases_of(schedule)) steps += phase.steps;
  return steps;
}

std::string text_of(const Schedule& s, Bytes size) {
  return fmt::format("{} {} ranks {} channels {} inner {} segments {} bytes {}",
                     to_string(s.operation), to_string(s.algorithm), s.ranks, s.channels, s.inner,
                     s.segments, size.count);
}

double tolerance(double expected, std::int64_t steps) {
  return std::max(1e-9 * expected, 2e-12 * static_cast<double>(steps));
}

double seconds_of(const CollectiveResult& result) { return in_seconds(result.time).value; }

bool folds(const Schedule& schedule) {
  switch (schedule.algorithm) {
    case Algorithm::recursive_doubling:
    case Algorithm::halving_doubling:
    case Algorithm::swing:
    case Algorithm::bine:
      return (schedule.ranks & (schedule.ranks - 1)) != 0;
    default:
      return false;
  }
}

// Ranks move in lock-step: in every step each of them sends what it has just received, and nobody
// runs ahead. The others fold surplus ranks, skip rounds or keep a channel's sends in a row.
bool in_lock_step(const Schedule& schedule) {
  const bool power_of_two = (schedule.ranks & (schedule.ranks - 1)) == 0;
  const bool all_to_all = schedule.operation == Operation::all_to_all;
  switch (schedule.algorithm) {
    case Algorithm::ring:
      return schedule.operation != Operation::broadcast && schedule.operation != Operation::reduce;
    case Algorithm::chain:
      return schedule.segments == 1;
    case Algorithm::double_tree:
      return false;
    case Algorithm::hierarchical:
      return !all_to_all;
    case Algorithm::bruck:
      return power_of_two && !all_to_all;
    case Algorithm::binomial_tree:
    case Algorithm::pat:
      return power_of_two;
    default:
      return !folds(schedule);
  }
}

const collectives::Hop fast_hop{microseconds(1), gigabytes_per_second(100)};

// What unequal chunks may save: a byte per step; and where channels share a link, they then drift
// apart, so that the bytes of one hide the latency of another.
double saved_by_rounding(const Schedule& schedule, Bytes size) {
  const auto chunks = static_cast<std::uint64_t>(collectives::chunk_count(schedule));
  if (size.count % chunks == 0) return 0;
  const double per_step = schedule.channels > 1 ? fast_hop.latency.value : 1 / 100e9;
  return static_cast<double>(steps_of(schedule)) * per_step;
}

// Where nothing but the channel orders the sends, ranks whose parts are a byte shorter run ahead
// and meet others: a byte per step and rank.
double lost_by_rounding(const Schedule& schedule, Bytes size) {
  if (schedule.algorithm != Algorithm::pairwise) return 0;
  return schedule.ranks * saved_by_rounding(schedule, size);
}

constexpr std::array sizes = {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{720'720} * 64,
                              std::uint64_t{1} << 30};

}  // namespace

TEST_CASE("on an idle switch the steps take the closed form, for 1 to 16 ranks, 0 B to 1 GiB") {
  for (int ranks = 1; ranks <= 16; ++ranks) {
    const auto cluster = one_switch(std::max(2, ranks), "100 GB/s", "500 ns");
    const topology::Router router(cluster);
    for (const Schedule& schedule : all_schedules(ranks))
      for (const std::uint64_t size : sizes) {
        if (!in_lock_step(schedule)) continue;
        INFO(text_of(schedule, {size}));
        const double expected = closed_form_time(schedule, {size}, fast_hop).value;
        const double margin = tolerance(expected, steps_of(schedule));
        const auto steps =
            emulate_collective(run_of(schedule, {size}, Detail::steps), router, none);
        const auto phases =
            emulate_collective(run_of(schedule, {size}, Detail::phases), router, none);
        REQUIRE(seconds_of(steps) <= expected + margin + lost_by_rounding(schedule, {size}));
        REQUIRE(seconds_of(steps) >= expected - margin - saved_by_rounding(schedule, {size}));
        REQUIRE(seconds_of(phases) == Approx(expected).margin(margin));
      }
  }
}

TEST_CASE("trees and chains of any rank count hide latency of the closed form, but no bytes") {
  for (const int ranks : {2, 3, 4, 5, 7, 8, 11, 12, 16}) {
    const auto cluster = one_switch(ranks, "100 GB/s", "500 ns");
    const auto instant = one_switch(ranks, "100 GB/s", "0 ns");
    const topology::Router router(cluster), instant_router(instant);
    for (const Schedule& schedule : all_schedules(ranks)) {
      const bool double_tree = schedule.algorithm == Algorithm::double_tree;
      if (in_lock_step(schedule) || folds(schedule) || schedule.channels > 1 || double_tree)
        continue;
      const Bytes size{720'720 * 64};
      INFO(text_of(schedule, size));
      const auto run = run_of(schedule, size, Detail::steps);
      const double expected = closed_form_time(schedule, size, fast_hop).value;
      const double bytes = closed_form_time(schedule, size, {{}, fast_hop.bandwidth}).value;
      const double margin =
          tolerance(expected, steps_of(schedule)) + saved_by_rounding(schedule, size);
      const double time = seconds_of(emulate_collective(run, router, none));
      REQUIRE(time <= expected + margin);
      REQUIRE(time >= bytes - margin);
      REQUIRE(seconds_of(emulate_collective(run, instant_router, none)) ==
              Approx(bytes).margin(margin));
    }
  }
}

// Ranks outside the fold begin their first exchange while the others still fold, and both meet on
// the links into the core: sharing costs time that a barrier would not. Measured: at most a third,
// for whole buffers (recursive doubling of three ranks) three fifths.
TEST_CASE("halving and doubling that fold stay within two thirds of the closed form") {
  for (int ranks = 3; ranks <= 16; ++ranks) {
    const auto cluster = one_switch(ranks, "100 GB/s", "0 ns");
    const topology::Router router(cluster);
    for (const Schedule& schedule : all_schedules(ranks)) {
      if (!folds(schedule)) continue;
      const Bytes size{720'720 * 64};
      INFO(text_of(schedule, size));
      const double expected = closed_form_time(schedule, size, {{}, fast_hop.bandwidth}).value;
      const auto run = run_of(schedule, size, Detail::steps);
      const double time = seconds_of(emulate_collective(run, router, none));
      REQUIRE(time >= expected * (1 - 1e-9));
      REQUIRE(time <= expected * (1 + 2.0 / 3));
    }
  }
}

// Its closed form loads every rank from both sides of both trees; few ranks, or few segments, leave
// half of that idle.
TEST_CASE("a double tree takes half to all of its closed form") {
  for (const int ranks : {2, 3, 4, 5, 8, 13}) {
    const auto cluster = one_switch(ranks, "100 GB/s", "500 ns");
    const topology::Router router(cluster);
    for (const Operation operation :
         {Operation::all_reduce, Operation::broadcast, Operation::reduce}) {
      const auto share = [&](int segments) {
        const Schedule schedule{operation, Algorithm::double_tree, ranks, 1, 1, 0, segments};
        const Bytes size{720'720 * 64};
        const auto run = run_of(schedule, size, Detail::steps);
        return seconds_of(emulate_collective(run, router, none)) /
               closed_form_time(schedule, size, fast_hop).value;
      };
      for (const int segments : {1, 3, 12}) {
        INFO(ranks << " ranks, " << to_string(operation) << ", " << segments << " segments");
        CHECK(share(segments) >= 0.5 * (1 - 1e-3));
        CHECK(share(segments) <= 1 + 1e-9);
      }
      if (ranks >= 8) CHECK(share(12) >= 0.8);
    }
  }
}

namespace {

std::vector<BackgroundFlow> random_flows(std::uint64_t seed, int ranks, int most) {
  std::mt19937_64 generator(seed);
  std::vector<BackgroundFlow> flows;
  for (int k = below(generator, most + 1); k > 0; --k) {
    const int source = below(generator, ranks);
    flows.push_back({{source}, {(source + 1 + below(generator, ranks - 1)) % ranks}});
  }
  return flows;
}

}  // namespace

TEST_CASE("a ring beside any flows takes the same time by phases and by steps") {
  const auto instant = one_switch(8, "100 GB/s", "0 ns");
  const auto late = one_switch(8, "100 GB/s", "500 ns");
  const topology::Router router(instant), late_router(late);
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    INFO("seed " << seed);
    const Schedule schedule{Operation::all_reduce, Algorithm::ring, 8};
    CollectiveRun steps = run_of(schedule, {8'000'000}, Detail::steps);
    steps.background = random_flows(seed, 8, 6);
    CollectiveRun phases = steps;
    phases.detail = Detail::phases;
    const double expected = seconds_of(emulate_collective(phases, router, none));
    REQUIRE(seconds_of(emulate_collective(steps, router, none)) ==
            Approx(expected).margin(tolerance(expected, 14)));
    const double later = seconds_of(emulate_collective(phases, late_router, none));
    REQUIRE(std::abs(seconds_of(emulate_collective(steps, late_router, none)) - later) <=
            14 * 1e-6 + tolerance(later, 14));
  }
}

TEST_CASE("a degraded link never speeds a ring up, and is named as its limit") {
  const auto cluster = one_switch(8, "100 GB/s", "0 ns");
  const topology::Router router(cluster);
  const Schedule schedule{Operation::all_reduce, Algorithm::ring, 8};
  for (const Detail detail : {Detail::steps, Detail::phases}) {
    double last =
        seconds_of(emulate_collective(run_of(schedule, {8'000'000}, detail), router, none));
    for (const double factor : {0.9, 0.5, 0.1}) {
      CollectiveRun run = run_of(schedule, {8'000'000}, detail);
      const topology::LinkId link{5};
      run.faults.links.push_back({link, {0}, std::nullopt, factor});
      const auto result = emulate_collective(run, router, none);
      CHECK(seconds_of(result) == Approx(14 * 1e6 / (100e9 * factor)));
      CHECK(seconds_of(result) > last);
      CHECK(result.limiting_link == link);
      CHECK(result.limiting_link_class == "wire");
      CHECK(result.links.front().link == link);
      CHECK(result.links.front().utilization == Approx(1));
      last = seconds_of(result);
    }
  }
}

TEST_CASE("a degradation counts only while it lasts") {
  const auto cluster = one_switch(2, "100 GB/s", "0 ns");
  const topology::Router router(cluster);
  CollectiveRun run = run_of({Operation::send, Algorithm::direct, 2}, {10'000'000},
                             Detail::automatic);  // 100 us
  const auto route = router.between({0}, {1});
  // Half speed from 20 us to 60 us: 40 us for what 20 us would have done.
  run.faults.links.push_back({route.links[0].link, {20'000'000}, Instant{60'000'000}, 0.5});
  const auto result = emulate_collective(run, router, none);
  CHECK(result.time == Picoseconds{120'000'000});
  CHECK(result.stepwise);
}

TEST_CASE("chunks are cut between elements, by steps and by phases") {
  const auto cluster = one_switch(4, "1 GB/s", "0 ns");
  const topology::Router router(cluster);
  // 40 bytes on 4 ranks: blocks of 10 bytes, or of 2 and 3 elements of 4 bytes, the largest of
  // which sets the pace of the 6 steps of phases. By steps the sends of 2 elements run ahead.
  for (const Detail detail : {Detail::steps, Detail::phases}) {
    CollectiveRun run = run_of({Operation::all_reduce, Algorithm::ring, 4}, {40}, detail);
    CHECK(emulate_collective(run, router, none).time == Picoseconds{60'000});
    run.element = 4;
    const auto result = emulate_collective(run, router, none);
    if (detail == Detail::phases) CHECK(result.time == Picoseconds{72'000});
    CHECK(result.time > Picoseconds{60'000});
    CHECK(result.time <= Picoseconds{72'000});
  }
}

TEST_CASE("emulation by steps tells its progress, which grows to 1") {
  const auto cluster = one_switch(8, "100 GB/s", "500 ns");
  const topology::Router router(cluster);
  CollectiveRun run = run_of({Operation::all_reduce, Algorithm::ring, 8}, {4096}, Detail::steps);
  std::vector<double> told;
  run.progress = [&](double fraction) { told.push_back(fraction); };
  emulate_collective(run, router, none);
  REQUIRE(told.size() >= 14);
  CHECK(std::is_sorted(told.begin(), told.end()));
  CHECK(told.back() == 1);
}

TEST_CASE("latency alone has no limiting link") {
  const auto cluster = one_switch(4, "100 GB/s", "500 ns");
  const topology::Router router(cluster);
  const auto result = emulate_collective(
      run_of({Operation::all_reduce, Algorithm::ring, 4}, {0}, Detail::steps), router, none);
  CHECK(result.time == Picoseconds{6 * 1'000'000});
  CHECK(result.limiting_link == topology::LinkId{-1});
  CHECK(result.limiting_link_class.empty());
}

// ASTRA-sim's congestion-unaware unit tests (astra-network-analytical/test): 1 MiB, 50 GiB/s (they
// write GB), 500 ns per hop, whole nanoseconds: hops x 500 + 2^20 / (50 x 2^30) = hops x 500 +
// 19,531.25.
TEST_CASE("one transfer takes ASTRA-sim's time on a ring, a full mesh and a switch") {
  const auto nanoseconds = [](std::string_view shape, int source, int target) {
    const auto cluster = one_switch(16, "50 GiB/s", "500 ns", shape);
    const topology::Router router(cluster);
    CollectiveRun run =
        run_of({Operation::send, Algorithm::direct, 2}, mebibytes(1), Detail::steps);
    run.members = {AcceleratorId{source}, AcceleratorId{target}};
    return emulate_collective(run, router, none).time.count / 1000;
  };
  CHECK(nanoseconds("ring", 1, 4) == 21'031);
  CHECK(nanoseconds("full_mesh", 1, 4) == 20'031);
  CHECK(nanoseconds("switch", 1, 4) == 20'531);
}

TEST_CASE("steps while they are few, phases beyond") {
  const auto cluster = one_switch(128, "100 GB/s", "0 ns");
  const topology::Router router(cluster);
  const auto stepwise = [&](int ranks) {
    const Schedule schedule{Operation::all_reduce, Algorithm::ring, ranks};
    return emulate_collective(run_of(schedule, {1 << 20}, Detail::automatic), router, none)
        .stepwise;
  };
  CHECK(stepwise(100));  // 198 steps x 100 ranks
  CHECK_FALSE(stepwise(128));
}
