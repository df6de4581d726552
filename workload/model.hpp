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

// Dense decoder. Sizes are element counts.
struct Model {
  std::string name;
  std::string model_type;  // "llama", "gpt2", ... as read
  std::int64_t layers = 0;
  std::int64_t hidden = 0;      // h
  std::int64_t heads = 0;       // a
  std::int64_t kv_heads = 0;    // g: fewer than heads under GQA
  std::int64_t head_dim = 0;    // d_h: hidden / heads unless written
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
  std::int64_t query_width() const { return heads * head_dim; }  // h_q
  std::int64_t kv_width() const { return kv_heads * head_dim; }  // h_kv
  bool operator==(const Model&) const = default;
};

// config.json as it is downloaded. Unknown keys are normal there; missing or absurd values are
// errors, all of them at once; a mixture-of-experts, latent-attention or encoder model is refused
// by name until it is supported. docs/model.md is the page. The model is named by
// x_railwright.name, else _name_or_path, else the file.
Result<Model> parse_model(std::string_view text, const std::string& file);
// A path, or a name of the catalogue ("llama-3.1-405b").
Result<Model> load_model(const std::string& name_or_path);
const std::vector<topology::ReadyFile>& ready_models();
// One line that parse_model reads back to an equal model; same model, same bytes.
std::string canonical_json(const Model& model);

}  // namespace railwright::workload
