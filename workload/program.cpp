#include "workload/program.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

#include "topology/topology.hpp"
#include "workload/kernels.hpp"
#include "workload/layer.hpp"
#include "workload/pipeline.hpp"
#include "workload/program_writer.hpp"
#include "workload/stage/recipes.hpp"
#include "workload/stage/state.hpp"

namespace railwright::workload {

namespace {

constexpr Bytes scalar{4};  // the fp32 norm of all gradients

// What one pass does on one part of the stage: the embedding, a layer, the head.
struct Unit {
  Pass pass;
  const Recipe* recipe = nullptr;
  Held parameters;
  bool first = false, last = false;  // of its pass
};

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

  void add_units(const Pass& pass);
  void write_unit(std::size_t index);
  void receive(const Pass& pass);
  void send(const Pass& pass);
  void exchange_tied_embedding();
  void finish();

  const Training& training_;
  const Degrees& degrees_;
  const int stage_;
  const RankShape shape_;
  const StateFormat format_;
  const int micro_batches_;
  const bool splits_weights_;
  const Bytes message_bytes_;  // what a stage border carries
  ProgramWriter writer_;
  StateExchange state_;
  StageRecipes recipes_;
  const Held dense_layer_, expert_layer_;
  std::vector<Unit> units_;
  int gradient_norm_ = -1, optimizer_ = -1;
};

StageWriter::StageWriter(const Training& training, const Degrees& degrees, int stage)
    : training_(training),
      degrees_(degrees),
      stage_(stage),
      shape_(rank_shape(training, degrees)),
      format_(state_format(training)),
      micro_batches_(static_cast<int>(micro_batches(training, degrees))),
      splits_weights_(degrees.schedule == PipelineSchedule::zero_bubble_h1),
      message_bytes_(to_bytes(shape_.element * shape_.local_tokens * shape_.hidden)),
      writer_(stage),
      state_(degrees, shape_.element, format_.summed, writer_),
      recipes_(stage_recipes(training, degrees)),
      dense_layer_(layer_held(training.model, degrees, false)),
      expert_layer_(layer_held(training.model, degrees, true)) {
  const std::int64_t experts = expert_layers(training.model, degrees, stage);
  if (experts < stage_layers(training.model, degrees, stage))
    register_bodies(recipes_.dense_layer, writer_);
  if (experts > 0) register_bodies(recipes_.expert_layer, writer_);
  if (first()) register_bodies(recipes_.embedding, writer_);
  if (last()) register_bodies(recipes_.head, writer_);
  const Held held = stage_held(training_.model, degrees_, stage_);
  const double owned = state_.owned(held);
  gradient_norm_ = writer_.body("gradient norm", gradient_norm(owned));
  Kernels optimizer =
      optimizer_step(owned, degrees_.zero_stage >= 2 ? owned : held.total(), shape_.element);
  if (state_.sends_shards())
    for (Kernel& kernel : shards_sent(degrees_.shard_ranks()))
      optimizer.push_back(std::move(kernel));
  optimizer_ = writer_.body("optimizer", std::move(optimizer));
}

// ---- one micro-batch

// The parts of a chunk in the order of a forward, or backwards.
void StageWriter::add_units(const Pass& pass) {
  const Model& model = training_.model;
  std::vector<Unit> units;
  const auto add = [&](const PartRecipes& part, const Held& parameters) {
    const Recipe& recipe = pass.kind == PassKind::forward    ? part.forward
                           : pass.kind == PassKind::backward ? part.backward
                                                             : part.weight;
    units.push_back({pass, &recipe, parameters, false, false});
  };
  const LayerRange layers = chunk_layers(model, degrees_, stage_, pass.chunk);
  if (embeds(pass.chunk)) add(recipes_.embedding, embedding_held(model, degrees_));
  for (std::int64_t layer = layers.first; layer < layers.end; ++layer) {
    const bool has_experts = model.has_experts(layer);
    add(has_experts ? recipes_.expert_layer : recipes_.dense_layer,
        has_experts ? expert_layer_ : dense_layer_);
  }
  if (heads(pass.chunk)) add(recipes_.head, head_held(model, degrees_));
  if (pass.kind != PassKind::forward) std::reverse(units.begin(), units.end());
  units.front().first = units.back().last = true;
  units_.insert(units_.end(), units.begin(), units.end());
}

void StageWriter::receive(const Pass& pass) {
  const int p = degrees_.pp;
  writer_.begin(pass.micro_batch, pass.kind != PassKind::forward);
  if (pass.kind == PassKind::forward && !embeds(pass.chunk))
    writer_.receive((stage_ + p - 1) % p, message_bytes_);
  if (pass.kind == PassKind::backward && !heads(pass.chunk))
    writer_.receive((stage_ + 1) % p, message_bytes_);
}

// Interleaved and zero-bubble schedules send beside the compute that follows.
void StageWriter::send(const Pass& pass) {
  const int p = degrees_.pp;
  const bool blocks = degrees_.vpp == 1 && !splits_weights_;
  if (pass.kind == PassKind::forward && !heads(pass.chunk))
    writer_.send((stage_ + 1) % p, message_bytes_, blocks);
  if (pass.kind == PassKind::backward && !embeds(pass.chunk))
    writer_.send((stage_ + p - 1) % p, message_bytes_, blocks);
}

void StageWriter::write_unit(std::size_t index) {
  const Unit& unit = units_[index];
  if (unit.first) receive(unit.pass);
  const bool ahead = state_.announces_ahead();
  if (index == 0 || !ahead) state_.announce(unit.parameters);
  if (ahead && index + 1 < units_.size()) state_.announce(units_[index + 1].parameters);
  state_.await_weights();
  unit.recipe->write(writer_);
  const PassKind gradients = splits_weights_ ? PassKind::weight : PassKind::backward;
  if (unit.pass.kind == gradients)
    state_.gradients_ready(unit.parameters, unit.pass.micro_batch == micro_batches_ - 1);
  if (!unit.last) return;
  send(unit.pass);
  // Buckets end with their chunk, and no sum spans micro-batches.
  const bool chunks = degrees_.vpp > 1 && degrees_.overlap_gradients;
  if (unit.pass.kind == gradients && (chunks || degrees_.zero_stage >= 2)) state_.close_buckets();
}

// ---- once per step

// Both copies of a tied table get the sum: an all-reduce over two ranks sends as much each way.
void StageWriter::exchange_tied_embedding() {
  if (!training_.model.tied_embeddings || degrees_.pp == 1 || !(first() || last())) return;
  const Bytes size = to_bytes(format_.summed * state_.summed(shape_.vocabulary * shape_.hidden));
  writer_.begin(-1, last());
  writer_.send(first() ? degrees_.pp - 1 : 0, size, true);
  writer_.begin(-1, first());
  writer_.receive(first() ? degrees_.pp - 1 : 0, size);
}

void StageWriter::finish() {
  writer_.begin(-1, true);
  state_.await_sums();
  const double whole = whole_parameters(training_.model, degrees_, stage_);
  if (degrees_.sequence_parallel && degrees_.tp > 1)
    writer_.tensor(Dimension::tp, Operation::all_reduce,
                   to_bytes(format_.summed * state_.summed(whole)));
  exchange_tied_embedding();
  writer_.begin(-1, false);
  writer_.compute(gradient_norm_);
  state_.sum_over_shards(scalar);
  if (degrees_.tp > 1) writer_.tensor(Dimension::tp, Operation::all_reduce, scalar);
  if (degrees_.pp > 1) writer_.pipeline_collective(Operation::all_reduce, scalar);
  writer_.compute(optimizer_);
  state_.gather_weights();
}

Program StageWriter::write() {
  for (const Pass& pass : pipeline_order(degrees_, micro_batches_, stage_)) add_units(pass);
  std::size_t ops = 64;
  for (const Unit& unit : units_) ops += unit.recipe->steps() + 4;
  writer_.reserve(ops);
  for (std::size_t index = 0; index < units_.size(); ++index) write_unit(index);
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
