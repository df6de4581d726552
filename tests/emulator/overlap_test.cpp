// Communication that overlaps compute slows both.
#include "emulator/step/overlap.hpp"

#include <cmath>

#include "emulator/step/run.hpp"
#include "tests/emulator/lab.hpp"

using namespace railwright;
using namespace railwright::emulator;
using workload::OpKind;
using workload::Program;
using workload::Stream;

namespace {

// Software and links without latency: what is left is work.
const Wires no_latency{gigabytes_per_second(400), gigabytes_per_second(50), seconds(0)};

topology::Calibration slowed_by(double compute, double communication) {
  topology::Calibration calibration = topology::default_calibration();
  for (auto& entry : calibration.entries)
    if (entry.parameter == "software_latency") entry.value = 0;
  const auto add = [&](const char* parameter, double value) {
    calibration.entries.push_back({"test-chip", parameter, "1", value, 0, 0, 0, 0, "a test"});
  };
  add("compute_interference", compute);
  add("communication_interference", communication);
  return calibration;
}

// Every rank computes and takes part in an all-reduce, both from time 0.
Program both_at_once(double flops, Bytes size) {
  Program program;
  program.bodies = {
      {"work", {workload::Kernel{"work", workload::KernelKind::gemm, {flops}, 0, 1}}}};
  workload::Op compute, exchange;
  compute.kind = OpKind::compute;
  compute.body = 0;
  exchange.kind = OpKind::collective;
  exchange.stream = Stream::data_comm;
  exchange.group = workload::Dimension::dp;
  exchange.bytes = size;
  program.ops = {compute, exchange};
  return program;
}

struct Ends {
  double compute = 0, transfer = 0;  // picoseconds
  StepResult step;
};

Ends ends_of(const Program& program, const topology::Calibration& calibration,
             const StepFaults& faults = {}) {
  const auto cluster = lab_cluster(1, no_latency);
  const Plan plan = must(make_plan(cluster, lab_training(4), degrees_of("dp=4"), calibration));
  StepOptions options;
  options.faults = faults;
  options.timeline_ranks = 1;
  Ends ends;
  ends.step = must(run_programs(cluster, plan, {program}, calibration, options));
  for (const Interval& interval : ends.step.timeline)
    (interval.op == 0 ? ends.compute : ends.transfer) =
        static_cast<double>(interval.end.picoseconds);
  return ends;
}

bool near(double a, double b) { return std::abs(a - b) <= 8; }  // picoseconds

}  // namespace

TEST_CASE("an op and a transfer that begin together end when the closed form says") {
  int link_last = 0;
  for (const double flops : {1e11, 1e12, 1e13})
    for (const std::uint64_t size : {1, 64, 4096})
      for (const auto& [f, g] : {std::pair(1.2, 1.5), {1.0, 1.5}, {1.2, 1.0}, {2.0, 2.0}}) {
        const Program program = both_at_once(flops, mebibytes(size));
        const Ends alone = ends_of(program, slowed_by(1, 1));
        const Ends both = ends_of(program, slowed_by(f, g));
        const double c = alone.compute, t = alone.transfer;
        INFO("C " << c << ", T " << t << ", factors " << f << ", " << g);
        const bool compute_first = c * f <= t * g;
        const double first = compute_first ? c * f : t * g;
        CHECK(near(both.compute, compute_first ? first : first + c - first / f));
        CHECK(near(both.transfer, compute_first ? first + t - first / g : first));
        // The later one is the critical path: what it lost is the interference.
        CHECK(sum_of(both.step.blame) == both.step.step_time);
        const auto lost = static_cast<double>(time_of(both.step.blame, "interference").count);
        const bool compute_last = both.compute >= both.transfer;
        const double factor = compute_last ? f : g;
        CHECK(std::abs(lost - first * (1 - 1 / factor)) <= 8 + 1e-6 * first);
        CHECK(time_of(both.step.blame, "straggler").count == 0);
        // What links are told to have held back is what they are blamed for, to the picosecond.
        std::int64_t held_back = 0, blamed = 0;
        for (const LinkLoad& load : both.step.links) held_back += load.critical.count;
        for (const BlameEntry& entry : both.step.blame)
          if (entry.cause.starts_with("link:")) blamed += entry.time.count;
        CHECK(held_back == blamed);
        link_last += blamed > 0;
      }
  CHECK(link_last > 0);
}

