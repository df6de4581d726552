// Sizes of what one rank computes of a layer, from the model and the degrees.
#include <cmath>

#include "workload/cost.hpp"
#include "workload/kernels.hpp"
#include "workload/layer.hpp"

namespace railwright::workload {

namespace {

constexpr double padding = 128;  // of tables of words, see framework.hpp

double as_double(std::int64_t value) { return static_cast<double>(value); }

void add_experts(RankShape& s, const Model& model, const Degrees& degrees) {
  const Experts& experts = model.experts;
  s.experts = as_double(experts.count);
  s.local_experts = s.experts / degrees.ep;
  s.dispatched_tokens = s.local_tokens * as_double(experts.per_token);
  s.routed_tokens = s.dispatched_tokens * degrees.etp;
  s.expert_ffn = as_double(experts.ffn_hidden) / degrees.etp;
  s.shared_ffn = as_double(experts.shared_hidden) / degrees.tp;
}

}  // namespace

RankShape rank_shape(const Training& training, const Degrees& degrees) {
  const Model& model = training.model;
  const double t = degrees.tp;
  RankShape s;
  s.batch = degrees.micro_batch;
  s.sequence = as_double(training.sequence);
  s.tokens = degrees.micro_batch * s.sequence / degrees.cp;
  s.local_tokens = degrees.sequence_parallel ? s.tokens / t : s.tokens;
  s.hidden = as_double(model.hidden);
  s.query = as_double(model.query_width()) / t;
  s.kv = as_double(model.kv_width()) / t;
  s.context = as_double(model.context_width()) / t;
  s.heads = as_double(model.heads) / t;
  s.ffn = as_double(model.ffn_hidden) / t;
  const StateFormat state = state_format(training);
  s.vocabulary = as_double(vocabulary_shard(model, degrees.tp));
  if (degrees.tp == 1 && state.pads_whole_table)
    s.vocabulary = std::ceil(s.vocabulary / padding) * padding;
  s.gradient_bytes = state.adds_gradients ? element_bytes(training.precision) : 8;
  s.element = element_bytes(training.precision);
  s.gated = model.gated_mlp;
  s.rotary = !model.learned_positions;
  s.flash = model.flash_attention;
  s.dropout = model.dropout;
  s.query_rank = as_double(model.latent.query_rank);
  s.kv_rank = as_double(model.latent.kv_rank);
  s.rope = as_double(model.latent.rope_dim);
  add_experts(s, model, degrees);
  return s;
}

}  // namespace railwright::workload
