#include "emulator/step.hpp"

#include <cmath>
#include <random>

#include "emulator/step/run.hpp"
#include "tests/emulator/lab.hpp"

using namespace railwright;
using namespace railwright::emulator;
using workload::Dimension;
using workload::Op;
using workload::OpKind;
using workload::Program;
using workload::Stream;

namespace {

// Nothing takes time but the work itself.
topology::Calibration free_software() {
  topology::Calibration calibration = topology::default_calibration();
  for (auto& entry : calibration.entries)
    if (entry.parameter == "software_latency") entry.value = 0;
  return calibration;
}

const Wires free_wires{gigabytes_per_second(1e12), gigabytes_per_second(1e12), seconds(0)};

StepResult step_of(const topology::Cluster& cluster, const workload::Training& training,
                   const char* degrees, const StepOptions& options = {},
                   const topology::Calibration& calibration = topology::default_calibration()) {
  const Plan plan = must(make_plan(cluster, training, degrees_of(degrees), calibration));
  return must(emulate_step(cluster, plan, calibration, options));
}

Picoseconds compute_of(const Program& program, const topology::Cluster& cluster) {
  Picoseconds sum;
  for (const Op& op : program.ops)
    if (op.kind == OpKind::compute)
      sum += ceil_picoseconds(
          compute_time(program.bodies[op.body].kernels, cluster.spec.accelerator_kinds[0],
                       workload::Precision::bf16, topology::default_calibration())
              .total());
  return sum;
}

bool close(Picoseconds a, Picoseconds b, double relative) {
  return std::abs(static_cast<double>(a.count - b.count)) <=
         relative * static_cast<double>(std::max(a.count, b.count));
}

// ---- a uniform pipeline by hand ----------------------------------------------------------------
// One forward body and one backward body of twice its work on every stage, messages of no bytes.

struct PipelineWriter {
  int stages, micro_batches, stage;
  Program program{};

  int add(OpKind kind, Stream stream, int micro_batch, bool backward, int peer,
          std::vector<int> after) {
    Op op;
    op.kind = kind;
    op.stream = stream;
    op.body = kind == OpKind::compute ? (backward ? 1 : 0) : -1;
    op.micro_batch = micro_batch;
    op.backward = backward;
    op.peer_stage = peer;
    op.after = std::move(after);
    program.ops.push_back(op);
    return static_cast<int>(program.ops.size()) - 1;
  }

  void pass(int micro_batch, bool backward) {
    const int from = backward ? stage + 1 : stage - 1, to = backward ? stage - 1 : stage + 1;
    std::vector<int> after;
    if (from >= 0 && from < stages)
      after.push_back(
          add(OpKind::receive, Stream::pipeline_receive, micro_batch, backward, from, {}));
    const int work =
        add(OpKind::compute, Stream::compute, micro_batch, backward, -1, std::move(after));
    if (to >= 0 && to < stages)
      add(OpKind::send, Stream::pipeline_comm, micro_batch, backward, to, {work});
  }

  Program write() {
    const auto kernel = [](double flops) {
      return workload::Kernel{"work", workload::KernelKind::gemm, {flops}, 0, 1};
    };
    program.stage = stage;
    program.bodies = {{"forward", {kernel(1e12)}}, {"backward", {kernel(2e12)}}};
    const int warm_up = std::min(stages - 1 - stage, micro_batches);
    for (int m = 0; m < warm_up; ++m) pass(m, false);
    for (int m = 0; m < micro_batches; ++m) {
      if (warm_up + m < micro_batches) pass(warm_up + m, false);
      pass(m, true);
    }
    return std::move(program);
  }
};

StepResult uniform_pipeline(int stages, int micro_batches) {
  const topology::Cluster cluster = lab_cluster(2, free_wires);
  workload::Degrees degrees;
  degrees.pp = stages;
  const auto calibration = free_software();
  const Plan plan = must(make_plan(cluster, lab_training(micro_batches), degrees, calibration));
  std::vector<Program> programs;
  for (int s = 0; s < stages; ++s)
    programs.push_back(PipelineWriter{stages, micro_batches, s}.write());
  return must(run_programs(cluster, plan, std::move(programs), calibration, {}));
}

}  // namespace

