#include "workload/program.hpp"

#include <algorithm>
#include <array>
#include <deque>
#include <map>

#include "samples.hpp"
#include "workload/layer.hpp"

using namespace railwright;
using namespace railwright::workload;

namespace {

std::vector<Program> programs_of(const Setting& setting) {
  std::vector<Program> programs;
  for (int stage = 0; stage < setting.degrees.pp; ++stage)
    programs.push_back(stage_program(setting.training, setting.degrees, stage));
  return programs;
}

double flops_of(const Body& body) {
  double sum = 0;
  for (const Kernel& kernel : body.kernels) sum += kernel.flops.count * kernel.count;
  return sum;
}

double flops_of(const Program& program) {
  std::vector<double> bodies;
  for (const Body& body : program.bodies) bodies.push_back(flops_of(body));
  double sum = 0;
  for (const Op& op : program.ops)
    if (op.kind == OpKind::compute) sum += bodies[static_cast<std::size_t>(op.body)];
  return sum;
}

int count(const Program& program, Dimension group, Operation operation, int micro_batch,
          bool backward) {
  int found = 0;
  for (const Op& op : program.ops)
    found += op.kind == OpKind::collective && op.group == group && op.operation == operation &&
             op.micro_batch == micro_batch && op.backward == backward;
  return found;
}

// Runs the programs of all stages with blocking sends: a message moves when its send and its
// receive both lead their streams with all dependencies met. True when every op has run.
bool runs_to_the_end(const std::vector<Program>& programs) {
  struct Stage {
    std::vector<bool> done;
    std::array<std::deque<int>, stream_count> queues;
  };
  std::vector<Stage> stages(programs.size());
  for (std::size_t i = 0; i < programs.size(); ++i) {
    stages[i].done.resize(programs[i].ops.size());
    for (std::size_t op = 0; op < programs[i].ops.size(); ++op)
      stages[i].queues[static_cast<std::size_t>(programs[i].ops[op].stream)].push_back(
          static_cast<int>(op));
  }
  const auto head = [&](std::size_t stage, Stream stream) -> const Op* {
    const auto& queue = stages[stage].queues[static_cast<std::size_t>(stream)];
    if (queue.empty()) return nullptr;
    const Op& op = programs[stage].ops[static_cast<std::size_t>(queue.front())];
    for (const int before : op.after)
      if (!stages[stage].done[static_cast<std::size_t>(before)]) return nullptr;
    return &op;
  };
  const auto finish = [&](std::size_t stage, Stream stream) {
    auto& queue = stages[stage].queues[static_cast<std::size_t>(stream)];
    stages[stage].done[static_cast<std::size_t>(queue.front())] = true;
    queue.pop_front();
  };
  const auto step = [&](std::size_t stage, Stream stream) {
    const Op* op = head(stage, stream);
    if (op == nullptr || op->kind == OpKind::receive) return false;
    if (op->kind == OpKind::send) {
      const auto peer = static_cast<std::size_t>(op->peer_stage);
      const Op* receive = head(peer, Stream::pipeline_receive);
      if (receive == nullptr || receive->peer_stage != static_cast<int>(stage)) return false;
      if (std::pair(receive->micro_batch, receive->backward) !=
          std::pair(op->micro_batch, op->backward))
        return false;
      CHECK(receive->bytes == op->bytes);
      finish(peer, Stream::pipeline_receive);
    } else if (op->kind == OpKind::collective && op->group == Dimension::pp) {
      for (std::size_t other = 0; other < stages.size(); ++other) {
        const Op* met = head(other, stream);
        if (met == nullptr || met->kind != OpKind::collective) return false;
      }
      for (std::size_t other = 0; other < stages.size(); ++other) finish(other, stream);
      return true;
    }
    finish(stage, stream);
    return true;
  };
  for (bool moved = true; moved;) {
    moved = false;
    for (std::size_t stage = 0; stage < stages.size(); ++stage)
      for (int stream = 0; stream < stream_count; ++stream)
        while (step(stage, static_cast<Stream>(stream))) moved = true;
  }
  for (const Stage& stage : stages)
    for (const bool done : stage.done)
      if (!done) return false;
  return true;
}

}  // namespace

