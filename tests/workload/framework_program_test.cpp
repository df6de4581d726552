// What frameworks do to a program: ZeRO-3 without overlap, the host's calls, shards sent one by
// one.
#include <algorithm>

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