TEST_CASE("a single rank takes the sum of its compute") {
  const auto cluster = lab_cluster(1);
  const auto training = lab_training(4);
  const StepResult result = step_of(cluster, training, "tp=1");
  const Program program = stage_program(training, workload::Degrees{}, 0);
  CHECK(result.step_time == compute_of(program, cluster));
  CHECK(result.collectives.empty());
  CHECK(result.links.empty());
  CHECK(result.mfu > 0);
  CHECK(result.mfu < 1);
}

TEST_CASE("data parallelism over a free network costs only compute") {
  const auto cluster = lab_cluster(1, free_wires);
  const auto alone = step_of(cluster, lab_training(4), "tp=1", {}, free_software());
  const auto shared = step_of(cluster, lab_training(16), "dp=4", {}, free_software());
  CHECK(close(alone.step_time, shared.step_time, 1e-6));
}

TEST_CASE("the bubble of a uniform pipeline is (p - 1)(F + B), exactly") {
  for (const int stages : {1, 2, 4, 8})
    for (const int micro_batches : {1, 2, 3, 8, 16}) {
      INFO(stages << " stages, " << micro_batches << " micro-batches");
      const StepResult one = uniform_pipeline(1, 1);
      const StepResult result = uniform_pipeline(stages, micro_batches);
      const std::int64_t pass = one.step_time.count;  // F + B
      CHECK(result.step_time.count == (micro_batches + stages - 1) * pass);
      CHECK(time_of(result.blame, "pipeline_bubble").count == (stages - 1) * pass);
      CHECK(sum_of(result.blame) == result.step_time);
    }
}

TEST_CASE("messages that take time do not turn busy stages into a bubble") {
  const auto cluster = must(topology::load_cluster("dgx-h100-4"));
  const std::int64_t micro_batches = 32;
  const StepResult result = step_of(cluster, lab_training(micro_batches), "tp=8,pp=4");
  // Every stage runs 32 micro-batches and can idle for little more than the textbook share, 3
  // of 35.
  const double share = static_cast<double>(time_of(result.blame, "pipeline_bubble").count) /
                       static_cast<double>(result.step_time.count);
  CHECK(share > 0.5 * 3 / 35);
  CHECK(share < 2.0 * 3 / 35);
}

TEST_CASE("blame adds up to the step, and nothing is left to 'other'") {
  const auto cluster = must(topology::load_cluster("dgx-h100-4"));
  const auto training = lab_training(64);
  for (const char* degrees :
       {"tp=8,dp=4", "tp=8,dp=4,sequence_parallel=true,zero_stage=1", "tp=4,pp=2,dp=4",
        "tp=2,pp=4,dp=4,zero_stage=1", "pp=8,dp=4,recompute=full", "dp=32,zero_stage=1",
        "tp=8,pp=4", "tp=4,pp=8,recompute=selective", "dp=16,pp=2,micro_batch=2"}) {
    INFO(degrees);
    const StepResult result = step_of(cluster, training, degrees);
    CHECK(sum_of(result.blame) == result.step_time);
    CHECK(time_of(result.blame, "other").count == 0);
    for (const BlameEntry& entry : result.blame) CHECK(entry.time.count > 0);
    for (const LinkLoad& load : result.links) CHECK(load.utilization <= 1 + 1e-9);
  }
}

TEST_CASE("the same inputs give the same result") {
  const auto cluster = lab_cluster(4);
  StepOptions options;
  options.timeline_ranks = SIZE_MAX;
  options.fold = false;
  const auto run = [&] { return step_of(cluster, lab_training(16), "tp=2,pp=2,dp=4", options); };
  const StepResult a = run(), b = run();
  CHECK(a.step_time == b.step_time);
  CHECK(a.blame == b.blame);
  CHECK(a.rank_wait == b.rank_wait);
  CHECK(a.events == b.events);
  REQUIRE(a.timeline.size() == b.timeline.size());
  for (std::size_t i = 0; i < a.timeline.size(); ++i) CHECK(a.timeline[i].end == b.timeline[i].end);
}

TEST_CASE("in the timeline nothing starts before it is ready, and streams run in order") {
  StepOptions options;
  options.timeline_ranks = SIZE_MAX;
  options.fold = false;
  const auto training = lab_training(16);
  const auto result = step_of(lab_cluster(4), training, "tp=2,pp=2,dp=4", options);
  const auto degrees = degrees_of("tp=2,pp=2,dp=4");
  std::map<std::pair<std::int64_t, Stream>, Instant> busy_until;
  Instant last{0};
  for (const Interval& interval : result.timeline) {
    const int stage = workload::coordinates_of(interval.rank, degrees).pp;
    const Program program = stage_program(training, degrees, stage);
    const Op& op = program.ops[interval.op];
    CHECK(interval.ready <= interval.start);
    CHECK(interval.start <= interval.end);
    Instant& free = busy_until[{interval.rank, op.stream}];
    CHECK(free <= interval.ready);
    free = interval.end;
    last = std::max(last, interval.end);
  }
  CHECK(last - Instant{0} == result.step_time);
}