TEST_CASE("FLOPs of all ops are the hardware FLOPs of the step") {
  std::mt19937_64 random(23);
  for (int i = 0; i < 150; ++i) {
    const Setting setting = random_setting(random);
    const Training& training = setting.training;
    const Degrees& degrees = setting.degrees;
    double sum = 0;
    for (const Program& program : programs_of(setting)) sum += flops_of(program);
    sum *= 1.0 * degrees.tp * degrees.cp * degrees.dp;
    const bool flash = training.model.flash_attention;
    const auto kind = flash ? AttentionCount::causal : AttentionCount::dense;
    double expected = hardware_flops_per_step(training, degrees.recompute, kind).count;
    // Flash attention makes the scores again in its backward: the product of queries and keys over
    // the causal half, one multiply-add for two pairs.
    const auto s = static_cast<double>(training.sequence);
    if (flash)
      expected += static_cast<double>(training.model.layers * training.global_batch *
                                      training.model.query_width()) *
                  s * s;
    INFO("seed 23, setting " << i << ": " << to_string(degrees) << " flash " << flash);
    CHECK(sum == Approx(expected).epsilon(1e-9));
  }
}

TEST_CASE("ops depend on earlier ops of other streams alone") {
  std::mt19937_64 random(29);
  for (int i = 0; i < 100; ++i)
    for (const Program& program : programs_of(random_setting(random)))
      for (std::size_t op = 0; op < program.ops.size(); ++op)
        for (const int before : program.ops[op].after) {
          REQUIRE(before >= 0);
          REQUIRE(before < static_cast<int>(op));
          REQUIRE(program.ops[static_cast<std::size_t>(before)].stream != program.ops[op].stream);
        }
}

TEST_CASE("programs run to the end although every send waits for its receive") {
  std::mt19937_64 random(31);
  for (int i = 0; i < 200; ++i) {
    const Setting setting = random_setting(random);
    INFO("seed 31, setting " << i << ": " << to_string(setting.degrees) << " batch "
                             << setting.training.global_batch << " layers "
                             << setting.training.model.layers);
    CHECK(runs_to_the_end(programs_of(setting)));
  }
}

TEST_CASE("a stage never holds more micro-batches than its schedule allows") {
  std::mt19937_64 random(37);
  for (int i = 0; i < 100; ++i) {
    const Setting setting = random_setting(random);
    if (setting.degrees.vpp > 1) continue;  // ops do not say their chunk: see pipeline_test
    for (int stage = 0; stage < setting.degrees.pp; ++stage) {
      const Program program = stage_program(setting.training, setting.degrees, stage);
      std::map<int, int> last_backward;
      for (std::size_t op = 0; op < program.ops.size(); ++op)
        if (program.ops[op].backward)
          last_backward[program.ops[op].micro_batch] = static_cast<int>(op);
      std::map<int, bool> started;
      std::int64_t held = 0, most = 0;
      for (std::size_t op = 0; op < program.ops.size(); ++op) {
        const Op& now = program.ops[op];
        if (now.kind == OpKind::compute && now.micro_batch >= 0) {
          if (!started[now.micro_batch]) most = std::max(most, ++held);
          started[now.micro_batch] = true;
        }
        if (now.micro_batch >= 0 && last_backward[now.micro_batch] == static_cast<int>(op)) --held;
      }
      CHECK(held == 0);
      CHECK(most == passes_in_flight(setting.degrees,
                                     micro_batches(setting.training, setting.degrees), stage));
    }
  }
}

TEST_CASE("tensor parallelism exchanges twice per layer and direction") {
  Setting setting{{ready("llama-3.1-8b"), 8, 8192}, {}};
  setting.degrees.tp = 2;
  setting.degrees.pp = 4;
  const int layers = 8, stage = 1;
  const auto program = [&] { return stage_program(setting.training, setting.degrees, stage); };
  const Program plain = program();
  CHECK(count(plain, Dimension::tp, Operation::all_reduce, 3, false) == 2 * layers);
  CHECK(count(plain, Dimension::tp, Operation::all_reduce, 3, true) == 2 * layers);
  for (const Op& op : plain.ops)
    if (op.kind == OpKind::collective && op.micro_batch >= 0)
      CHECK(op.bytes == Bytes{2ull * 8192 * 4096});
  setting.degrees.recompute = Recompute::full;
  CHECK(count(program(), Dimension::tp, Operation::all_reduce, 3, true) == 4 * layers);
  setting.degrees.recompute = Recompute::none;
  setting.degrees.sequence_parallel = true;
  const Program split = program();
  CHECK(count(split, Dimension::tp, Operation::all_reduce, 3, false) == 0);
  CHECK(count(split, Dimension::tp, Operation::all_gather, 3, false) == 2 * layers);
  CHECK(count(split, Dimension::tp, Operation::reduce_scatter, 3, false) == 2 * layers);
  CHECK(count(split, Dimension::tp, Operation::reduce_scatter, 3, true) == 2 * layers);
  // Two of the gradients, and two of the inputs that were not kept whole.
  CHECK(count(split, Dimension::tp, Operation::all_gather, 3, true) == 4 * layers);
}

