#include "workload/model.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <initializer_list>
#include <nlohmann/json.hpp>

#include "topology/document.hpp"
#include "workload/model_family.hpp"

namespace railwright::workload {

namespace {

using topology::Cursor;
using topology::Document;
using topology::Fields;

constexpr std::int64_t largest_size = 1'000'000'000;
constexpr std::int64_t most_layers = 100'000;
constexpr const char* expectation = "expected a Hugging Face config.json";

// The families spell one thing in several ways; the first spelling is the one that errors name.
using Spellings = std::initializer_list<const char*>;
constexpr Spellings layer_keys = {"num_hidden_layers", "n_layer", "num_layers", "n_layers"};
constexpr Spellings hidden_keys = {"hidden_size", "n_embd", "d_model"};
constexpr Spellings head_keys = {"num_attention_heads", "n_head", "num_heads", "n_heads"};
constexpr Spellings kv_head_keys = {"num_key_value_heads", "num_kv_heads"};
constexpr Spellings ffn_keys = {"intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size"};
constexpr Spellings position_keys = {"max_position_embeddings", "n_positions", "n_ctx",
                                     "seq_length"};
constexpr Spellings dropout_keys = {"resid_pdrop", "hidden_dropout",    "dropout",
                                    "attn_pdrop",  "attention_dropout", "residual_dropout"};
constexpr Spellings expert_keys = {"num_local_experts", "n_routed_experts", "num_experts",
                                   "moe_num_experts"};

// A value that is not null: config files write null for "the default".
Cursor find_any(Fields& fields, Spellings keys) {
  for (const char* key : keys)
    if (fields.has(key) && !fields.find(key).is_null()) return fields.find(key);
  return fields.find("");
}

bool has_any(Fields& fields, Spellings keys) { return find_any(fields, keys).present(); }

std::int64_t require_size(Fields& fields, Spellings keys, std::int64_t most = largest_size) {
  const Cursor value = find_any(fields, keys);
  if (value.present()) return value.integer(1, most, 1);
  fields.map().error(fmt::format("missing '{}'", *keys.begin()), expectation);
  return 1;
}

std::int64_t size_or(Fields& fields, Spellings keys, std::int64_t fallback) {
  return find_any(fields, keys).integer(1, largest_size, fallback);
}

bool flag_or(Fields& fields, Spellings keys, bool fallback) {
  return find_any(fields, keys).boolean(fallback);
}

void refuse(const Cursor& at, const std::string& what) {
  at.error(what, "docs/model.md says what is read");
}

// What would be priced wrongly as a dense decoder is refused by name; true when it was.
bool refuse_unsupported(Fields& fields) {
  const Cursor type = fields.find("model_type");
  const std::string refusal = type.is_text() ? refusal_of(type.text()) : "";
  const ModelFamily* family = type.is_text() ? find_family(type.text()) : nullptr;
  const Cursor experts = find_any(fields, expert_keys);
  const Cursor latent = find_any(fields, {"kv_lora_rank"});
  const Cursor encoder = find_any(fields, {"is_encoder_decoder"});
  if (!refusal.empty()) {
    refuse(type, fmt::format("'{}' is {}", type.text(), refusal));
  } else if (experts.integer(0, largest_size) > 1 && !(family && family->experts)) {
    refuse(experts, "a mixture of experts in a family that is known as dense");
  } else if (latent.integer(0, largest_size) > 0 && !(family && family->latent)) {
    refuse(latent, "latent attention in a family that is known without");
  } else if (encoder.boolean(false)) {
    refuse(encoder, "an encoder-decoder model; only decoders are supported");
  } else {
    return false;
  }
  return true;
}

ModelFamily read_family(Fields& fields) {
  const Cursor type = fields.require("model_type");
  const std::string name = type.text();
  if (const ModelFamily* family = find_family(name)) return *family;
  if (!name.empty()) {
    std::vector<std::string> known;
    for (const ModelFamily& family : model_families()) known.emplace_back(family.model_type);
    const std::string near = topology::closest_hint(name, known);
    type.error(
        fmt::format("unknown model_type '{}'", name),
        fmt::format("{}{}known are {}", near, near.empty() ? "" : "; ", fmt::join(known, ", ")));
  }
  ModelFamily none;
  none.four_times_ffn = true;  // what is missing is then the family, not its keys
  return none;
}

bool reads_dropout(Fields& fields, bool fallback) {
  bool written = false, drops = false;
  for (const char* key : dropout_keys) {
    const Cursor probability = find_any(fields, {key});
    if (!probability.present()) continue;
    written = true;
    drops = probability.number(0, 1) > 0 || drops;
  }
  return written ? drops : fallback;
}

std::int64_t read_kv_heads(Fields& fields, std::int64_t heads) {
  const bool has_count = has_any(fields, kv_head_keys);
  // Falcon writes num_kv_heads that count only with its new decoder architecture.
  const bool shared = flag_or(fields, {"multi_query"}, false) &&
                      !flag_or(fields, {"new_decoder_architecture"}, false);
  if (shared) return 1;
  return has_count ? size_or(fields, kv_head_keys, heads) : heads;
}

void read_sizes(Fields& fields, const ModelFamily& family, Model& model) {
  model.layers = require_size(fields, layer_keys, most_layers);
  model.hidden = require_size(fields, hidden_keys);
  model.heads = require_size(fields, head_keys);
  model.kv_heads = read_kv_heads(fields, model.heads);
  model.vocabulary = require_size(fields, {"vocab_size"});
  model.positions = size_or(fields, position_keys, 0);
  model.ffn_hidden = family.four_times_ffn ? size_or(fields, ffn_keys, 4 * model.hidden)
                                           : require_size(fields, ffn_keys);
  model.head_dim = size_or(fields, {"head_dim"}, model.hidden / model.heads);
  // What is missing has been said; what does not divide by its stand-in has not.
  if (!has_any(fields, hidden_keys) || !has_any(fields, head_keys)) return;
  if (!has_any(fields, {"head_dim"}) && model.hidden % model.heads != 0)
    find_any(fields, hidden_keys)
        .error(fmt::format("{} is not divisible by {} attention heads", model.hidden, model.heads),
               "write head_dim");
  if (model.heads % model.kv_heads != 0)
    find_any(fields, kv_head_keys)
        .error(fmt::format("{} heads do not share {} key-value heads evenly", model.heads,
                           model.kv_heads));
}

// Every layer after the first dense ones has experts; other patterns are refused.
void refuse_patterns(Fields& fields) {
  for (const char* key : {"moe_layer_freq", "decoder_sparse_step"}) {
    const Cursor every = find_any(fields, {key});
    if (every.integer(1, most_layers, 1) != 1)
      refuse(every, "experts in some of the layers only, which is not supported yet");
  }
  const Cursor dense = find_any(fields, {"mlp_only_layers"});
  if (dense.present() && !dense.items().empty())
    refuse(dense, "experts in some of the layers only, which is not supported yet");
}

void read_experts(Fields& fields, const ModelFamily& family, Model& model) {
  Experts& experts = model.experts;
  const std::int64_t count = find_any(fields, expert_keys).integer(0, largest_size, 0);
  if (!family.experts || count <= 1) return;
  refuse_patterns(fields);
  experts.count = count;
  experts.per_token = require_size(fields, {"num_experts_per_tok"}, count);
  experts.ffn_hidden = size_or(fields, {"moe_intermediate_size"}, model.ffn_hidden);
  experts.dense_layers = find_any(fields, {"first_k_dense_replace"}).integer(0, most_layers, 0);
  const std::int64_t shared = find_any(fields, {"n_shared_experts"}).integer(0, largest_size, 0);
  experts.shared_hidden = find_any(fields, {"shared_expert_intermediate_size"})
                              .integer(0, largest_size, shared * experts.ffn_hidden);
  experts.shared_gate = family.shared_gate && experts.shared_hidden > 0;
  const Cursor method = find_any(fields, {"topk_method"});
  experts.router_bias = method.is_text() && method.text() == "noaux_tc";
}

void read_latent(Fields& fields, const ModelFamily& family, Model& model) {
  if (!family.latent || !has_any(fields, {"kv_lora_rank"})) return;
  Latent& latent = model.latent;
  latent.kv_rank = require_size(fields, {"kv_lora_rank"});
  latent.query_rank = find_any(fields, {"q_lora_rank"}).integer(0, largest_size, 0);
  latent.rope_dim = require_size(fields, {"qk_rope_head_dim"});
  latent.value_dim = require_size(fields, {"v_head_dim"});
  model.head_dim = require_size(fields, {"qk_nope_head_dim"}) + latent.rope_dim;
  model.kv_heads = model.heads;
}

void read_build(Fields& fields, const ModelFamily& family, Model& model) {
  model.gated_mlp = family.gated_mlp;
  model.tied_embeddings = flag_or(fields, {"tie_word_embeddings"}, family.tied_embeddings);
  model.learned_positions = family.learned_positions;
  model.biases = flag_or(fields, {"enable_bias", "use_bias", "bias"}, family.biases);
  model.qkv_bias = flag_or(fields, {"attention_bias"}, family.qkv_bias) && !model.biases;
  model.layer_norm = family.layer_norm;
  model.dropout = reads_dropout(fields, family.dropout);
}

// Our own object inside the file: what config.json has no key for. Strict, as it is ours.
void read_extras(Fields& fields, Model& model) {
  const Cursor own = fields.find("x_railwright");
  if (!own.present()) return;
  Fields extra = own.fields();
  model.name = extra.find("name").text(model.name);
  extra.find("description").text();
  const std::pair<const char*, bool*> flags[] = {{"gated_mlp", &model.gated_mlp},
                                                 {"learned_positions", &model.learned_positions},
                                                 {"biases", &model.biases},
                                                 {"qkv_bias", &model.qkv_bias},
                                                 {"layer_norm", &model.layer_norm},
                                                 {"flash_attention", &model.flash_attention},
                                                 {"dropout", &model.dropout},
                                                 {"router_bias", &model.experts.router_bias},
                                                 {"shared_gate", &model.experts.shared_gate}};
  for (const auto& [key, flag] : flags) *flag = extra.find(key).boolean(*flag);
  extra.finish();
}

std::string name_of(Fields& fields, const std::string& file) {
  const Cursor written = fields.find("_name_or_path");
  if (written.is_text() && !written.text().empty()) return written.text();
  const std::filesystem::path path(file);
  if (path.filename() == "config.json" && path.has_parent_path())
    return path.parent_path().filename().string();
  return path.stem().string();
}

void check_latent(Fields& fields, const Model& model) {
  if (model.latent.kv_rank > 0 && !model.flash_attention)
    find_any(fields, {"kv_lora_rank"}).error("latent attention is supported with flash attention");
}

void check_learned_positions(Fields& fields, const Model& model) {
  if (model.learned_positions && model.positions == 0)
    fields.map().error("learned positions, but their number is missing", "write n_positions");
}

// A multi-modal file keeps its decoder in text_config.
Fields decoder_fields(const Cursor& root) {
  Fields fields = root.fields();
  const Cursor nested = fields.find("text_config");
  return nested.is_map() ? nested.fields() : fields;
}

Errors with_expectation(Errors errors) {
  for (ConfigError& error : errors)
    if (error.hint.empty()) error.hint = expectation;
  return errors;
}

}  // namespace

Result<Model> parse_model(std::string_view text, const std::string& file) {
  Document document = Document::parse(text, file);
  if (!document.ok()) return tl::unexpected<Errors>(with_expectation(document.errors()));
  const Cursor root = document.root();
  if (!root.is_map()) return failure({file, 1, 1}, "not an object", expectation);
  Fields fields = decoder_fields(root);
  if (refuse_unsupported(fields)) return tl::unexpected<Errors>(document.errors());
  Model model;
  const ModelFamily family = read_family(fields);
  model.model_type = family.model_type;
  model.name = name_of(fields, file);
  read_sizes(fields, family, model);
  read_build(fields, family, model);
  read_experts(fields, family, model);
  read_latent(fields, family, model);
  read_extras(fields, model);
  check_learned_positions(fields, model);
  check_latent(fields, model);
  return document.result(std::move(model));
}

std::string canonical_json(const Model& model) {
  nlohmann::ordered_json extra = {
      {"name", model.name},
      {"gated_mlp", model.gated_mlp},
      {"learned_positions", model.learned_positions},
      {"biases", model.biases},
      {"qkv_bias", model.qkv_bias},
      {"layer_norm", model.layer_norm},
      {"flash_attention", model.flash_attention},
      {"dropout", model.dropout},
  };
  nlohmann::ordered_json json = {
      {"model_type", model.model_type},
      {"num_hidden_layers", model.layers},
      {"hidden_size", model.hidden},
      {"num_attention_heads", model.heads},
      {"num_key_value_heads", model.kv_heads},
      {"head_dim", model.head_dim},
      {"intermediate_size", model.ffn_hidden},
      {"vocab_size", model.vocabulary},
      {"tie_word_embeddings", model.tied_embeddings},
      {"x_railwright", std::move(extra)},
  };
  if (model.positions > 0) json["max_position_embeddings"] = model.positions;
  if (model.experts.count > 0) {
    const Experts& experts = model.experts;
    json["n_routed_experts"] = experts.count;
    json["num_experts_per_tok"] = experts.per_token;
    json["moe_intermediate_size"] = experts.ffn_hidden;
    json["shared_expert_intermediate_size"] = experts.shared_hidden;
    json["first_k_dense_replace"] = experts.dense_layers;
    json["x_railwright"]["router_bias"] = experts.router_bias;
    json["x_railwright"]["shared_gate"] = experts.shared_gate;
  }
  if (model.latent.kv_rank > 0) {
    json["kv_lora_rank"] = model.latent.kv_rank;
    json["q_lora_rank"] = model.latent.query_rank;
    json["qk_nope_head_dim"] = model.head_dim - model.latent.rope_dim;
    json["qk_rope_head_dim"] = model.latent.rope_dim;
    json["v_head_dim"] = model.latent.value_dim;
  }
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace railwright::workload