TEST_CASE("a slow accelerator shows as straggler and never shortens the step") {
  const auto cluster = lab_cluster(2);
  for (const char* degrees : {"tp=4,dp=2", "tp=2,pp=2,dp=2", "dp=8"}) {
    INFO(degrees);
    const StepResult fast = step_of(cluster, lab_training(16), degrees);
    StepOptions options;
    options.faults.accelerators = {{topology::AcceleratorId{3}, 0.5}};
    const StepResult slow = step_of(cluster, lab_training(16), degrees, options);
    CHECK(slow.step_time > fast.step_time);
    CHECK(time_of(fast.blame, "straggler").count == 0);
    CHECK(time_of(slow.blame, "straggler").count > 0);
    CHECK(sum_of(slow.blame) == slow.step_time);
  }
}

TEST_CASE(
    "a tensor-parallel group over two kinds of accelerators goes as slowly as the slower one") {
  const auto with_kinds = [](double first, double second) {
    topology::ClusterSpec spec = lab_cluster(2).spec;
    spec.accelerator_kinds.push_back(spec.accelerator_kinds[0]);
    const double rates[] = {first, second};
    for (std::size_t kind = 0; kind < 2; ++kind) {
      spec.accelerator_kinds[kind].name = "chip-" + std::to_string(kind);
      spec.accelerator_kinds[kind].peak[topology::Precision::bf16] = teraflops(rates[kind]);
    }
    spec.nodes.push_back(spec.nodes[0]);
    spec.nodes[0].count = spec.nodes[1].count = 1;
    spec.nodes[1].name = "other";
    spec.nodes[1].accelerator_kind = 1;
    return must(topology::build_cluster(spec));
  };
  const char* degrees = "tp=8,sequence_parallel=true";
  const auto mixed = step_of(with_kinds(100, 60), lab_training(4), degrees);
  CHECK(mixed.step_time == step_of(with_kinds(60, 60), lab_training(4), degrees).step_time);
  CHECK(mixed.step_time > step_of(with_kinds(100, 100), lab_training(4), degrees).step_time);
}

TEST_CASE("ranks that wait least are those that the others wait for") {
  StepOptions options;
  options.faults.accelerators = {{topology::AcceleratorId{2}, 0.7}};
  const auto result = step_of(lab_cluster(1), lab_training(16), "tp=4", options);
  for (const int rank : {0, 1, 3}) CHECK(result.rank_wait[2] < result.rank_wait[rank]);
}

TEST_CASE("degrading the rails raises what is blamed on them") {
  const auto cluster = lab_cluster(4);
  const auto training = lab_training(16);
  const StepResult whole = step_of(cluster, training, "tp=4,dp=4");
  StepOptions options;
  for (int l = 0; l < cluster.graph.links(); ++l)
    if (cluster.graph.class_of({l}).name == "rail")
      options.faults.links.push_back({{l}, Instant{0}, std::nullopt, 0.1});
  const StepResult degraded = step_of(cluster, training, "tp=4,dp=4", options);
  CHECK(degraded.step_time > whole.step_time);
  CHECK(time_of(degraded.blame, "link:rail") > time_of(whole.blame, "link:rail"));
}

TEST_CASE("a degradation that starts after the step or ended at its start changes nothing") {
  const auto cluster = lab_cluster(2);
  const StepResult whole = step_of(cluster, lab_training(16), "tp=4,dp=2");
  StepOptions options;
  const Instant start{0}, later{whole.step_time.count + 1};
  options.faults.links = {{{0}, later, std::nullopt, 0.01}, {{1}, start, start, 0.01}};
  CHECK(step_of(cluster, lab_training(16), "tp=4,dp=2", options).step_time == whole.step_time);
}

TEST_CASE("twice the bandwidth never lengthens a step without a pipeline") {
  Wires fast;
  fast.inside = 2 * fast.inside;
  fast.outside = 2 * fast.outside;
  for (const char* degrees : {"tp=4,dp=2", "dp=8,zero_stage=1", "tp=2,dp=4"}) {
    INFO(degrees);
    const auto slow = step_of(lab_cluster(2), lab_training(16), degrees);
    CHECK(step_of(lab_cluster(2, fast), lab_training(16), degrees).step_time <= slow.step_time);
  }
}