TEST_CASE("groups of one rank issue no collective") {
  const Setting setting{{ready("llama-3.1-8b"), 8, 8192}, {}};
  const Program program = stage_program(setting.training, setting.degrees, 0);
  for (const Op& op : program.ops) CHECK(op.kind == OpKind::compute);
}

TEST_CASE("stage borders carry b s h elements, a tp-th of them under sequence parallelism") {
  Setting setting{{ready("llama-3.1-8b"), 8, 8192}, {}};
  setting.degrees.tp = 4;
  setting.degrees.pp = 2;
  setting.degrees.micro_batch = 2;
  for (const bool split : {false, true}) {
    setting.degrees.sequence_parallel = split;
    for (const Op& op : stage_program(setting.training, setting.degrees, 0).ops)
      if (op.kind == OpKind::send)
        CHECK(op.bytes == Bytes{2ull * 2 * 8192 * 4096 / (split ? 4 : 1)});
  }
}

namespace {

// Bytes of one operation in one kind of group, without the scalar norms.
double volume(const Program& program, Dimension group, Operation operation) {
  double sum = 0;
  for (const Op& op : program.ops)
    if (op.kind == OpKind::collective && op.group == group && op.operation == operation &&
        op.bytes.count > 4)
      sum += static_cast<double>(op.bytes.count);
  return sum;
}

}  // namespace

TEST_CASE("data-parallel volumes are the published ones for every ZeRO stage") {
  // Of all parameters Psi of a stage, in 2-byte weights and 4-byte gradients, m micro-batches:
  // ZeRO-0 all-reduces 4 Psi; ZeRO-1 reduce-scatters 4 Psi and gathers 2 Psi; ZeRO-2 scatters m
  // times; ZeRO-3 scatters m times and gathers 2 m times. HSDP all-reduces 4 Psi / shard more.
  std::mt19937_64 random(41);
  for (int i = 0; i < 300; ++i) {
    const Setting setting = random_setting(random);
    const Degrees& d = setting.degrees;
    const auto m = static_cast<double>(micro_batches(setting.training, d));
    const bool replicated = d.zero_stage > 0 && d.shard_ranks() < d.dp * d.cp;
    const Dimension data = d.cp > 1 ? Dimension::dp_cp : Dimension::dp;
    const Dimension share = replicated ? Dimension::shard : data;
    INFO("seed 41, setting " << i << ": " << to_string(d));
    for (int stage = 0; stage < d.pp; ++stage) {
      const Program program = stage_program(setting.training, d, stage);
      const Held held = stage_held(setting.training.model, d, stage);
      const double scattered = d.zero_stage == 0 ? 0 : d.zero_stage == 1 ? 1 : m;
      const double gathered = d.zero_stage == 0 ? 0 : d.zero_stage == 3 ? 2 * m : 1;
      const auto sums_to = [&](Dimension group, Operation operation, double bytes) {
        CHECK(volume(program, group, operation) == Approx(bytes).epsilon(1e-9).margin(8));
      };
      for (const auto& [group, count] :
           {std::pair(share, held.dense), std::pair(Dimension::edp, held.expert)}) {
        const double met = degree_of(d, group) > 1 ? count : 0;
        sums_to(group, Operation::reduce_scatter, 4 * met * scattered);
        sums_to(group, Operation::all_gather, 2 * met * gathered);
        sums_to(group, Operation::all_reduce, d.zero_stage == 0 ? 4 * met : 0);
      }
      sums_to(Dimension::replica, Operation::all_reduce,
              replicated ? 4 * held.dense / d.shard_ranks() : 0);
    }
  }
}

TEST_CASE("ZeRO-3 gathers one unit ahead: each gather waits for the compute before the last unit") {
  Setting setting{{ready("llama-3.1-8b"), 8, 8192}, {}};
  setting.degrees.dp = 4;
  setting.degrees.zero_stage = 3;
  const Program program = stage_program(setting.training, setting.degrees, 0);
  std::vector<int> gathers, computes;
  for (std::size_t i = 0; i < program.ops.size(); ++i) {
    const Op& op = program.ops[i];
    if (op.operation == Operation::all_gather && op.kind == OpKind::collective)
      gathers.push_back(static_cast<int>(i));
    if (op.kind == OpKind::compute && op.micro_batch >= 0) computes.push_back(static_cast<int>(i));
  }
  // Embedding, 32 layers and head, both ways, in two micro-batches: one compute op each.
  REQUIRE(gathers.size() == 2 * 2 * 34);
  REQUIRE(computes.size() == gathers.size());
  for (std::size_t i = 0; i < gathers.size(); ++i) {
    const Op& gather = program.ops[static_cast<std::size_t>(gathers[i])];
    const Op& compute = program.ops[static_cast<std::size_t>(computes[i])];
    CHECK(std::count(compute.after.begin(), compute.after.end(), gathers[i]) == 1);
    if (i < 2) CHECK(gather.after.empty());
    if (i >= 2) CHECK(gather.after == std::vector<int>{computes[i - 2]});
  }
}

