// The step as a program: what each pipeline stage runs, in which order, on which stream, as
// Megatron-LM would issue it. A value: the emulator runs it in virtual time, the worker for real.
//
// All ranks of a stage run the same program; which ranks meet in a collective follows from the
// rank's coordinates. Work that repeats per micro-batch is kept once, in `bodies`.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "workload/degrees.hpp"
#include "workload/earlier_ops.hpp"
#include "workload/roofline.hpp"

namespace railwright::workload {

// Sends and receives have a stream each, as a batched isend/irecv has: a stage may wait in a send
// for its neighbour while the neighbour's message comes in.
enum class Stream : std::uint8_t {
  compute,
  tensor_comm,
  data_comm,
  pipeline_comm,  // sends, and the collectives of the pipeline group
  pipeline_receive,
};
inline constexpr int stream_count = 5;

enum class Operation : std::uint8_t {
  all_reduce,
  reduce_scatter,
  all_gather,
  broadcast,
  reduce,
  all_to_all,
  send,  // first rank of the group to the last
};
std::string to_string(Operation operation);
tl::expected<Operation, ConfigError> parse_operation(std::string_view text);

enum class OpKind : std::uint8_t { compute, collective, send, receive };

// One entry of a stage's program. Ops of one stream run in order; `after` names earlier ops of this
// program (indices) on other streams that must have ended too.
struct Op {
  OpKind kind = OpKind::compute;
  Stream stream = Stream::compute;
  int body = -1;                    // compute: index into Program::bodies
  Dimension group = Dimension::tp;  // collective: which group of this rank meets
  Operation operation = Operation::all_reduce;
  Bytes bytes;           // collective: the full vector (nccl-tests size column); send: the message
  int peer_stage = -1;   // send, receive
  int micro_batch = -1;  // -1: once per step
  bool backward = false;
  EarlierOps after;
  bool operator==(const Op&) const = default;
};

struct Body {
  std::string name;  // "attention forward", "optimizer"
  std::vector<Kernel> kernels;
  bool operator==(const Body&) const = default;
};

struct Program {
  int stage = 0;
  std::vector<Body> bodies;
  std::vector<Op> ops;  // every op after those it depends on
  bool operator==(const Program&) const = default;
};

// The program of one stage: its passes in the order of pipeline.hpp; per layer compute bodies and
// the tensor-parallel collectives between them (all-reduce, or all-gather and reduce-scatter under
// sequence parallelism; again in recomputation); sends and receives at stage borders; then the
// gradient all-reduce, or what ZeRO does instead (stage/state.hpp), over dp, in buckets that
// overlap the last micro-batch's backward; the optimizer. A send and its receive carry the same
// (micro_batch, backward) and name each other's stage; tied embeddings are exchanged by the first
// and the last stage with micro_batch -1. Under plain 1F1B a send blocks the compute that follows
// it, as in Megatron-LM. Ending needs no buffering: every send may wait for its receive.
//
// FLOPs of all compute ops, times tp and dp, summed over the stages: without flash attention
// exactly hardware_flops_per_step(dense); with it the causal count plus half a core attention per
// layer, which the backward spends on scores that were not kept; less the last product of each
// recomputed layer under StateFormat::recompute_stops_early. Vector kernels count bytes only.
// The degrees must have no violations. O(micro-batches x layers of the stage) ops.
Program stage_program(const Training& training, const Degrees& degrees, int stage);

}  // namespace railwright::workload
