#include "workload/model.hpp"

#include <filesystem>
#include <fstream>
#include <random>

#include "samples.hpp"
#include "workload/cost.hpp"

using namespace railwright;
using namespace railwright::workload;

namespace {

std::string errors_of(const std::string& text) {
  const Result<Model> model = parse_model(text, "config.json");
  return model ? "" : to_string(model.error());
}

bool says(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

Model parsed(const std::string& text) {
  INFO(errors_of(text));
  const Result<Model> model = parse_model(text, "models/some-model/config.json");
  REQUIRE(model);
  return *model;
}

const std::string llama = R"({
  "model_type": "llama",
  "hidden_size": 4096,
  "intermediate_size": 14336,
  "num_attention_heads": 32,
  "num_hidden_layers": 32,
  "num_key_value_heads": 8,
  "vocab_size": 128256
})";

std::string with(std::string text, const std::string& from, const std::string& to) {
  const auto at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

}  // namespace

TEST_CASE("every ready model is read, described and named after its file") {
  CHECK(ready_models().size() >= 11);
  for (const topology::ReadyFile& file : ready_models()) {
    const Model model = ready(file.name);
    CHECK(model.name == file.name);
    CHECK_FALSE(file.description.empty());
    CHECK(model.layers > 0);
  }
}

TEST_CASE("canonical JSON reads back to an equal model, and to the same bytes") {
  for (const topology::ReadyFile& file : ready_models()) {
    Model model = ready(file.name);
    for (const bool flip : {false, true}) {
      if (flip) {
        model.flash_attention = model.latent.kv_rank > 0 || !model.flash_attention;
        model.dropout = !model.dropout;
        model.biases = !model.biases;
        model.qkv_bias = !model.biases;
        model.gated_mlp = !model.gated_mlp;
        model.layer_norm = !model.layer_norm;
        model.tied_embeddings = !model.tied_embeddings;
        model.learned_positions = model.positions > 0 && !model.learned_positions;
        model.name = "a \"quoted\" näme";
      }
      const std::string text = canonical_json(model);
      INFO(text);
      const Result<Model> again = parse_model(text, "x.json");
      REQUIRE(again);
      CHECK(*again == model);
      CHECK(canonical_json(*again) == text);
    }
  }
}

TEST_CASE("keys of the families are read with the defaults of their model_type") {
  const Model small = ready("gpt2");
  CHECK(small.layers == 12);
  CHECK(small.hidden == 768);
  CHECK(small.head_dim == 64);
  CHECK(small.kv_heads == 12);
  CHECK(small.ffn_hidden == 3072);  // n_inner absent: 4 n_embd
  CHECK(small.positions == 1024);
  CHECK(small.tied_embeddings);
  CHECK(small.learned_positions);
  CHECK(small.dropout);

  const Model eight = parsed(llama);
  CHECK(eight.name == "some-model");
  CHECK(eight.kv_heads == 8);
  CHECK(eight.head_dim == 128);
  CHECK(eight.gated_mlp);
  CHECK_FALSE(eight.tied_embeddings);
  CHECK_FALSE(eight.layer_norm);
  CHECK_FALSE(eight.dropout);
  CHECK(eight.flash_attention);
  CHECK(parsed(with(llama, R"(  "num_key_value_heads": 8,)", "")).kv_heads == 32);
  CHECK(parsed(with(llama, "8,\n", "8,\n\"head_dim\": null,\n")).head_dim == 128);
  CHECK(parsed(with(llama, "8,\n", "8,\n\"head_dim\": 64,\n")).head_dim == 64);
}