TEST_CASE("gradients are reduced while the last micro-batch is still going backward") {
  Setting setting{{ready("llama-3.1-8b"), 8, 8192}, {}};
  setting.degrees.dp = 4;
  const Program program = stage_program(setting.training, setting.degrees, 0);
  int reductions = 0, overlapped = 0;
  for (std::size_t i = 0; i < program.ops.size(); ++i) {
    const Op& op = program.ops[i];
    if (op.group != Dimension::dp || op.kind != OpKind::collective) continue;
    ++reductions;
    CHECK(program.ops[static_cast<std::size_t>(op.after.front())].backward);
    for (std::size_t later = i + 1; later < program.ops.size(); ++later)
      if (program.ops[later].kind == OpKind::compute && program.ops[later].micro_batch == 1) {
        ++overlapped;
        break;
      }
  }
  CHECK(reductions == 34);  // head, 32 layers, embedding: each beyond 40 M parameters
  CHECK(overlapped == 33);
}

TEST_CASE("all stages meet in the pipeline group's collectives in the same order") {
  std::mt19937_64 random(43);
  for (int i = 0; i < 60; ++i) {
    const Setting setting = random_setting(random);
    std::vector<std::vector<std::pair<Operation, Bytes>>> met;
    for (const Program& program : programs_of(setting)) {
      auto& mine = met.emplace_back();
      for (const Op& op : program.ops)
        if (op.kind == OpKind::collective && op.group == Dimension::pp)
          mine.emplace_back(op.operation, op.bytes);
    }
    for (const auto& mine : met) CHECK(mine == met.front());
  }
}

TEST_CASE("a long program is a matter of milliseconds and of a few bodies") {
  Setting setting{{ready("llama-3.1-405b"), 512, 8192}, {}};
  setting.degrees.tp = 8;
  setting.degrees.pp = 16;
  setting.degrees.sequence_parallel = true;
  setting.degrees.recompute = Recompute::full;
  const Program program = stage_program(setting.training, setting.degrees, 3);
  CHECK(program.bodies.size() < 16);
  // 512 micro-batches x 8 layers x (6 forward, 6 again, 10 backward) + 4 at the borders each.
  CHECK(program.ops.size() == 512 * (8 * 22 + 4) + 5);
}

TEST_CASE("the same inputs give the same program") {
  std::mt19937_64 random(47);
  const Setting setting = random_setting(random);
  CHECK(programs_of(setting) == programs_of(setting));
}

TEST_CASE("operations read back from their names") {
  for (const Operation operation :
       {Operation::all_reduce, Operation::reduce_scatter, Operation::all_gather,
        Operation::broadcast, Operation::all_to_all, Operation::send})
    CHECK(*parse_operation(to_string(operation)) == operation);
  REQUIRE_FALSE(parse_operation("allreduce"));
  CHECK(parse_operation("allreduce").error().hint.find("all_reduce") != std::string::npos);
}

TEST_CASE("without overlap gradients are reduced in one piece after the last backward") {
  const Training training{ready("gpt2"), 16, 1024};
  Degrees degrees;
  degrees.dp = 4;
  degrees.zero_stage = 1;
  degrees.overlap_gradients = false;
  const Program program = stage_program(training, degrees, 0);
  int reductions = 0, last_backward = -1, reduction = -1;
  for (int i = 0; i < static_cast<int>(program.ops.size()); ++i) {
    const Op& op = program.ops[i];
    if (op.kind == OpKind::compute && op.backward) last_backward = i;
    if (op.operation == Operation::reduce_scatter && op.group == Dimension::dp &&
        op.kind == OpKind::collective)
      ++reductions, reduction = i;
  }
  CHECK(reductions == 1);
  CHECK(reduction > last_backward);
  degrees.overlap_gradients = true;
  CHECK(parse_degrees(to_string(degrees))->overlap_gradients);
  degrees.overlap_gradients = false;
  CHECK_FALSE(parse_degrees(to_string(degrees))->overlap_gradients);
}
