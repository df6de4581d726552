#include "workload/model_family.hpp"

#include <utility>

namespace railwright::workload {

namespace {

// Defaults as of the configuration classes of Hugging Face transformers 4.4x.
constexpr ModelFamily llama_like(std::string_view name) {
  return {.model_type = name, .gated_mlp = true};
}
constexpr ModelFamily gpt_like(std::string_view name) {
  return {.model_type = name, .biases = true, .layer_norm = true, .four_times_ffn = true};
}
constexpr ModelFamily gpt2_like(std::string_view name) {
  ModelFamily family = gpt_like(name);
  family.tied_embeddings = family.learned_positions = family.dropout = true;
  return family;
}
constexpr ModelFamily with_tied(ModelFamily family) {
  family.tied_embeddings = true;
  return family;
}
constexpr ModelFamily with_qkv_bias(ModelFamily family) {
  family.qkv_bias = true;
  return family;
}

constexpr ModelFamily falcon() {
  ModelFamily family = with_tied(gpt_like("falcon"));
  family.biases = false;
  return family;
}
constexpr ModelFamily opt() {
  ModelFamily family = gpt2_like("opt");
  family.four_times_ffn = false;
  return family;
}
constexpr ModelFamily gpt_neo() {
  ModelFamily family = gpt2_like("gpt_neo");
  family.dropout = false;
  return family;
}

constexpr ModelFamily with_experts(ModelFamily family) {
  family.experts = true;
  return family;
}
constexpr ModelFamily qwen2_moe() {
  ModelFamily family = with_experts(with_qkv_bias(llama_like("qwen2_moe")));
  family.shared_gate = true;
  return family;
}
constexpr ModelFamily with_query_key_norm(ModelFamily family) {
  family.query_key_norm = true;
  return family;
}
constexpr ModelFamily deepseek_like(std::string_view name) {
  ModelFamily family = with_query_key_norm(with_experts(llama_like(name)));  // of narrow vectors
  family.latent = true;
  return family;
}

constexpr ModelFamily families[] = {
    llama_like("llama"),
    llama_like("mistral"),
    with_qkv_bias(llama_like("qwen2")),
    with_query_key_norm(llama_like("qwen3")),
    with_tied(llama_like("gemma")),
    llama_like("phi3"),
    llama_like("granite"),
    gpt2_like("gpt2"),
    gpt2_like("gpt_bigcode"),
    gpt_neo(),
    gpt_like("gpt_neox"),
    opt(),
    with_tied(gpt_like("bloom")),
    falcon(),
    with_tied(gpt_like("starcoder2")),
    with_experts(llama_like("mixtral")),
    qwen2_moe(),
    with_query_key_norm(with_experts(llama_like("qwen3_moe"))),
    deepseek_like("deepseek_v2"),
    deepseek_like("deepseek_v3"),
    deepseek_like("kimi_k2"),
};

constexpr std::string_view expert_types[] = {
    "dbrx",          "olmoe",       "phimoe",  "jetmoe",       "granitemoe",
    "gpt_oss",       "grok-1",      "minimax", "ernie4_5_moe", "glm4_moe",
    "llama4",        "llama4_text", "arctic",  "nllb-moe",     "switch_transformers",
    "hunyuan_v1_moe"};
constexpr std::string_view latent_types[] = {"deepseek_v32", "minicpm3", "longcat_flash"};
constexpr std::string_view encoder_types[] = {
    "bert",       "roberta",         "xlm-roberta", "distilbert", "electra",    "deberta",
    "deberta-v2", "albert",          "t5",          "mt5",        "umt5",       "bart",
    "mbart",      "pegasus",         "marian",      "m2m_100",    "whisper",    "vit",
    "clip",       "siglip",          "wav2vec2",    "camembert",  "longformer", "modernbert",
    "esm",        "encoder-decoder", "led",         "blip"};
constexpr std::string_view recurrent_types[] = {
    "mamba",     "mamba2",       "jamba",      "zamba", "zamba2",          "bamba",
    "falcon_h1", "falcon_mamba", "nemotron_h", "rwkv",  "recurrent_gemma", "qwen3_next"};

bool contains(std::span<const std::string_view> names, std::string_view name) {
  for (const std::string_view candidate : names)
    if (candidate == name) return true;
  return false;
}

}  // namespace

std::span<const ModelFamily> model_families() { return families; }

const ModelFamily* find_family(std::string_view model_type) {
  for (const ModelFamily& family : families)
    if (family.model_type == model_type) return &family;
  return nullptr;
}

std::string refusal_of(std::string_view model_type) {
  if (contains(expert_types, model_type))
    return "a mixture-of-experts model of a kind that is not supported yet";
  if (contains(latent_types, model_type))
    return "a model with latent attention of a kind that is not supported yet";
  if (contains(encoder_types, model_type)) return "an encoder model; only decoders are supported";
  if (contains(recurrent_types, model_type))
    return "a state-space or hybrid model, which is not supported yet";
  return "";
}

}  // namespace railwright::workload
