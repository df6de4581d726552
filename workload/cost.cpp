#include "workload/cost.hpp"

#include <algorithm>
#include <cassert>

#include "workload/layer.hpp"

namespace railwright::workload {

namespace {

double as_double(std::int64_t x) { return static_cast<double>(x); }

double norm_parameters(const Model& model) {
  return (model.layer_norm ? 2.0 : 1.0) * as_double(model.hidden);
}

// Parameters of a layer, by how the ranks divide them.
struct LayerParameters {
  double sharded = 0;  // over tensor-parallel ranks
  double whole = 0;    // on each of them
  double routed = 0;   // of all experts: over expert- and expert-tensor-parallel ranks
};

// Matrices, and the biases of those that tensor parallelism splits along their output.
LayerParameters attention_parameters(const Model& model) {
  const double h = as_double(model.hidden), q = as_double(model.query_width());
  const double kv = as_double(model.kv_width()), context = as_double(model.context_width());
  const Latent& latent = model.latent;
  if (latent.kv_rank == 0) {
    const double biases = model.biases || model.qkv_bias ? q + 2 * kv : 0;
    return {h * (q + 2 * kv) + q * h + biases, model.biases ? h : 0.0, 0};
  }
  const double r_q = as_double(latent.query_rank), r_kv = as_double(latent.kv_rank);
  const double rope = as_double(latent.rope_dim);
  const double unrotated = q - as_double(model.heads) * rope;
  LayerParameters count;
  count.sharded = (r_q > 0 ? r_q : h) * q + r_kv * (unrotated + context) + context * h;
  count.whole = r_q * h + r_q + h * (r_kv + rope) + r_kv;  // down projections and their norms
  return count;
}

double mlp_matrices(const Model& model) { return model.gated_mlp ? 3 : 2; }

LayerParameters mlp_parameters(const Model& model) {
  const double h = as_double(model.hidden), f = as_double(model.ffn_hidden);
  const double columns = (model.gated_mlp ? 2 : 1) * f;
  return {mlp_matrices(model) * h * f + (model.biases ? columns : 0.0), model.biases ? h : 0.0, 0};
}

// `used` of the routed experts.
LayerParameters expert_parameters(const Model& model, std::int64_t used) {
  const Experts& experts = model.experts;
  const double h = as_double(model.hidden), count = as_double(experts.count);
  const double per_width = mlp_matrices(model) * h;
  LayerParameters parameters;
  parameters.sharded = per_width * as_double(experts.shared_hidden);
  parameters.whole =
      h * count + (experts.router_bias ? count : 0.0) + (experts.shared_gate ? h : 0.0);
  parameters.routed = per_width * as_double(used) * as_double(experts.ffn_hidden);
  return parameters;
}

LayerParameters parameters_of_layer(const Model& model, bool has_experts, std::int64_t used) {
  const LayerParameters attention = attention_parameters(model);
  const LayerParameters mlp = has_experts ? expert_parameters(model, used) : mlp_parameters(model);
  return {attention.sharded + mlp.sharded, attention.whole + mlp.whole + 2 * norm_parameters(model),
          mlp.routed};
}

double parameters_using(const Model& model, std::int64_t experts) {
  const double head =
      model.tied_embeddings ? 0.0 : as_double(model.vocabulary) * as_double(model.hidden);
  double count = embedding_parameters(model) + norm_parameters(model) + head;
  const std::int64_t dense =
      model.experts.count > 0 ? std::min(model.layers, model.experts.dense_layers) : model.layers;
  const auto add = [&](std::int64_t layers, bool has_experts) {
    const LayerParameters one = parameters_of_layer(model, has_experts, experts);
    count += as_double(layers) * (one.sharded + one.whole + one.routed);
  };
  add(dense, false);
  if (dense < model.layers) add(model.layers - dense, true);
  return count;
}

double position_parameters(const Model& model) {
  return model.learned_positions ? as_double(model.positions) * as_double(model.hidden) : 0.0;
}

// Of the projections around the attention alone: every weight is used once per token.
double projection_weights(const Model& model) {
  const double h = as_double(model.hidden), q = as_double(model.query_width());
  const double context = as_double(model.context_width());
  const Latent& latent = model.latent;
  if (latent.kv_rank == 0) return h * (2 * q + 2 * as_double(model.kv_width()));
  const double r_q = as_double(latent.query_rank), r_kv = as_double(latent.kv_rank);
  const double rope = as_double(latent.rope_dim);
  const double unrotated = q - as_double(model.heads) * rope;
  return r_q * h + (r_q > 0 ? r_q : h) * q + h * (r_kv + rope) + r_kv * (unrotated + context) +
         context * h;
}

Flops head_forward_flops(const Model& model, std::int64_t b, std::int64_t s) {
  return {2 * as_double(b) * as_double(s) * as_double(model.hidden) * as_double(model.vocabulary)};
}

}  // namespace

double embedding_parameters(const Model& model) {
  return as_double(model.vocabulary) * as_double(model.hidden) + position_parameters(model);
}

double parameters(const Model& model) { return parameters_using(model, model.experts.count); }

double active_parameters(const Model& model) {
  return parameters_using(model, model.experts.per_token);
}

std::int64_t vocabulary_shard(const Model& model, int tp) {
  constexpr std::int64_t whole_rows = 8;  // 16 bytes
  if (tp == 1) return model.vocabulary;
  const std::int64_t step = tp * whole_rows;
  return (model.vocabulary + step - 1) / step * whole_rows;
}

std::int64_t stage_layers(const Model& model, const Degrees& degrees, int stage) {
  assert(stage >= 0 && stage < degrees.pp);
  if (!degrees.layers.empty()) return degrees.layers[static_cast<std::size_t>(stage)];
  const std::int64_t each = model.layers / degrees.pp, rest = model.layers % degrees.pp;
  // The rest goes to the stages before the last, latest first: those hold the fewest micro-batches.
  const int behind = degrees.pp - 2 - stage;
  return each + (behind >= 0 && behind < rest ? 1 : 0);
}

LayerRange chunk_layers(const Model& model, const Degrees& degrees, int stage, int chunk) {
  if (degrees.vpp > 1) {
    const std::int64_t each = model.layers / (std::int64_t{degrees.pp} * degrees.vpp);
    const std::int64_t first = (std::int64_t{chunk} * degrees.pp + stage) * each;
    return {first, first + each};
  }
  LayerRange range;
  for (int before = 0; before < stage; ++before)
    range.first += stage_layers(model, degrees, before);
  range.end = range.first + stage_layers(model, degrees, stage);
  return range;
}

std::int64_t expert_layers(const Model& model, const Degrees& degrees, int stage) {
  if (model.experts.count == 0) return 0;
  std::int64_t count = 0;
  for (int chunk = 0; chunk < degrees.vpp; ++chunk) {
    const LayerRange range = chunk_layers(model, degrees, stage, chunk);
    count += range.end - std::clamp(model.experts.dense_layers, range.first, range.end);
  }
  return count;
}

Held layer_held(const Model& model, const Degrees& degrees, bool has_experts) {
  const LayerParameters layer = parameters_of_layer(model, has_experts, model.experts.count);
  const double expert_ranks = 1.0 * degrees.ep * degrees.etp;
  return {layer.sharded / degrees.tp + layer.whole, layer.routed / expert_ranks};
}

Held embedding_held(const Model& model, const Degrees& degrees) {
  const double columns = as_double(vocabulary_shard(model, degrees.tp));
  return {columns * as_double(model.hidden) + position_parameters(model), 0};
}

Held head_held(const Model& model, const Degrees& degrees) {
  const bool shares_table = model.tied_embeddings && degrees.pp == 1;
  const double table = as_double(vocabulary_shard(model, degrees.tp)) * as_double(model.hidden);
  return {norm_parameters(model) + (shares_table ? 0.0 : table), 0};
}

double whole_parameters(const Model& model, const Degrees& degrees, int stage) {
  const bool last = stage == degrees.pp - 1;
  const std::int64_t experts = expert_layers(model, degrees, stage);
  const double dense = as_double(stage_layers(model, degrees, stage) - experts);
  double count = (last ? norm_parameters(model) : 0.0) +
                 (stage == 0 ? position_parameters(model) : 0.0) +
                 dense * parameters_of_layer(model, false, 0).whole;
  if (experts > 0) count += as_double(experts) * parameters_of_layer(model, true, 0).whole;
  return count;
}

Held stage_held(const Model& model, const Degrees& degrees, int stage) {
  const std::int64_t experts = expert_layers(model, degrees, stage);
  const double dense = as_double(stage_layers(model, degrees, stage) - experts);
  const Held dense_layer = layer_held(model, degrees, false);
  Held held{dense * dense_layer.dense, 0};
  if (experts > 0) {
    const Held layer = layer_held(model, degrees, true);
    held += {as_double(experts) * layer.dense, as_double(experts) * layer.expert};
  }
  if (stage == 0) held += embedding_held(model, degrees);
  if (stage == degrees.pp - 1) held += head_held(model, degrees);
  return held;
}

double stage_parameters(const Model& model, const Degrees& degrees, int stage) {
  return stage_held(model, degrees, stage).total();
}

Flops core_attention_flops(const Model& model, std::int64_t b, std::int64_t s,
                           AttentionCount count) {
  const double per_pair = count == AttentionCount::causal ? 1 : 2;
  const double widths = as_double(model.query_width()) + as_double(model.context_width());
  return {per_pair * as_double(b) * as_double(s) * as_double(s) * widths};
}

Flops layer_forward_flops(const Model& model, std::int64_t b, std::int64_t s, AttentionCount count,
                          bool has_experts) {
  const double tokens = as_double(b) * as_double(s), h = as_double(model.hidden);
  const double width = as_double(
      has_experts ? model.experts.shared_hidden + model.experts.per_token * model.experts.ffn_hidden
                  : model.ffn_hidden);
  const double router = has_experts ? h * as_double(model.experts.count) : 0;
  const double weights = projection_weights(model) + mlp_matrices(model) * h * width + router;
  return Flops{2 * tokens * weights} + core_attention_flops(model, b, s, count);
}

Flops layers_forward_flops(const Model& model, std::int64_t b, std::int64_t s,
                           AttentionCount count) {
  const std::int64_t dense =
      model.experts.count > 0 ? std::min(model.layers, model.experts.dense_layers) : model.layers;
  return as_double(dense) * layer_forward_flops(model, b, s, count, false) +
         as_double(model.layers - dense) * layer_forward_flops(model, b, s, count, true);
}

Flops model_flops_per_step(const Training& training, AttentionCount count) {
  const Model& model = training.model;
  const std::int64_t b = training.global_batch, s = training.sequence;
  return 3 * (layers_forward_flops(model, b, s, count) + head_forward_flops(model, b, s));
}

Flops hardware_flops_per_step(const Training& training, Recompute recompute, AttentionCount count) {
  const Model& model = training.model;
  const std::int64_t b = training.global_batch, s = training.sequence;
  Flops again{0};
  if (recompute == Recompute::full) again = layers_forward_flops(model, b, s, count);
  if (recompute == Recompute::selective && !model.flash_attention)
    again = as_double(model.layers) * core_attention_flops(model, b, s, count);
  return model_flops_per_step(training, count) + again;
}

}  // namespace railwright::workload
