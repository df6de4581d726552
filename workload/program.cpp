#include "workload/program.hpp"

#include <algorithm>
#include <cassert>

#include "topology/topology.hpp"
#include "workload/kernels.hpp"
#include "workload/layer.hpp"
#include "workload/program_writer.hpp"

namespace railwright::workload {

namespace {

constexpr double gradient_bytes = 4;  // gradients are summed in fp32
constexpr Bytes scalar{4};            // the fp32 norm of all gradients

// Megatron-LM closes a gradient bucket at this many parameters; ours end at layer borders.
double bucket_parameters(int dp) { return std::max(40e6, 1e6 * dp); }

Kernels joined(std::initializer_list<Kernels> parts) {
  Kernels all;
  for (const Kernels& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

class StageWriter {
 public:
  StageWriter(const Training& training, const Degrees& degrees, int stage);
  Program write();

 private:
  bool first() const { return stage_ == 0; }
  bool last() const { return stage_ == degrees_.pp - 1; }
  bool splits_tensors() const { return degrees_.tp > 1; }

  void make_bodies();
  void forward(int micro_batch);
  void backward(int micro_batch);
  void layer_forward();
  void layer_backward();
  void head_forward();
  void head_backward();
  void embedding_backward();
  void block_forward(int body);
  void block_backward(int body, int weight_body);
  void exchange_sum();  // of the parts that the ranks of a tensor-parallel group computed

  void gradients_ready(double parameters);
  void close_bucket();
  void exchange_tied_embedding();
  void finish();

  const Training& training_;
  const Degrees& degrees_;
  const int stage_;
  const RankShape shape_;
  const bool sequence_split_;  // sequence parallelism that does something
  const std::int64_t layers_;
  const int micro_batches_;
  const Bytes hidden_bytes_;   // activations of a micro-batch: the vector of TP collectives
  const Bytes message_bytes_;  // what a stage border carries
  ProgramWriter writer_;

  int attention_forward_ = -1, attention_backward_ = -1, qkv_weight_ = -1;
  int mlp_forward_ = -1, mlp_backward_ = -1, mlp_weight_ = -1;
  int layer_forward_ = -1, layer_backward_ = -1;  // whole, where no exchange cuts a layer
  int embedding_forward_ = -1, embedding_backward_ = -1;
  int head_forward_ = -1, head_backward_ = -1, head_weight_ = -1;
  int gradient_norm_ = -1, optimizer_ = -1;

  bool last_micro_batch_ = false;
  double open_bucket_ = 0;       // parameters whose gradients wait for their bucket to fill
  std::vector<double> buckets_;  // parameters
  std::vector<int> data_ops_;    // one per bucket
};

StageWriter::StageWriter(const Training& training, const Degrees& degrees, int stage)
    : training_(training),
      degrees_(degrees),
      stage_(stage),
      shape_(rank_shape(training, degrees)),
      sequence_split_(degrees.sequence_parallel && degrees.tp > 1),
      layers_(stage_layers(training.model, degrees, stage)),
      micro_batches_(static_cast<int>(micro_batches(training, degrees))),
      hidden_bytes_(to_bytes(shape_.element * shape_.tokens * shape_.hidden)),
      message_bytes_(to_bytes(shape_.element * shape_.local_tokens * shape_.hidden)),
      writer_(stage) {
  make_bodies();
}

void StageWriter::make_bodies() {
  const RankShape& s = shape_;
  const bool full = degrees_.recompute == Recompute::full;
  const bool again = degrees_.recompute == Recompute::selective && !s.flash;
  const Kernels attention =
      joined({again ? core_attention_forward(s) : Kernels{}, attention_backward(s)});
  if (splits_tensors()) {
    attention_forward_ = writer_.body("attention forward", attention_forward(s));
    mlp_forward_ = writer_.body("mlp forward", mlp_forward(s));
    mlp_backward_ = writer_.body("mlp backward", mlp_backward(s));
    mlp_weight_ = writer_.body("mlp weight gradient", mlp_up_weight_gradient(s));
    attention_backward_ = writer_.body("attention backward", attention);
    qkv_weight_ = writer_.body("qkv weight gradient", qkv_weight_gradient(s));
  } else {
    const Kernels once = joined({attention_forward(s), mlp_forward(s)});
    layer_forward_ = writer_.body("layer forward", once);
    layer_backward_ = writer_.body(
        "layer backward", joined({full ? once : Kernels{}, mlp_backward(s),
                                  mlp_up_weight_gradient(s), attention, qkv_weight_gradient(s)}));
  }
  if (first()) {
    embedding_forward_ = writer_.body("embedding forward", workload::embedding_forward(s));
    embedding_backward_ = writer_.body("embedding backward", workload::embedding_backward(s));
  }
  if (last()) {
    head_forward_ = writer_.body("head forward", workload::head_forward(s));
    head_backward_ = writer_.body("head backward", workload::head_backward(s));
    head_weight_ = writer_.body("head weight gradient", head_weight_gradient(s));
  }
  const double held = stage_parameters(training_.model, degrees_, stage_);
  const double owned = degrees_.zero_stage >= 1 ? held / degrees_.dp : held;
  gradient_norm_ = writer_.body("gradient norm", gradient_norm(owned));
  optimizer_ = writer_.body("optimizer", optimizer_step(owned, held, s.element));
}

// ---- one micro-batch

void StageWriter::exchange_sum() {
  if (!splits_tensors()) return;
  writer_.tensor(sequence_split_ ? Operation::reduce_scatter : Operation::all_reduce,
                 hidden_bytes_);
}

void StageWriter::block_forward(int body) {
  if (sequence_split_) writer_.tensor(Operation::all_gather, hidden_bytes_);
  writer_.compute(body);
  exchange_sum();
}

// The weight gradient of the block's first GEMM runs beside the sum of the input's gradients. Under
// sequence parallelism the input was not kept whole: it is gathered again, beside the other work.
void StageWriter::block_backward(int body, int weight_body) {
  int input = -1;
  if (sequence_split_) {
    writer_.tensor(Operation::all_gather, hidden_bytes_);
    input = writer_.tensor_beside(Operation::all_gather, hidden_bytes_);
  }
  writer_.compute(body);
  exchange_sum();
  writer_.compute_beside(weight_body, input);
}

void StageWriter::layer_forward() {
  if (!splits_tensors()) {
    writer_.compute(layer_forward_);
    return;
  }
  block_forward(attention_forward_);
  block_forward(mlp_forward_);
}

void StageWriter::layer_backward() {
  if (!splits_tensors()) {
    writer_.compute(layer_backward_);
  } else {
    if (degrees_.recompute == Recompute::full) layer_forward();
    block_backward(mlp_backward_, mlp_weight_);
    block_backward(attention_backward_, qkv_weight_);
  }
  gradients_ready(layer_rank_parameters(training_.model, degrees_.tp));
}

// The loss over a split vocabulary: maximum, target's logit and sum of exponentials, in fp32.
void StageWriter::head_forward() {
  if (sequence_split_) writer_.tensor(Operation::all_gather, hidden_bytes_);
  writer_.compute(head_forward_);
  if (!splits_tensors()) return;
  for (int i = 0; i < 3; ++i) writer_.tensor(Operation::all_reduce, to_bytes(4 * shape_.tokens));
}

void StageWriter::head_backward() {
  int input = -1;
  if (sequence_split_) input = writer_.tensor_beside(Operation::all_gather, hidden_bytes_);
  writer_.compute(head_backward_);
  exchange_sum();
  writer_.compute_beside(head_weight_, input);
  gradients_ready(head_rank_parameters(training_.model, degrees_));
}

void StageWriter::embedding_backward() {
  if (sequence_split_) writer_.tensor(Operation::all_gather, hidden_bytes_);
  writer_.compute(embedding_backward_);
  gradients_ready(embedding_rank_parameters(training_.model, degrees_.tp));
}

void StageWriter::forward(int micro_batch) {
  writer_.begin(micro_batch, false);
  if (!first()) writer_.receive(stage_ - 1, message_bytes_);
  if (first()) {
    writer_.compute(embedding_forward_);
    exchange_sum();
  }
  for (std::int64_t layer = 0; layer < layers_; ++layer) layer_forward();
  if (last()) head_forward();
  if (!last()) writer_.send(stage_ + 1, message_bytes_);
}

void StageWriter::backward(int micro_batch) {
  writer_.begin(micro_batch, true);
  last_micro_batch_ = micro_batch == micro_batches_ - 1;
  if (!last()) writer_.receive(stage_ + 1, message_bytes_);
  if (last()) head_backward();
  for (std::int64_t layer = 0; layer < layers_; ++layer) layer_backward();
  if (first()) embedding_backward();
  if (!first()) writer_.send(stage_ - 1, message_bytes_);
}

// ---- once per step

void StageWriter::gradients_ready(double parameters) {
  if (degrees_.dp == 1 || !last_micro_batch_) return;
  open_bucket_ += parameters;
  if (open_bucket_ >= bucket_parameters(degrees_.dp)) close_bucket();
}

void StageWriter::close_bucket() {
  if (open_bucket_ <= 0) return;
  const bool sharded = degrees_.zero_stage >= 1;
  data_ops_.push_back(writer_.data(sharded ? Operation::reduce_scatter : Operation::all_reduce,
                                   to_bytes(gradient_bytes * open_bucket_)));
  buckets_.push_back(open_bucket_);
  open_bucket_ = 0;
}

// Both copies of a tied table get the sum: an all-reduce over two ranks sends as much each way.
void StageWriter::exchange_tied_embedding() {
  if (!training_.model.tied_embeddings || degrees_.pp == 1 || !(first() || last())) return;
  const Bytes size = to_bytes(gradient_bytes * shape_.vocabulary * shape_.hidden);
  writer_.begin(-1, last());
  writer_.send(first() ? degrees_.pp - 1 : 0, size);
  writer_.begin(-1, first());
  writer_.receive(first() ? degrees_.pp - 1 : 0, size);
}

void StageWriter::finish() {
  writer_.begin(-1, true);
  close_bucket();
  for (const int op : data_ops_) writer_.await(op);
  if (sequence_split_)
    writer_.tensor(Operation::all_reduce,
                   to_bytes(gradient_bytes * whole_parameters(training_.model, degrees_, stage_)));
  exchange_tied_embedding();
  writer_.begin(-1, false);
  writer_.compute(gradient_norm_);
  if (degrees_.dp > 1 && degrees_.zero_stage >= 1)
    writer_.await(writer_.data(Operation::all_reduce, scalar));
  if (splits_tensors()) writer_.tensor(Operation::all_reduce, scalar);
  if (degrees_.pp > 1) writer_.pipeline_collective(Operation::all_reduce, scalar);
  writer_.compute(optimizer_);
  if (degrees_.zero_stage < 1) return;
  for (const double bucket : buckets_)
    writer_.data(Operation::all_gather, to_bytes(shape_.element * bucket));
}

Program StageWriter::write() {
  const std::size_t per_layer = splits_tensors() ? 22 : 2;
  const std::size_t per_micro_batch = per_layer * static_cast<std::size_t>(layers_) + 14;
  writer_.reserve(static_cast<std::size_t>(micro_batches_) * per_micro_batch + 64);
  const int warm_up = std::min(micro_batches_, degrees_.pp - 1 - stage_);
  for (int i = 0; i < warm_up; ++i) forward(i);
  for (int i = warm_up; i < micro_batches_; ++i) {
    forward(i);
    backward(i - warm_up);
  }
  for (int i = micro_batches_ - warm_up; i < micro_batches_; ++i) backward(i);
  finish();
  return writer_.take();
}

}  // namespace

Program stage_program(const Training& training, const Degrees& degrees, int stage) {
  assert(stage >= 0 && stage < degrees.pp);
  assert(violations(training, degrees).empty());
  return StageWriter(training, degrees, stage).write();
}

std::string to_string(Operation operation) {
  switch (operation) {
    case Operation::all_reduce:
      return "all_reduce";
    case Operation::reduce_scatter:
      return "reduce_scatter";
    case Operation::all_gather:
      return "all_gather";
    case Operation::broadcast:
      return "broadcast";
    case Operation::reduce:
      return "reduce";
    case Operation::all_to_all:
      return "all_to_all";
    case Operation::send:
      return "send";
  }
  return "send";
}

tl::expected<Operation, ConfigError> parse_operation(std::string_view text) {
  std::vector<std::string> names;
  for (const Operation operation :
       {Operation::all_reduce, Operation::reduce_scatter, Operation::all_gather,
        Operation::broadcast, Operation::reduce, Operation::all_to_all, Operation::send}) {
    names.push_back(to_string(operation));
    if (names.back() == text) return operation;
  }
  const auto near = topology::closest_names(text, names);
  std::string all;
  for (const std::string& name : names) all += (all.empty() ? "" : ", ") + name;
  return tl::unexpected<ConfigError>(
      {{},
       "unknown operation '" + std::string(text) + "'",
       near.empty() ? "write one of " + all : "did you mean '" + near.front() + "'?"});
}

}  // namespace railwright::workload
