#include <algorithm>

#include "workload/cost.hpp"
#include "workload/layer.hpp"
#include "workload/pipeline.hpp"

namespace railwright::workload {

namespace {

double as_double(std::int64_t x) { return static_cast<double>(x); }

// Bytes per token that one layer keeps for its backward, in the parts that share a divisor.
struct KeptPerToken {
  double whole = 0;    // split only by sequence parallelism
  double sharded = 0;  // split by tensor parallelism
  double core = 0;     // the same, of the core attention: gone under selective recomputation
};

// Korthikanti et al., section 4.1, with the widths of GQA and gated MLPs. `e` bytes per element.
KeptPerToken attention_kept(const Model& model, double s, double e) {
  const double h = as_double(model.hidden), a = as_double(model.heads);
  const double q = as_double(model.query_width()), kv = as_double(model.kv_width());
  const double context = as_double(model.context_width());
  KeptPerToken kept;
  kept.whole = 2 * e * h + (model.dropout ? h : 0);  // inputs of norm and QKV; mask
  kept.sharded = e * (q + kv + (model.latent.kv_rank > 0 ? context : kv)) + e * context;
  // Latents before and after their norms.
  const Latent& latent = model.latent;
  kept.whole += e * as_double(2 * (latent.query_rank + latent.kv_rank) + latent.rope_dim);
  const double scores = e + (model.dropout ? 1 + e : 0);       // softmax, mask, dropped softmax
  kept.core = model.flash_attention ? 4 * a : scores * a * s;  // flash: fp32 log-sum-exp per row
  return kept;
}

// An MLP of this width: its input is kept by the norm before it.
double mlp_kept(const Model& model, double width, double e, bool fused_gate) {
  return e * (model.gated_mlp ? (fused_gate ? 3 : 4) : 2) * width;
}

// k tokens for each one when the router is even. Expert parallelism moves them and divides nothing:
// what a rank sends away, it gets back from others (Megatron-LM, pull request 6782). The widths
// that etp divides are those of etp times as many tokens.
KeptPerToken experts_kept(const Model& model, const Degrees& degrees, double e, bool fused) {
  const Experts& experts = model.experts;
  const double h = as_double(model.hidden), k = as_double(experts.per_token);
  KeptPerToken kept;
  kept.whole = 8 * as_double(experts.count);      // fp32 scores and probabilities
  kept.whole += k * (e * h * (degrees.etp + 1) +  // what experts get, and what they put out
                     mlp_kept(model, as_double(experts.ffn_hidden), e, fused));
  kept.sharded = mlp_kept(model, as_double(experts.shared_hidden), e, fused);
  return kept;
}

KeptPerToken kept_per_token(const Model& model, const Degrees& degrees, bool has_experts, double s,
                            double e, bool fused) {
  const double h = as_double(model.hidden);
  KeptPerToken kept = attention_kept(model, s, e);
  kept.whole += 2 * e * h + (model.dropout ? h : 0);  // inputs of norm and MLP; mask
  if (!has_experts) {
    kept.sharded += mlp_kept(model, as_double(model.ffn_hidden), e, fused);
    return kept;
  }
  const KeptPerToken experts = experts_kept(model, degrees, e, fused);
  kept.whole += experts.whole;
  kept.sharded += experts.sharded;
  return kept;
}

struct Activations {
  double kept = 0;     // per layer and micro-batch
  double working = 0;  // more, for the one layer that is being recomputed
};

Activations layer_activations(const Model& model, const Degrees& degrees, bool has_experts,
                              double b, double s, double e, bool fused = true) {
  const KeptPerToken token = kept_per_token(model, degrees, has_experts, s, e, fused);
  const double t = degrees.tp, split = degrees.sequence_parallel ? t : 1;
  const double tokens = b * s / degrees.cp;
  const double all = tokens * (token.whole / split + (token.sharded + token.core) / t);
  if (degrees.recompute == Recompute::full) {
    const double input = e * tokens * as_double(model.hidden) / split;
    return {input, all};
  }
  if (degrees.recompute == Recompute::selective && !model.flash_attention)
    return {all - tokens * token.core / t, tokens * token.core / t};
  return {all, 0};
}

// Of a micro-batch, on one rank of the context-parallel group.
double local_tokens(const Training& training, const Degrees& degrees) {
  return as_double(degrees.micro_batch) * as_double(training.sequence) / degrees.cp;
}

// Of the passes that stage 0 holds, those of its first chunk: p in every round of p v, see
// pipeline_order.
std::int64_t first_chunk_passes(const Training& training, const Degrees& degrees) {
  const std::int64_t held = passes_in_flight(degrees, micro_batches(training, degrees), 0);
  const std::int64_t round = std::int64_t{degrees.pp} * degrees.vpp;
  return held / round * degrees.pp + std::min<std::int64_t>(held % round, degrees.pp);
}

// What embedding (token ids, dropout mask) and final norm and head keep beside the layers.
double edge_activations(const Training& training, const Degrees& degrees, int stage, double e) {
  const double tokens = local_tokens(training, degrees);
  const double h = as_double(training.model.hidden);
  const double split = degrees.sequence_parallel ? degrees.tp : 1;
  double bytes = 0;
  if (stage == 0)
    bytes += as_double(first_chunk_passes(training, degrees)) * tokens *
             (8 + (training.model.dropout ? h / split : 0));
  if (stage == degrees.pp - 1) bytes += 2 * e * tokens * h / split;
  return bytes;
}

// Whole units of layers that ZeRO gathers or reduces at a time: under ZeRO-3 the weights of the one
// that computes and of the next, and the gradients of one, under ZeRO-2 of a bucket.
double gathered_bytes(const Training& training, const Degrees& degrees, int stage, double e,
                      const StateFormat& state) {
  const bool dense = degrees.shard_ranks() > 1, expert = degree_of(degrees, Dimension::edp) > 1;
  if (degrees.zero_stage < 2 || !(dense || expert)) return 0;
  const auto shared = [&](const Held& held) {
    return (dense ? held.dense : 0) + (expert ? held.expert : 0);
  };
  const Model& model = training.model;
  const bool experts = expert_layers(model, degrees, stage) > 0;
  const double layer = shared(layer_held(model, degrees, experts));
  double largest = layer;
  if (stage == 0) largest = std::max(largest, shared(embedding_held(model, degrees)));
  if (stage == degrees.pp - 1) largest = std::max(largest, shared(head_held(model, degrees)));
  if (degrees.zero_stage == 2)
    return state.gradient * (bucket_parameters(degrees.dp * degrees.cp) + largest);
  const double next = degrees.overlap_gradients ? layer : 0;
  return e * (largest + next) + state.gradient * largest;
}

double communication_bytes(const Training& training, const Degrees& degrees, double e) {
  const double message = e * local_tokens(training, degrees) * as_double(training.model.hidden);
  const int groups = (degrees.tp > 1) + (degrees.cp > 1) + (degrees.ep > 1) + (degrees.etp > 1) +
                     (degrees.dp * degrees.cp > 1) + (degrees.pp > 1);
  double bytes = groups * static_cast<double>(communication_buffer.count);
  const bool gathers = degrees.sequence_parallel && degrees.tp > 1;
  if (gathers) bytes += message;
  // Round the ring: the keys and values in use, and those that come in.
  if (degrees.cp > 1)
    bytes +=
        4 * e * local_tokens(training, degrees) * as_double(training.model.kv_width()) / degrees.tp;
  if (degrees.pp > 1) bytes += 2 * message / (gathers ? degrees.tp : 1);
  return bytes;
}

}  // namespace

StateFormat state_format(const Training& training) {
  if (training.state) return *training.state;
  if (element_bytes(training.precision) == 4) return {4, 4, 8, 4};
  return {};
}

double activation_bytes_per_layer(const Model& model, const Degrees& degrees, std::int64_t b,
                                  std::int64_t s, bool has_experts) {
  return layer_activations(model, degrees, has_experts, as_double(b), as_double(s), 2).kept;
}

Bytes MemoryUse::total() const {
  return weights + gradients + optimizer + activations + logits + communication + reserve;
}

namespace {

double stage_activations(const Training& training, const Degrees& degrees, int stage, double e) {
  const Model& model = training.model;
  const std::int64_t experts = expert_layers(model, degrees, stage);
  const std::int64_t dense = stage_layers(model, degrees, stage) - experts;
  const auto passes = as_double(passes_in_flight(degrees, micro_batches(training, degrees), stage));
  const bool fused = state_format(training).fused_gate;
  double kept = 0, working = 0;
  const auto add = [&](std::int64_t layers, bool has_experts) {
    if (layers == 0) return;
    const Activations layer = layer_activations(model, degrees, has_experts, degrees.micro_batch,
                                                as_double(training.sequence), e, fused);
    kept += as_double(layers) / degrees.vpp * passes * layer.kept;
    working = std::max(working, layer.working);
  };
  add(dense, false);
  add(experts, true);
  return kept + working + edge_activations(training, degrees, stage, e);
}

// Bytes per parameter, of which ZeRO divides what it shards by the ranks that share it: experts
// among those that hold the same ones.
double state_of(const Held& held, const Degrees& degrees, double bytes, int first_sharded) {
  if (degrees.zero_stage < first_sharded) return bytes * held.total();
  return bytes *
         (held.dense / degrees.shard_ranks() + held.expert / degree_of(degrees, Dimension::edp));
}

}  // namespace

MemoryUse stage_memory(const Training& training, const Degrees& degrees, int stage) {
  const Model& model = training.model;
  const double e = element_bytes(training.precision);
  const StateFormat state = state_format(training);
  const Held held = stage_held(model, degrees, stage);
  MemoryUse use;
  use.weights = to_bytes(state_of(held, degrees, state.weight, 3));
  use.gradients = to_bytes(state_of(held, degrees, state.gradient, 2));
  use.optimizer = to_bytes(state_of(held, degrees, state.optimizer, 1));
  use.activations = to_bytes(stage_activations(training, degrees, stage, e));
  if (stage == degrees.pp - 1)
    use.logits = to_bytes((e + 4) * local_tokens(training, degrees) *
                          as_double(vocabulary_shard(model, degrees.tp)));
  use.communication = to_bytes(communication_bytes(training, degrees, e) +
                               gathered_bytes(training, degrees, stage, e, state)) +
                      state.buffers;
  use.reserve = framework_reserve;
  return use;
}

MemoryUse peak_memory(const Training& training, const Degrees& degrees) {
  MemoryUse peak = stage_memory(training, degrees, 0);
  for (int stage = 1; stage < degrees.pp; ++stage) {
    const MemoryUse use = stage_memory(training, degrees, stage);
    if (use.total() > peak.total()) peak = use;
  }
  return peak;
}

}  // namespace railwright::workload