TEST_CASE("interference moves the same bytes, over a longer time") {
  const Program program = both_at_once(1e12, mebibytes(256));
  const Ends alone = ends_of(program, slowed_by(1, 1));
  const Ends both = ends_of(program, slowed_by(1.2, 1.5));
  CHECK(both.step.step_time > alone.step.step_time);
  for (std::size_t c = 0; c < alone.step.class_bytes.size(); ++c) {
    CHECK(both.step.class_bytes[c] == Approx(alone.step.class_bytes[c]).epsilon(1e-12));
    CHECK(both.step.class_busy_seconds[c] >= alone.step.class_busy_seconds[c]);
  }
}

TEST_CASE("factors of one change nothing, and neither do others where nothing overlaps") {
  const auto cluster = lab_cluster(4);
  const auto step = [&](const char* degrees, double compute, double communication) {
    const auto calibration = slowed_by(compute, communication);
    const Plan plan = must(make_plan(cluster, lab_training(32), degrees_of(degrees), calibration));
    return must(emulate_step(cluster, plan, calibration));
  };
  for (const char* degrees : {"tp=2,pp=2,dp=4", "dp=16,zero_stage=3"}) {
    topology::Calibration silent = slowed_by(1, 1);
    silent.entries.resize(silent.entries.size() - 2);
    const Plan plan = must(make_plan(cluster, lab_training(32), degrees_of(degrees), silent));
    const StepResult without = must(emulate_step(cluster, plan, silent));
    const StepResult ones = step(degrees, 1, 1);
    CHECK(ones.step_time == without.step_time);
    CHECK(ones.blame == without.blame);
    CHECK(ones.events == without.events);
    const StepResult more = step(degrees, 1.2, 1.4);
    CHECK(more.step_time > ones.step_time);
    CHECK(sum_of(more.blame) == more.step_time);
    CHECK(time_of(more.blame, "other").count == 0);
    CHECK(time_of(more.blame, "interference").count > 0);
  }
  const char* one_after_the_other = "dp=16,overlap_gradients=false";
  CHECK(step(one_after_the_other, 2, 2).step_time == step(one_after_the_other, 1, 1).step_time);
}

TEST_CASE("a slow accelerator that is disturbed pays for both, and blame keeps them apart") {
  const Program program = both_at_once(1e12, mebibytes(65536));
  const Ends alone = ends_of(program, slowed_by(1, 1));
  StepFaults slow;
  for (int i = 0; i < 4; ++i) slow.accelerators.push_back({{i}, 0.5});
  // All of the op lies beside the transfer: C / 0.5 x 3.
  const Ends both = ends_of(program, slowed_by(3, 1), slow);
  CHECK(near(both.compute, 6 * alone.compute));
  const Program longer = both_at_once(1e14, mebibytes(64));
  const Ends halves = ends_of(longer, slowed_by(1, 1), slow);
  const Ends free = ends_of(longer, slowed_by(1, 1));
  const Ends hindered = ends_of(longer, slowed_by(3, 1), slow);
  const Blame& blame = hindered.step.blame;
  CHECK(sum_of(blame) == hindered.step.step_time);
  // T beside the op, of which two thirds are lost; the rest of the op is what it was.
  CHECK(near(static_cast<double>(time_of(blame, "interference").count), free.transfer * 2 / 3));
  CHECK(near(hindered.compute, halves.compute + free.transfer * 2 / 3));
  CHECK(
      near(static_cast<double>(time_of(blame, "straggler").count), halves.compute - free.compute));
}

TEST_CASE("an accelerator that dies after interference has kept it so long never ends its op") {
  const Program program = both_at_once(1e12, mebibytes(16384));
  const Ends alone = ends_of(program, slowed_by(1, 1));
  const auto dies_at = [&](double factor) {
    StepFaults faults;
    const Instant at{static_cast<std::int64_t>(factor * alone.compute)};
    faults.accelerators = {{{1}, 0, at, std::nullopt}};
    return faults;
  };
  CHECK_FALSE(ends_of(program, slowed_by(1, 1), dies_at(1.5)).step.standstill);
  CHECK(ends_of(program, slowed_by(2, 1), dies_at(1.5)).step.standstill);
  CHECK_FALSE(ends_of(program, slowed_by(2, 1), dies_at(2.5)).step.standstill);
}