TEST_CASE("parameters of other families match their checkpoints") {
  // Qwen 2.5 7B: biases on Q, K and V alone.
  CHECK(parameters(parsed(R"({"model_type": "qwen2", "hidden_size": 3584, "num_hidden_layers": 28,
    "intermediate_size": 18944, "num_attention_heads": 28, "num_key_value_heads": 4,
    "vocab_size": 152064, "tie_word_embeddings": false})")) == 7'615'616'512);
  // Gemma 7B: h_q = 16 x 256 is wider than h = 3072; tied by default.
  CHECK(parameters(parsed(R"({"model_type": "gemma", "hidden_size": 3072, "num_hidden_layers": 28,
    "intermediate_size": 24576, "num_attention_heads": 16, "num_key_value_heads": 16,
    "head_dim": 256, "vocab_size": 256000})")) == 8'537'680'896);
  CHECK(parameters(parsed(R"({"model_type": "mistral", "hidden_size": 4096,
    "num_hidden_layers": 32, "intermediate_size": 14336, "num_attention_heads": 32,
    "num_key_value_heads": 8, "vocab_size": 32000})")) == 7'241'732'096);
  // OPT 6.7B keeps two more positions than it says: 2 x 4096 of 6,658,473,984.
  CHECK(parameters(parsed(R"({"model_type": "opt", "hidden_size": 4096, "num_hidden_layers": 32,
    "ffn_dim": 16384, "num_attention_heads": 32, "max_position_embeddings": 2048,
    "vocab_size": 50272})")) == 6'658'473'984 - 2 * 4096);
}

TEST_CASE("a decoder inside text_config is read") {
  const std::string nested =
      R"({"model_type": "mistral3", "vision_config": {"hidden_size": 7}, "text_config": )" + llama +
      "}";
  CHECK(parsed(nested).hidden == 4096);
}

TEST_CASE("models that would be priced wrongly are refused by name") {
  CHECK(says(errors_of(with(llama, "llama", "dbrx")), "'dbrx' is a mixture-of-experts"));
  CHECK(says(errors_of(with(llama, "llama", "minicpm3")), "latent attention"));
  CHECK(says(errors_of(with(with(llama, "llama", "qwen3_moe"), "8,",
                            "8, \"num_experts\": 8, \"decoder_sparse_step\": 2, "
                            "\"num_experts_per_tok\": 2,")),
             "experts in some of the layers only"));
  CHECK(says(errors_of(with(with(llama, "llama", "mixtral"), "8,", "8, \"num_local_experts\": 8,")),
             "missing 'num_experts_per_tok'"));
  CHECK(says(errors_of(with(llama, "llama", "bert")), "'bert' is an encoder"));
  CHECK(says(errors_of(with(llama, "llama", "mamba")), "state-space"));
  CHECK(says(errors_of(with(llama, "8,", "8, \"num_local_experts\": 8,")), "known as dense"));
  CHECK(says(errors_of(with(llama, "8,", "8, \"n_routed_experts\": 64,")), "known as dense"));
  CHECK(says(errors_of(with(llama, "8,", "8, \"kv_lora_rank\": 512,")), "latent attention"));
  CHECK(says(errors_of(with(llama, "8,", "8, \"is_encoder_decoder\": true,")), "encoder-decoder"));
  CHECK(errors_of(with(llama, "8,", "8, \"num_experts\": 1,")).empty());
  CHECK(says(errors_of(with(llama, "llama", "lama")), "did you mean 'llama'"));
}

TEST_CASE("errors name the line and column, all at once") {
  const std::string text = errors_of(with(with(llama, "4096", "-4096"), "128256", "0"));
  CHECK(says(text, "config.json:3:18: error: hidden_size: expected an integer from 1"));
  CHECK(says(text, "config.json:8:17: error: vocab_size"));
  CHECK(says(errors_of(with(llama, "4096", "2000000000")), "hidden_size"));
  CHECK(says(errors_of(with(llama, "4096", "\"4096\"")), "without quotes"));
  CHECK(
      says(errors_of(with(llama, "4096", "4097")), "4097 is not divisible by 32 attention heads"));
  CHECK(says(errors_of(with(llama, "8,", "5,")), "32 heads do not share 5 key-value heads"));
  CHECK(says(errors_of(with(llama, "hidden_size", "hiden_size")), "missing 'hidden_size'"));
  CHECK(says(errors_of(R"({"model_type": "gpt2"})"), "num_hidden_layers"));
}

TEST_CASE("a size that is missing is one error, which names it") {
  for (const char* key : {"hidden_size", "intermediate_size", "num_attention_heads",
                          "num_hidden_layers", "vocab_size", "model_type"}) {
    const Result<Model> model = parse_model(with(llama, key, "x_y"), "config.json");
    REQUIRE_FALSE(model);
    INFO(to_string(model.error()));
    CHECK(model.error().size() == 1);
    CHECK(says(model.error().front().message, key));
  }
}

TEST_CASE("an unknown model_type comes with those that are known") {
  for (const char* type : {"lama", "xyz"}) {
    const std::string text = errors_of(with(llama, "llama", type));
    for (const char* known : {"llama", "gpt2", "mixtral", "deepseek_v3", "kimi_k2"})
      CHECK(says(text, known));
  }
}

TEST_CASE("a file that is no config.json says so") {
  for (const char* text : {"", "[1, 2]", "3", "{\"a\": ", "{}", "not json", "{\"a\": 1}"}) {
    const std::string error = errors_of(text);
    INFO(text << " -> " << error);
    CHECK(says(error, "expected a Hugging Face config.json"));
  }
  CHECK(says(errors_of("{\n  \"hidden_size\": ,\n}"), "config.json:2:"));
}

TEST_CASE("unknown keys of x_railwright are errors, since they are ours") {
  CHECK(says(errors_of(with(llama, "8,", "8, \"x_railwright\": {\"flash_atention\": true},")),
             "flash_attention"));
  CHECK_FALSE(parsed(with(llama, "8,", "8, \"x_railwright\": {\"flash_attention\": false},"))
                  .flash_attention);
}

TEST_CASE("a name that is not there comes with the closest names") {
  const Result<Model> missing = load_model("llama-3.1-7b");
  REQUIRE_FALSE(missing);
  CHECK(says(to_string(missing.error()), "llama-3.1-8b"));
  CHECK_FALSE(load_model("/"));
  CHECK_FALSE(load_model(""));
}

TEST_CASE("a path, or a folder with a config.json, is loaded") {
  const auto folder = std::filesystem::path(RAILWRIGHT_BINARY_DIR) / "tests" / "a-model";
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "config.json") << llama;
  const Result<Model> model = load_model(folder.string());
  REQUIRE(model);
  CHECK(model->name == "a-model");
  CHECK(*model == *load_model((folder / "config.json").string()));
}

TEST_CASE("damaged files are refused or read, never more") {
  std::mt19937_64 random(17);
  for (int i = 0; i < 3000; ++i) {
    std::string text = llama;
    for (auto n = random() % 4; n < 4; ++n)
      text[random() % text.size()] = "{}[]\",:0-e9 \xff"[random() % 13];
    text.resize(text.size() - random() % 20);
    const Result<Model> model = parse_model(text, "config.json");
    if (!model) CHECK_FALSE(model.error().empty());
  }
}
