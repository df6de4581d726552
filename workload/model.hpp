// A transformer, as its Hugging Face config.json describes it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "topology/result.hpp"
#include "topology/topology.hpp"
#include "topology/units.hpp"

namespace railwright::workload {

using topology::Precision;

// A mixture of experts in place of the MLP: a router sends each token to a few of them.
struct Experts {
  std::int64_t count = 0;          // E: routed experts of a layer; 0 = dense layers only
  std::int64_t per_token = 0;      // k
  std::int64_t ffn_hidden = 0;     // f_e: width of one
  std::int64_t shared_hidden = 0;  // width of all experts that see every token, together
  std::int64_t dense_layers = 0;   // the first layers have an ordinary MLP
  bool shared_gate = false;        // the shared experts' output is weighted (Qwen 2)
  bool router_bias = false;        // one more number per expert (DeepSeek-V3)
  bool operator==(const Experts&) const = default;
};

// Multi-head latent attention (DeepSeek-V2): keys and values of all heads are made from one narrow
// vector per token.
struct Latent {
  std::int64_t kv_rank = 0;     // 0 = ordinary attention
  std::int64_t query_rank = 0;  // 0 = queries are projected directly
  std::int64_t rope_dim = 0;    // part of head_dim that is rotated; its key is shared by the heads
  std::int64_t value_dim = 0;   // of a head
  bool operator==(const Latent&) const = default;
};

// A decoder. Sizes are element counts.
struct Model {
  std::string name;
  std::string model_type;  // "llama", "gpt2", ... as read
  std::int64_t layers = 0;
  std::int64_t hidden = 0;      // h
  std::int64_t heads = 0;       // a
  std::int64_t kv_heads = 0;    // g: fewer than heads under GQA
  std::int64_t head_dim = 0;    // d_h: hidden / heads unless written; of queries and keys
  std::int64_t ffn_hidden = 0;  // f
  std::int64_t vocabulary = 0;  // V
  std::int64_t positions = 0;   // longest sequence the model was made for; 0 = not said
  bool gated_mlp = false;       // SwiGLU and its kin: three matrices instead of two
  bool tied_embeddings = false;
  bool learned_positions = false;  // GPT-2: positions x hidden more parameters
  bool biases = false;             // linear layers carry biases (GPT)
  bool layer_norm = false;         // LayerNorm (2h parameters) instead of RMSNorm (h)
  bool flash_attention = true;     // scores are not kept
  bool dropout = false;            // masks are kept (GPT-2, GPT-3)
  bool qkv_bias = false;           // biases on Q, K and V alone (Qwen 2)
  Experts experts;
  Latent latent;
  std::int64_t query_width() const { return heads * head_dim; }  // h_q
  std::int64_t kv_width() const { return kv_heads * head_dim; }  // h_kv
  // Of what the heads put out together.
  std::int64_t context_width() const {
    return latent.kv_rank > 0 ? heads * latent.value_dim : query_width();
  }
  bool has_experts(std::int64_t layer) const {
    return experts.count > 0 && layer >= experts.dense_layers;
  }
  bool operator==(const Model&) const = default;
};

// config.json as it is downloaded. Unknown keys are normal there; missing or absurd values are
// errors, all of them at once; what would be priced wrongly, such as an encoder, is refused by
// name. docs/model.md is the page. The model is named by x_railwright.name, else _name_or_path,
// else the file.
Result<Model> parse_model(std::string_view text, const std::string& file);
// A path, or a name of the catalogue ("llama-3.1-405b").
Result<Model> load_model(const std::string& name_or_path);
const std::vector<topology::ReadyFile>& ready_models();
// One line that parse_model reads back to an equal model; same model, same bytes.
std::string canonical_json(const Model& model);

}  // namespace railwright::workload
