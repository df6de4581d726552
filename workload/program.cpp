#include "workload/program.hpp"

#include <algorithm>
#include <cassert>

#include "topology/topology.hpp"
#include "workload/kernels.hpp"
#include "workload/layer.hpp"
#include "workload/pipeline.hpp"
#include "workload/program_writer.hpp"
#include "workload/stage/recipes.hpp"

namespace railwright::workload {

namespace {

constexpr double gradient_bytes = 4;  // gradients are summed in fp32
constexpr Bytes scalar{4};            // the fp32 norm of all gradients

// Megatron-LM closes a gradient bucket at this many parameters; ours end at layer borders.
double bucket_parameters(int dp) { return std::max(40e6, 1e6 * dp); }

class StageWriter {
 public:
  StageWriter(const Training& training, const Degrees& degrees, int stage);
  Program write();

 private:
  bool first() const { return stage_ == 0; }
  bool last() const { return stage_ == degrees_.pp - 1; }
  // Whether a chunk of this stage begins with the embedding, or ends with the head.
  bool embeds(int chunk) const { return first() && chunk == 0; }
  bool heads(int chunk) const { return last() && chunk == degrees_.vpp - 1; }

  void forward(const Pass& pass);
  void backward(const Pass& pass);
  void weight(const Pass& pass);
  void send(int peer_stage);

  void gradients_ready(const Pass& pass, double parameters);
  void close_bucket();
  void exchange_tied_embedding();
  void finish();

  const Training& training_;
  const Degrees& degrees_;
  const int stage_;
  const RankShape shape_;
  const std::int64_t chunk_layers_;
  const int micro_batches_;
  const bool splits_weights_;
  const Bytes message_bytes_;  // what a stage border carries
  ProgramWriter writer_;
  StageRecipes recipes_;
  int gradient_norm_ = -1, optimizer_ = -1;

