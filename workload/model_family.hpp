// What a config.json leaves unsaid: the build of a layer and the defaults behind its model_type.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace railwright::workload {

struct ModelFamily {
  std::string_view model_type;
  bool gated_mlp = false;
  bool tied_embeddings = false;  // when tie_word_embeddings is not written
  bool learned_positions = false;
  bool biases = false;
  bool qkv_bias = false;
  bool layer_norm = false;
  bool dropout = false;         // when no dropout probability is written
  bool four_times_ffn = false;  // FFN width 4h when it is not written
  bool experts = false;         // its MLPs may be mixtures of experts
  bool shared_gate = false;     // their shared experts are weighted
  bool latent = false;          // multi-head latent attention
  bool query_key_norm = false;  // queries and keys are normalised before they meet
};

std::span<const ModelFamily> model_families();
const ModelFamily* find_family(std::string_view model_type);
// Why this model_type cannot be planned ("mixture-of-experts models are not supported yet"), or "".
std::string refusal_of(std::string_view model_type);

}  // namespace railwright::workload
