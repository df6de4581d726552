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
KeptPerToken kept_per_token(const Model& model, double s, double e) {
  const double h = as_double(model.hidden), f = as_double(model.ffn_hidden);
  const double q = as_double(model.query_width()), kv = as_double(model.kv_width());
  const double a = as_double(model.heads);
  KeptPerToken kept;
  kept.whole = 4 * e * h + (model.dropout ? 2 * h : 0);  // inputs of norms, QKV and MLP; masks
  kept.sharded = e * (q + 2 * kv) + e * q + e * (model.gated_mlp ? 3 : 2) * f;
  const double scores = e + (model.dropout ? 1 + e : 0);       // softmax, mask, dropped softmax
  kept.core = model.flash_attention ? 4 * a : scores * a * s;  // flash: fp32 log-sum-exp per row
  return kept;
}

struct Activations {
  double kept = 0;     // per layer and micro-batch
  double working = 0;  // more, for the one layer that is being recomputed
};

Activations layer_activations(const Model& model, const Degrees& degrees, double b, double s,
                              double e) {
  const KeptPerToken token = kept_per_token(model, s, e);
  const double t = degrees.tp, split = degrees.sequence_parallel ? t : 1;
  const double all = b * s * (token.whole / split + (token.sharded + token.core) / t);
  if (degrees.recompute == Recompute::full) {
    const double input = e * b * s * as_double(model.hidden) / split;
    return {input, all};
  }
  if (degrees.recompute == Recompute::selective && !model.flash_attention)
    return {all - b * s * token.core / t, b * s * token.core / t};
  return {all, 0};
}

struct StateBytes {
  double weight, gradient, optimizer;
};
StateBytes state_bytes(Precision precision) {
  if (element_bytes(precision) == 4) return {4, 4, 8};
  return {2, 4, 12};
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
  const double tokens = as_double(degrees.micro_batch) * as_double(training.sequence);
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
double gathered_bytes(const Training& training, const Degrees& degrees, int stage,
                      const StateBytes& state) {
  if (degrees.zero_stage < 2 || degrees.shard_ranks() == 1) return 0;
  const Model& model = training.model;
  const double layer = layer_rank_parameters(model, degrees.tp);
  double largest = layer;
  if (stage == 0) largest = std::max(largest, embedding_rank_parameters(model, degrees.tp));
  if (stage == degrees.pp - 1) largest = std::max(largest, head_rank_parameters(model, degrees));
  if (degrees.zero_stage == 2)
    return state.gradient * (bucket_parameters(degrees.dp * degrees.cp) + largest);
  return state.weight * (largest + layer) + state.gradient * largest;
}

double communication_bytes(const Training& training, const Degrees& degrees, double e) {
  const double message = e * as_double(degrees.micro_batch) * as_double(training.sequence) *
                         as_double(training.model.hidden);
  const int groups = (degrees.tp > 1) + (degrees.dp > 1) + (degrees.pp > 1);
  double bytes = groups * static_cast<double>(communication_buffer.count);
  const bool gathers = degrees.sequence_parallel && degrees.tp > 1;
  if (gathers) bytes += message;
  if (degrees.pp > 1) bytes += 2 * message / (gathers ? degrees.tp : 1);
  return bytes;
}

}  // namespace

double activation_bytes_per_layer(const Model& model, const Degrees& degrees, std::int64_t b,
                                  std::int64_t s) {
  return layer_activations(model, degrees, as_double(b), as_double(s), 2).kept;
}

Bytes MemoryUse::total() const {
  return weights + gradients + optimizer + activations + logits + communication + reserve;
}

MemoryUse stage_memory(const Training& training, const Degrees& degrees, int stage) {
  const Model& model = training.model;
  const double e = element_bytes(training.precision);
  const StateBytes state = state_bytes(training.precision);
  const double count = stage_parameters(model, degrees, stage);
  const double tokens = as_double(degrees.micro_batch) * as_double(training.sequence);
  const Activations layer =
      layer_activations(model, degrees, degrees.micro_batch, as_double(training.sequence), e);
  const std::int64_t passes = passes_in_flight(degrees, micro_batches(training, degrees), stage);
  const double held =
      as_double(stage_layers(model, degrees, stage)) / degrees.vpp * as_double(passes);
  MemoryUse use;
  const auto held_of = [&](int first_sharded) {
    return degrees.zero_stage >= first_sharded ? count / degrees.shard_ranks() : count;
  };
  use.weights = to_bytes(state.weight * held_of(3));
  use.gradients = to_bytes(state.gradient * held_of(2));
  use.optimizer = to_bytes(state.optimizer * held_of(1));
  use.activations =
      to_bytes(held * layer.kept + layer.working + edge_activations(training, degrees, stage, e));
  if (stage == degrees.pp - 1)
    use.logits = to_bytes((e + 4) * tokens * as_double(vocabulary_shard(model, degrees.tp)));
  use.communication = to_bytes(communication_bytes(training, degrees, e) +
                               gathered_bytes(training, degrees, stage, state));
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