TEST_CASE("collectives that overlap nothing take what they take alone") {
  const auto result = step_of(lab_cluster(1), lab_training(8), "tp=4");
  REQUIRE_FALSE(result.collectives.empty());
  for (const CollectiveUse& use : result.collectives) {
    CHECK(use.count > 0);
    // Each phase is rounded up to whole picoseconds twice.
    CHECK(use.total.value >= use.expected.value * (1 - 1e-9));
    CHECK(use.total.value <=
          use.expected.value * (1 + 1e-9) + static_cast<double>(use.count) * 1e-12 * 64);
  }
}

TEST_CASE("every collective is reported once") {
  StepOptions options;
  std::int64_t seen = 0;
  options.on_collective = [&](const CollectiveUse&, Picoseconds, std::int64_t copies) {
    seen += copies;
  };
  const auto result = step_of(lab_cluster(2), lab_training(16), "tp=2,dp=4", options);
  std::int64_t counted = 0;
  for (const CollectiveUse& use : result.collectives) counted += use.count;
  CHECK(seen == counted);
}

TEST_CASE("bytes on the links are those that the collectives move") {
  const auto cluster = lab_cluster(1);
  const auto& calibration = topology::default_calibration();
  Plan plan = must(make_plan(cluster, lab_training(8), degrees_of("tp=4"), calibration));
  plan.schedules.clear();  // rings for all
  const StepResult result = must(emulate_step(cluster, plan, calibration));
  // A ring all-reduce of n bytes over 4 ranks puts 2 x 3/4 n on each rank's link up and down;
  // chunks are as large as the largest, so small vectors count up to 3 bytes more per chunk.
  double bytes = 0;
  for (const CollectiveUse& use : result.collectives) {
    REQUIRE(use.operation == workload::Operation::all_reduce);
    bytes += static_cast<double>(use.count) * static_cast<double>(use.size.count) * 1.5 * 4 * 2;
  }
  CHECK(bytes > 0);
  CHECK(result.class_bytes[0] == Approx(bytes).epsilon(1e-6));
}

TEST_CASE("a plan for more accelerators than the cluster has is refused") {
  const Plan plan = must(make_plan(lab_cluster(4), lab_training(16), degrees_of("dp=16"),
                                   topology::default_calibration()));
  const auto result = emulate_step(lab_cluster(1), plan, topology::default_calibration());
  REQUIRE_FALSE(result);
  CHECK(to_string(result.error()).find("rank 4") != std::string::npos);
  CHECK(to_string(result.error()).find("the cluster has 4") != std::string::npos);
}

TEST_CASE("a step that outlasts event time is refused, whether a chip or a cable holds it back") {
  const auto cluster = lab_cluster(1);
  const auto& calibration = topology::default_calibration();
  const Plan plan = must(make_plan(cluster, lab_training(8), degrees_of("tp=4"), calibration));
  StepOptions slow_chip, slow_cables, healed;
  slow_chip.faults.accelerators = {{{0}, 1e-12}};
  for (int l = 0; l < cluster.graph.links(); ++l) {
    slow_cables.faults.links.push_back({{l}, Instant{0}, std::nullopt, 1e-15});
    healed.faults.links.push_back({{l}, Instant{0}, Instant{1'000'000'000'000}, 1e-15});
  }
  for (const StepOptions& options : {slow_chip, slow_cables}) {
    const auto result = emulate_step(cluster, plan, calibration, options);
    REQUIRE_FALSE(result);
    CHECK(to_string(result.error()).find("weeks") != std::string::npos);
  }
  const StepResult late = must(emulate_step(cluster, plan, calibration, healed));
  CHECK(in_seconds(late.step_time).value > 1);
  CHECK(in_seconds(late.step_time).value < 2);
}

TEST_CASE("a step that is too large is refused with its size, before it fills the memory") {
  workload::Training training = lab_training(100'000);
  training.model.layers = 80;
  const auto cluster = lab_cluster(1);
  const Plan plan =
      must(make_plan(cluster, training, degrees_of("tp=4"), topology::default_calibration()));
  const auto result = emulate_step(cluster, plan, topology::default_calibration());
  REQUIRE_FALSE(result);
  CHECK(to_string(result.error()).find("different ops") != std::string::npos);
}