  double open_bucket_ = 0;       // parameters whose gradients wait for their bucket to fill
  std::vector<double> buckets_;  // parameters
  std::vector<int> data_ops_;    // one per bucket
};

StageWriter::StageWriter(const Training& training, const Degrees& degrees, int stage)
    : training_(training),
      degrees_(degrees),
      stage_(stage),
      shape_(rank_shape(training, degrees)),
      chunk_layers_(stage_layers(training.model, degrees, stage) / degrees.vpp),
      micro_batches_(static_cast<int>(micro_batches(training, degrees))),
      splits_weights_(degrees.schedule == PipelineSchedule::zero_bubble_h1),
      message_bytes_(to_bytes(shape_.element * shape_.local_tokens * shape_.hidden)),
      writer_(stage),
      recipes_(stage_recipes(training, degrees)) {
  register_bodies(recipes_.layer, writer_);
  if (first()) register_bodies(recipes_.embedding, writer_);
  if (last()) register_bodies(recipes_.head, writer_);
  const double held = stage_parameters(training_.model, degrees_, stage_);
  const double owned = degrees_.zero_stage >= 1 ? held / degrees_.dp : held;
  gradient_norm_ = writer_.body("gradient norm", gradient_norm(owned));
  optimizer_ = writer_.body("optimizer", optimizer_step(owned, held, shape_.element));
}

// ---- one micro-batch

// Interleaved and zero-bubble schedules send beside the compute that follows.
void StageWriter::send(int peer_stage) {
  writer_.send(peer_stage, message_bytes_, degrees_.vpp == 1 && !splits_weights_);
}

void StageWriter::forward(const Pass& pass) {
  writer_.begin(pass.micro_batch, false);
  const int p = degrees_.pp;
  if (!embeds(pass.chunk)) writer_.receive((stage_ + p - 1) % p, message_bytes_);
  if (embeds(pass.chunk)) recipes_.embedding.forward.write(writer_);
  for (std::int64_t layer = 0; layer < chunk_layers_; ++layer)
    recipes_.layer.forward.write(writer_);
  if (heads(pass.chunk)) recipes_.head.forward.write(writer_);
  if (!heads(pass.chunk)) send((stage_ + 1) % p);
}

void StageWriter::backward(const Pass& pass) {
  writer_.begin(pass.micro_batch, true);
  const int p = degrees_.pp;
  const auto write = [&](const PartRecipes& part, double parameters) {
    part.backward.write(writer_);
    if (!splits_weights_) gradients_ready(pass, parameters);
  };
  if (!heads(pass.chunk)) writer_.receive((stage_ + 1) % p, message_bytes_);
  if (heads(pass.chunk)) write(recipes_.head, head_rank_parameters(training_.model, degrees_));
  for (std::int64_t layer = 0; layer < chunk_layers_; ++layer)
    write(recipes_.layer, layer_rank_parameters(training_.model, degrees_.tp));
  if (embeds(pass.chunk))
    write(recipes_.embedding, embedding_rank_parameters(training_.model, degrees_.tp));
  if (!embeds(pass.chunk)) send((stage_ + p - 1) % p);
  if (degrees_.vpp > 1) close_bucket();  // buckets end with their chunk
}

void StageWriter::weight(const Pass& pass) {
  writer_.begin(pass.micro_batch, true);
  const auto write = [&](const PartRecipes& part, double parameters) {
    part.weight.write(writer_);
    gradients_ready(pass, parameters);
  };
  if (heads(pass.chunk)) write(recipes_.head, head_rank_parameters(training_.model, degrees_));
  for (std::int64_t layer = 0; layer < chunk_layers_; ++layer)
    write(recipes_.layer, layer_rank_parameters(training_.model, degrees_.tp));
  if (embeds(pass.chunk))
    write(recipes_.embedding, embedding_rank_parameters(training_.model, degrees_.tp));
}

// ---- once per step

void StageWriter::gradients_ready(const Pass& pass, double parameters) {
  if (degrees_.dp == 1 || pass.micro_batch < micro_batches_ - 1) return;
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
  writer_.send(first() ? degrees_.pp - 1 : 0, size, true);
  writer_.begin(-1, first());
  writer_.receive(first() ? degrees_.pp - 1 : 0, size);
}

void StageWriter::finish() {
  writer_.begin(-1, true);
  close_bucket();
  for (const int op : data_ops_) writer_.await(op);
  if (degrees_.sequence_parallel && degrees_.tp > 1)
    writer_.tensor(Dimension::tp, Operation::all_reduce,
                   to_bytes(gradient_bytes * whole_parameters(training_.model, degrees_, stage_)));
  exchange_tied_embedding();
  writer_.begin(-1, false);
  writer_.compute(gradient_norm_);
  if (degrees_.dp > 1 && degrees_.zero_stage >= 1)
    writer_.await(writer_.data(Operation::all_reduce, scalar));
  if (degrees_.tp > 1) writer_.tensor(Dimension::tp, Operation::all_reduce, scalar);
  if (degrees_.pp > 1) writer_.pipeline_collective(Operation::all_reduce, scalar);
  writer_.compute(optimizer_);
  if (degrees_.zero_stage < 1) return;
  for (const double bucket : buckets_)
    writer_.data(Operation::all_gather, to_bytes(shape_.element * bucket));
}

Program StageWriter::write() {
  const std::vector<Pass> order = pipeline_order(degrees_, micro_batches_, stage_);
  const std::size_t per_layer = recipes_.layer.forward.steps() + recipes_.layer.backward.steps() +
                                recipes_.layer.weight.steps();
  writer_.reserve(static_cast<std::size_t>(micro_batches_ * degrees_.vpp) *
                      (per_layer * static_cast<std::size_t>(chunk_layers_) + 14) +
                  64);
  for (const Pass& pass : order) {
    if (pass.kind == PassKind::forward) forward(pass);
    if (pass.kind == PassKind::backward) backward(pass);
    if (pass.kind == PassKind::weight) weight(pass);
  }
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
