#include "workload/cost.hpp"

#include <cassert>

#include "workload/layer.hpp"

namespace railwright::workload {

namespace {

double as_double(std::int64_t x) { return static_cast<double>(x); }

double norm_parameters(const Model& model) {
  return (model.layer_norm ? 2.0 : 1.0) * as_double(model.hidden);
}

// Matrices, and the biases of those that tensor parallelism splits along their output.
double sharded_layer_parameters(const Model& model) {
  const double h = as_double(model.hidden), f = as_double(model.ffn_hidden);
  const double q = as_double(model.query_width()), kv = as_double(model.kv_width());
  const double columns = (model.gated_mlp ? 2 : 1) * f;
  double count = h * (q + 2 * kv) + q * h + h * columns + f * h;
  if (model.biases || model.qkv_bias) count += q + 2 * kv;
  if (model.biases) count += columns;
  return count;
}

// Two norms, and the biases that are added after the ranks' parts are summed.
double whole_layer_parameters(const Model& model) {
  return 2 * norm_parameters(model) + (model.biases ? 2 * as_double(model.hidden) : 0.0);
}

double position_parameters(const Model& model) {
  return model.learned_positions ? as_double(model.positions) * as_double(model.hidden) : 0.0;
}

Flops head_forward_flops(const Model& model, std::int64_t b, std::int64_t s) {
  return {2 * as_double(b) * as_double(s) * as_double(model.hidden) * as_double(model.vocabulary)};
}

}  // namespace

double layer_parameters(const Model& model) {
  return sharded_layer_parameters(model) + whole_layer_parameters(model);
}

double embedding_parameters(const Model& model) {
  return as_double(model.vocabulary) * as_double(model.hidden) + position_parameters(model);
}

double parameters(const Model& model) {
  const double head =
      model.tied_embeddings ? 0.0 : as_double(model.vocabulary) * as_double(model.hidden);
  return as_double(model.layers) * layer_parameters(model) + embedding_parameters(model) +
         norm_parameters(model) + head;
}

std::int64_t vocabulary_shard(const Model& model, int tp) {
  return (model.vocabulary + tp - 1) / tp;
}

std::int64_t stage_layers(const Model& model, const Degrees& degrees, int stage) {
  assert(stage >= 0 && stage < degrees.pp);
  const std::int64_t each = model.layers / degrees.pp, rest = model.layers % degrees.pp;
  // The rest goes to the stages before the last, latest first: those hold the fewest micro-batches.
  const int behind = degrees.pp - 2 - stage;
  return each + (behind >= 0 && behind < rest ? 1 : 0);
}

double layer_rank_parameters(const Model& model, int tp) {
  return sharded_layer_parameters(model) / tp + whole_layer_parameters(model);
}

double embedding_rank_parameters(const Model& model, int tp) {
  return as_double(vocabulary_shard(model, tp)) * as_double(model.hidden) +
         position_parameters(model);
}

double head_rank_parameters(const Model& model, const Degrees& degrees) {
  const bool shares_table = model.tied_embeddings && degrees.pp == 1;
  const double table = as_double(vocabulary_shard(model, degrees.tp)) * as_double(model.hidden);
  return norm_parameters(model) + (shares_table ? 0.0 : table);
}

double whole_parameters(const Model& model, const Degrees& degrees, int stage) {
  const bool last = stage == degrees.pp - 1;
  return as_double(stage_layers(model, degrees, stage)) * whole_layer_parameters(model) +
         (last ? norm_parameters(model) : 0.0) + (stage == 0 ? position_parameters(model) : 0.0);
}

double stage_parameters(const Model& model, const Degrees& degrees, int stage) {
  double count =
      as_double(stage_layers(model, degrees, stage)) * layer_rank_parameters(model, degrees.tp);
  if (stage == 0) count += embedding_rank_parameters(model, degrees.tp);
  if (stage == degrees.pp - 1) count += head_rank_parameters(model, degrees);
  return count;
}

Flops core_attention_flops(const Model& model, std::int64_t b, std::int64_t s,
                           AttentionCount count) {
  const double per_pair = count == AttentionCount::causal ? 2 : 4;
  return {per_pair * as_double(b) * as_double(s) * as_double(s) * as_double(model.query_width())};
}

Flops layer_forward_flops(const Model& model, std::int64_t b, std::int64_t s,
                          AttentionCount count) {
  const double tokens = as_double(b) * as_double(s), h = as_double(model.hidden);
  const double q = as_double(model.query_width()), kv = as_double(model.kv_width());
  const double matrices = model.gated_mlp ? 3 : 2;
  const double projections = 2 * tokens * h * (2 * q + 2 * kv);
  const double mlp = 2 * matrices * tokens * h * as_double(model.ffn_hidden);
  return Flops{projections + mlp} + core_attention_flops(model, b, s, count);
}

Flops model_flops_per_step(const Training& training, AttentionCount count) {
  const Model& model = training.model;
  const Flops layer = layer_forward_flops(model, training.global_batch, training.sequence, count);
  const Flops head = head_forward_flops(model, training.global_batch, training.sequence);
  return 3 * (as_double(model.layers) * layer + head);
}

Flops hardware_flops_per_step(const Training& training, Recompute recompute, AttentionCount count) {
  const Model& model = training.model;
  const std::int64_t b = training.global_batch, s = training.sequence;
  Flops again{0};
  if (recompute == Recompute::full) again = layer_forward_flops(model, b, s, count);
  if (recompute == Recompute::selective && !model.flash_attention)
    again = core_attention_flops(model, b, s, count);
  return model_flops_per_step(training, count) + as_double(model.layers) * again;
}

}  // namespace railwright::workload
