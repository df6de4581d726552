// Links and accelerators that die, and perhaps return, while a step runs.
#include <cmath>
#include <random>

#include "emulator/faults/course.hpp"
#include "emulator/step/run.hpp"
#include "tests/emulator/lab.hpp"

using namespace railwright;
using namespace railwright::emulator;
using Catch::Matchers::Contains;
using topology::LinkId;

namespace {

constexpr Instant at_seconds(double t) { return {static_cast<std::int64_t>(t * 1e12)}; }

// Tensor parallel inside a node; the data-parallel groups meet once, over `bytes`.
struct OneMeeting {
  topology::Cluster cluster;
  Plan plan;
  std::vector<workload::Program> programs;
};
OneMeeting one_meeting(int nodes, Bytes size) {
  topology::Cluster cluster = lab_cluster(nodes);
  workload::Degrees degrees;
  degrees.tp = 4;
  degrees.dp = nodes;
  Plan plan =
      must(make_plan(cluster, lab_training(nodes), degrees, topology::default_calibration()));
  workload::Op op;
  op.kind = workload::OpKind::collective;
  op.stream = workload::Stream::data_comm;
  op.group = workload::Dimension::dp;
  op.operation = workload::Operation::all_reduce;
  op.bytes = size;
  workload::Program program;
  program.ops = {op};
  return {std::move(cluster), std::move(plan), {program}};
}

StepResult run(const OneMeeting& meeting, const StepFaults& faults, bool fold = true) {
  StepOptions options;
  options.faults = faults;
  options.fold = fold;
  return must(run_programs(meeting.cluster, meeting.plan, meeting.programs,
                           topology::default_calibration(), options));
}

StepFaults dead(const std::vector<LinkId>& links, Instant from, std::optional<Instant> until) {
  StepFaults faults;
  for (const LinkId link : links) faults.links.push_back({link, from, until, 0});
  faults.losses.push_back({"what the test kills", from, until});
  return faults;
}

std::vector<LinkId> links_of_class(const topology::Cluster& cluster, const std::string& name) {
  std::vector<LinkId> links;
  for (int l = 0; l < cluster.graph.links(); ++l)
    if (cluster.graph.class_of({l}).name == name) links.push_back({l});
  return links;
}

bool near(Picoseconds a, Picoseconds b, std::int64_t picoseconds = 2000) {
  return std::abs(a.count - b.count) <=
         std::max<std::int64_t>(picoseconds, a.count / 1'000'000'000);
}

}  // namespace

// 4 s at full speed do 4 of 10 s of work, 4 s at half speed 2 more; nothing for 2 s; 4 are left.
TEST_CASE("work takes what the accelerator's speeds leave, by hand") {
  const auto course = speed_courses({{{0}, 0.5, at_seconds(4), at_seconds(8)},
                                     {{0}, 0, at_seconds(8), at_seconds(10)}})
                          .at({0});
  const Picoseconds ten{10'000'000'000'000};
  CHECK(near(*course.end_of(Instant{0}, ten) - Instant{0}, {14'000'000'000'000}, 10));
  CHECK(near(*course.end_of(at_seconds(5), ten) - Instant{0}, {18'500'000'000'000}, 10));
  CHECK(*course.end_of(at_seconds(10), ten) == at_seconds(20));
  CHECK(course.standing_still(Instant{0}, at_seconds(14)) == Picoseconds{2'000'000'000'000});
  CHECK(SpeedCourse().end_of(at_seconds(3), ten) == at_seconds(13));
  const auto gone = speed_courses({{{0}, 0, at_seconds(4), std::nullopt}}).at({0});
  CHECK_FALSE(gone.end_of(Instant{0}, ten));
  CHECK(gone.end_of(Instant{0}, {4'000'000'000'000}) == at_seconds(4));
}

TEST_CASE("links that lead nowhere else and return delay what crosses them, to the picosecond") {
  const OneMeeting meeting = one_meeting(2, mebibytes(256));
  const StepResult healthy = run(meeting, {});
  const auto rails = links_of_class(meeting.cluster, "rail");
  const Instant half = Instant{0} + Picoseconds{healthy.step_time.count / 2};
  const Picoseconds gone = ceil_picoseconds(milliseconds(7));
  for (const bool fold : {true, false}) {
    const StepResult hurt = run(meeting, dead(rails, half, half + gone), fold);
    REQUIRE_FALSE(hurt.standstill);
    CHECK(near(hurt.step_time, healthy.step_time + gone));
    CHECK(near(time_of(hurt.blame, "recovery"), gone));
    CHECK(sum_of(hurt.blame) == hurt.step_time);
  }
  // The same before anything has begun to move, and after everything has.
  const StepResult early = run(meeting, dead(rails, Instant{0}, Instant{0} + gone));
  CHECK(near(early.step_time, healthy.step_time + gone));
  CHECK(sum_of(early.blame) == early.step_time);
  const Instant end = Instant{0} + healthy.step_time;
  CHECK(run(meeting, dead(rails, end, std::nullopt)).step_time == healthy.step_time);
}

TEST_CASE("what is in flight moves to a live way with what it has left") {
  const OneMeeting meeting = one_meeting(2, mebibytes(256));
  const StepResult healthy = run(meeting, {});
  const auto link = meeting.cluster.graph.link_named("node0/nic0->rail0/leaf0");
  REQUIRE(link);
  const auto carried = [&](const StepResult& result) {
    for (const LinkLoad& load : result.links)
      if (load.link == *link) return load.bytes;
    return 0.0;
  };
  const Instant half = Instant{0} + Picoseconds{healthy.step_time.count / 2};
  const StepResult hurt = run(meeting, dead({*link}, half, std::nullopt));
  REQUIRE_FALSE(hurt.standstill);
  CHECK(hurt.step_time > healthy.step_time);
  CHECK(carried(hurt) == Approx(carried(healthy) / 2).epsilon(0.01));
  CHECK(sum_of(hurt.blame) == hurt.step_time);
  // Its group goes over the neighbours' rails; nothing waits for a repair.
  CHECK(time_of(hurt.blame, "recovery").count == 0);
}

TEST_CASE("where nothing leads to a member and nothing returns, the group hangs and is named") {
  const OneMeeting meeting = one_meeting(2, mebibytes(256));
  const auto rails = links_of_class(meeting.cluster, "rail");
  for (const bool fold : {true, false}) {
    const StepResult stopped = run(meeting, dead(rails, at_seconds(1e-3), std::nullopt), fold);
    REQUIRE(stopped.standstill);
    const Standstill& standstill = *stopped.standstill;
    REQUIRE(standstill.lost.size() == 1);
    CHECK(standstill.lost[0].target == "what the test kills");
    CHECK(standstill.hung_groups == 4);
    REQUIRE_FALSE(standstill.hung.empty());
    const HungGroup& hung = standstill.hung.front();
    CHECK(hung.group == "dp");
    CHECK(hung.op == "all_reduce of 256 MiB");
    CHECK(hung.ranks == std::vector<std::int64_t>{0, 4});
    CHECK(hung.accelerators == std::vector<std::string>{"node0/gpu0", "node1/gpu0"});
    CHECK_THAT(hung.why, Contains("nothing leads from node0/gpu0 to node1/gpu0"));
  }
}

TEST_CASE("a dead accelerator stops the step; its computation and its groups are named") {
  const auto cluster = lab_cluster(2);
  const auto& calibration = topology::default_calibration();
  const Plan plan =
      must(make_plan(cluster, lab_training(16), degrees_of("tp=2,pp=2,dp=2"), calibration));
  StepOptions options;
  const StepResult healthy = must(emulate_step(cluster, plan, calibration, options));
  const Instant half = Instant{0} + Picoseconds{healthy.step_time.count / 2};
  options.faults.accelerators = {{{5}, 0, half, std::nullopt}};
  options.faults.losses = {{"node1/gpu1", half, std::nullopt}};
  for (const bool fold : {true, false}) {
    options.fold = fold;
    const StepResult stopped = must(emulate_step(cluster, plan, calibration, options));
    REQUIRE(stopped.standstill);
    CHECK(stopped.standstill->at >= half);
    const HungGroup& first = stopped.standstill->hung.front();
    CHECK(first.ranks == std::vector<std::int64_t>{5});
    CHECK_THAT(first.why, Contains("rank 5 (node1/gpu1) stands still"));
    bool peer_waits = false;
    for (const HungGroup& hung : stopped.standstill->hung)
      peer_waits =
          peer_waits || (hung.group == "tp" && hung.ranks == std::vector<std::int64_t>{4, 5} &&
                         hung.why == "waits for rank 5 (node1/gpu1)");
    CHECK(peer_waits);
  }
  // With a repair the step goes on: what was lost is recovery, and the step is longer by it.
  const Picoseconds repair = ceil_picoseconds(milliseconds(50));
  options.faults.accelerators = {{{5}, 0, half, half + repair}};
  const StepResult repaired = must(emulate_step(cluster, plan, calibration, options));
  REQUIRE_FALSE(repaired.standstill);
  CHECK(sum_of(repaired.blame) == repaired.step_time);
  CHECK(repaired.step_time > healthy.step_time);
  CHECK((repaired.step_time - healthy.step_time).count <= repair.count + repair.count / 20);
}

TEST_CASE("folded equals unfolded while links and accelerators die, slow down and return") {
  int moved = 0, stopped = 0;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    std::mt19937_64 random(seed);
    const auto below = [&](int end) {
      return static_cast<int>(random() % static_cast<std::uint64_t>(end));
    };
    topology::ClusterSpec spec = lab_cluster(4).spec;
    const topology::RoutingMode modes[] = {
        topology::RoutingMode::spray, topology::RoutingMode::d_mod_k,
        topology::RoutingMode::ecmp_hash, topology::RoutingMode::adaptive};
    spec.routing.mode = modes[below(4)];
    spec.networks[0].nodes_per_leaf = 2;
    const topology::Cluster cluster = must(topology::build_cluster(spec));
    const char* layouts[] = {"tp=4,dp=4,zero_stage=1", "tp=2,pp=2,dp=4", "pp=4,dp=4", "tp=4,pp=4"};
    const char* degrees = layouts[below(4)];
    INFO("seed " << seed << ", " << degrees);
    auto calibration = topology::default_calibration();
    if (seed % 2 == 0)
      for (const char* parameter : {"compute_interference", "communication_interference"})
        calibration.entries.push_back({"*", parameter, "1", 1.25, 0, 0, 0, 0, "a test"});
    const Plan plan = must(make_plan(cluster, lab_training(16), degrees_of(degrees), calibration));
    StepOptions options;
    const StepResult healthy = must(emulate_step(cluster, plan, calibration, options));
    const auto some_time = [&] {
      return Instant{0} + Picoseconds{healthy.step_time.count / 8 * below(8)};
    };
    for (int i = 1 + below(3); i > 0; --i) {
      const LinkId link{below(cluster.graph.links())};
      const Instant from = some_time();
      std::optional<Instant> until;
      if (below(3) > 0) until = from + ceil_picoseconds(milliseconds(1 + below(40)));
      options.faults.links.push_back({link, from, until, below(3) > 0 ? 0 : 0.5});
    }
    if (below(2) == 0)
      options.faults.accelerators.push_back({{below(16)},
                                             below(3) == 0 ? 0 : 0.5,
                                             some_time(),
                                             some_time() + ceil_picoseconds(milliseconds(500))});
    const StepResult folded = must(emulate_step(cluster, plan, calibration, options));
    options.fold = false;
    const StepResult plain = must(emulate_step(cluster, plan, calibration, options));
    REQUIRE(folded.standstill.has_value() == plain.standstill.has_value());
    if (plain.standstill) {
      ++stopped;
      CHECK(near(folded.standstill->at - Instant{0}, plain.standstill->at - Instant{0}));
      CHECK(folded.standstill->hung_groups == plain.standstill->hung_groups);
      continue;
    }
    moved += plain.step_time > healthy.step_time;
    CHECK(near(folded.step_time, plain.step_time));
    CHECK(sum_of(plain.blame) == plain.step_time);
    CHECK(sum_of(folded.blame) == folded.step_time);
    for (std::size_t rank = 0; rank < plain.rank_wait.size(); ++rank)
      REQUIRE(near(folded.rank_wait[rank], plain.rank_wait[rank]));
  }
  CHECK(moved > 20);
  INFO(stopped << " stood still");
}
