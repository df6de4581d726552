// What frameworks do to a program: ZeRO-3 without overlap, the host's calls, shards sent one by
// one, recomputation that stops early, gradients that are added apart, softmax that is not fused.
#include <algorithm>
#include <functional>

#include "samples.hpp"

using namespace railwright;
using namespace railwright::workload;

TEST_CASE("without overlap ZeRO-3 gathers what it needs when it needs it, and waits for sums") {
  const Training training{ready("tiny-gpt"), 16, 128};
  Degrees degrees;
  degrees.dp = 4;
  degrees.zero_stage = 3;
  degrees.overlap_gradients = false;
  const Program program = stage_program(training, degrees, 0);
  // The data stream and the compute stream never run at once: each op waits for the last of the
  // other, but for the scalar at the end.
  int last_compute = -1, last_data = -1, gathers = 0;
  for (int i = 0; i < static_cast<int>(program.ops.size()); ++i) {
    const Op& op = program.ops[i];
    const auto waits_for = [&](int other) {
      return other < 0 || std::find(op.after.begin(), op.after.end(), other) != op.after.end();
    };
    if (op.kind == OpKind::compute) {
      CHECK(waits_for(last_data));
      last_compute = i, last_data = -1;
    } else if (op.stream == Stream::data_comm) {
      CHECK(waits_for(last_compute));
      last_data = i;
      gathers += op.operation == Operation::all_gather;
    }
  }
  degrees.overlap_gradients = true;
  int overlapped = 0;
  for (const Op& op : stage_program(training, degrees, 0).ops)
    overlapped += op.stream == Stream::data_comm && op.operation == Operation::all_gather;
  CHECK(gathers == overlapped);
}

TEST_CASE("the host calls every collective of a layer, and ZeRO-1 says how many shards it sends") {
  const Training training{ready("llama-3.1-8b"), 16, 1024};
  const auto count = [&](const Degrees& degrees, KernelKind kind) {
    const Program program = stage_program(training, degrees, 0);
    int sum = 0;
    for (const Body& body : program.bodies)
      for (const Kernel& kernel : body.kernels) sum += kernel.kind == kind ? kernel.count : 0;
    return sum;
  };
  Degrees degrees;
  CHECK(count(degrees, KernelKind::call) == 0);
  CHECK(count(degrees, KernelKind::shard) == 0);
  degrees.tp = 4;
  // Of a layer 2 forward and 2 backward; of the embedding 1; of the head 3 forward, 1 backward.
  CHECK(count(degrees, KernelKind::call) == 2 + 2 + 1 + 3 + 1);
  degrees.tp = 1, degrees.dp = 8, degrees.zero_stage = 1;
  CHECK(count(degrees, KernelKind::shard) == 8);
  degrees.shard = 4;
  CHECK(count(degrees, KernelKind::shard) == 4);
  degrees.shard = 0, degrees.zero_stage = 3;
  CHECK(count(degrees, KernelKind::shard) == 0);
}

namespace {

// Of all that a step computes.
double sum_over(const Program& program, const std::function<double(const Kernel&)>& of) {
  double sum = 0;
  for (const Op& op : program.ops)
    if (op.kind == OpKind::compute)
      for (const Kernel& kernel : program.bodies[op.body].kernels) sum += kernel.count * of(kernel);
  return sum;
}
double flops_of(const Program& program) {
  return sum_over(program, [](const Kernel& kernel) { return kernel.flops.count; });
}

}  // namespace

TEST_CASE("recomputation that stops early leaves out the last product of each layer") {
  Training training{ready("llama-3.1-8b"), 4, 1024};
  training.state.emplace();
  Degrees degrees;
  degrees.dp = 2;
  degrees.recompute = Recompute::full;
  const double whole = flops_of(stage_program(training, degrees, 0));
  training.state->recompute_stops_early = true;
  const double less = flops_of(stage_program(training, degrees, 0));
  // Per token and layer 2 h f; two micro-batches of 1,024 tokens, 32 layers.
  CHECK(whole - less == Approx(2.0 * 4096 * 14336 * 2 * 1024 * 32).epsilon(1e-9));
  degrees.recompute = Recompute::none;
  const double none = flops_of(stage_program(training, degrees, 0));
  CHECK(none < less);
  training.state->recompute_stops_early = false;
  CHECK(flops_of(stage_program(training, degrees, 0)) == none);
  // A mask that dropout draws after the product is kept too, so all is made again.
  training.model.dropout = true;
  degrees.recompute = Recompute::full;
  const Program masked = stage_program(training, degrees, 0);
  training.state->recompute_stops_early = true;
  CHECK(stage_program(training, degrees, 0) == masked);
}

TEST_CASE("gradients added by kernels of their own pass through memory once per micro-batch") {
  Training training{without_biases(ready("tiny-gpt")), 8, 128};
  Degrees degrees;
  degrees.tp = 2;
  const auto added = [&](double gradient) {
    training.state = StateFormat{};
    training.state->gradient = gradient;
    training.state->adds_gradients = true;
    return sum_over(stage_program(training, degrees, 0), [](const Kernel& kernel) {
      return kernel.name == "add_gradient" ? kernel.bytes : 0;
    });
  };
  const Model& model = training.model;
  const double h = static_cast<double>(model.hidden), f = static_cast<double>(model.ffn_hidden);
  const double layers = static_cast<double>(model.layers);
  const double columns = static_cast<double>(vocabulary_shard(model, 2));
  const double matrices = layers * (4 * h * h + 2 * h * f) / 2 + columns * h;
  // 16 bits: 2 read, 2 read and 2 written. A second copy in fp32: 2 read, 4 read and 4 written.
  CHECK(added(2) == Approx(8 * 6 * matrices).epsilon(1e-9));
  CHECK(added(6) == Approx(8 * 10 * matrices).epsilon(1e-9));
  training.state->adds_gradients = false;
  const Program fused = stage_program(training, degrees, 0);
  CHECK(sum_over(fused, [](const Kernel& kernel) { return kernel.name == "add_gradient"; }) == 0);
}

TEST_CASE("softmax is one kernel where a rank has a multiple of four score matrices") {
  Training training{ready("tiny-gpt"), 8, 128};
  training.model.flash_attention = training.model.dropout = false;
  training.model.heads = training.model.kv_heads = 8;
  const auto launches = [&](int tp, int micro_batch) {
    Degrees degrees;
    degrees.tp = tp, degrees.micro_batch = micro_batch;
    return sum_over(stage_program(training, degrees, 0),
                    [](const Kernel& kernel) { return kernel.name.starts_with("softmax"); });
  };
  const double layers = static_cast<double>(training.model.layers);
  CHECK(launches(2, 1) == 8 * 2 * layers);      // 4 matrices: forward and backward
  CHECK(launches(4, 1) == 8 * 2 * 5 * layers);  // 2 matrices
  CHECK(launches(4, 2) == 4 * 2 * layers);
}
