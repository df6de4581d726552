#include "workload/cost.hpp"

#include "samples.hpp"

using namespace railwright;
using namespace railwright::workload;

namespace {

// A model from its sizes, GPT-like: with biases, LayerNorm, learned positions, tied embeddings.
Model gpt(std::int64_t layers, std::int64_t hidden, std::int64_t heads, std::int64_t head_dim) {
  Model model = ready("gpt3-175b");
  model.layers = layers;
  model.hidden = hidden;
  model.heads = model.kv_heads = heads;
  model.head_dim = head_dim;
  model.ffn_hidden = 4 * hidden;
  return model;
}

double billions(double count) { return count / 1e9; }

void check_printed(double value, double printed, double digit) {
  CHECK(value == Approx(printed).margin(digit / 2).epsilon(0));
}

double flops(const std::string& model, std::int64_t batch, std::int64_t sequence) {
  return model_flops_per_step({ready(model), batch, sequence}).count;
}

}  // namespace

TEST_CASE("parameters of published models are exact") {
  // The counts of the checkpoints on Hugging Face.
  CHECK(parameters(ready("llama-3.1-8b")) == 8'030'261'248);
  CHECK(parameters(ready("llama-3.1-70b")) == 70'553'706'496);
  CHECK(parameters(ready("llama-3.1-405b")) == 405'853'388'800);
  CHECK(parameters(ready("llama-2-7b")) == 6'738'415'616);
  CHECK(parameters(ready("llama-2-70b")) == 68'976'648'192);
  CHECK(parameters(ready("gpt2")) == 124'439'808);
}

TEST_CASE("parameters of GPT models match Calculon, which counts biases and positions") {
  // GPT-3 13B has hidden 5140 and 40 heads of 128: h_q = 5120 is not h.
  check_printed(billions(parameters(gpt(40, 5140, 40, 128))), 12.941, 0.001);
  check_printed(billions(parameters(ready("gpt3-175b"))), 174.616, 0.001);
  check_printed(billions(parameters(ready("megatron-530b"))), 529.6, 0.1);
  check_printed(billions(parameters(ready("megatron-1t"))), 1008, 1);
}

TEST_CASE("parameters of GPT models match Megatron-LM, which leaves biases and positions out") {
  check_printed(billions(parameters(without_biases(ready("gpt3-175b")))), 174.58, 0.01);
  check_printed(billions(parameters(without_biases(ready("megatron-22b")))), 22.06, 0.01);
  check_printed(billions(parameters(ready("llama-3.1-8b"))), 8.03, 0.01);
  check_printed(billions(parameters(ready("llama-3.1-70b"))), 70.55, 0.01);
  check_printed(billions(parameters(ready("llama-3.1-405b"))), 405.85, 0.01);
}

TEST_CASE("GPT parameters follow 12 L h^2 (1 + 13/(12h) + (V + s)/(12 L h))") {
  // Narayanan et al., SC'21, eq. 2, plus the final LayerNorm, which they leave out.
  const Model model = ready("gpt3-175b");
  const double L = 96, h = 12288, V = 51200, s = 2048;
  const double formula = 12 * L * h * h * (1 + 13 / (12 * h) + (V + s) / (12 * L * h)) + 2 * h;
  CHECK(parameters(model) == Approx(formula).epsilon(1e-12));
}

TEST_CASE("parameters of the stages add up to the model") {
  std::mt19937_64 random(7);
  for (int i = 0; i < 200; ++i) {
    Setting setting = random_setting(random);
    setting.degrees.tp = setting.degrees.ep = setting.degrees.etp = 1;
    const Model& model = setting.training.model;
    double sum = 0;
    std::int64_t layers = 0;
    for (int stage = 0; stage < setting.degrees.pp; ++stage) {
      sum += stage_parameters(model, setting.degrees, stage);
      layers += stage_layers(model, setting.degrees, stage);
    }
    // A tied head has a copy of the table on the last stage.
    const bool copied = model.tied_embeddings && setting.degrees.pp > 1;
    const double copy = copied ? static_cast<double>(model.vocabulary * model.hidden) : 0;
    INFO("setting " << i << ": " << to_string(setting.degrees));
    CHECK(sum == parameters(model) + copy);
    CHECK(layers == model.layers);
  }
}

TEST_CASE("405B on 16 stages has one layer fewer on the first and the last stage") {
  const Model model = ready("llama-3.1-405b");
  Degrees degrees;
  degrees.pp = 16;
  CHECK(stage_layers(model, degrees, 0) == 7);
  for (int stage = 1; stage < 15; ++stage) CHECK(stage_layers(model, degrees, stage) == 8);
  CHECK(stage_layers(model, degrees, 15) == 7);
}

TEST_CASE("model FLOPs match Megatron-LM's num_floating_point_operations") {
  // Causal halves of the score matrix; printed with seven digits (planner reference, 6.3).
  check_printed(flops("gpt3-175b", 64, 2048), 1.391916e17, 1e11);
  check_printed(flops("gpt3-175b", 1536, 2048), 3.340598e18, 1e12);
  check_printed(flops("megatron-22b", 4, 2048), 1.113874e15, 1e9);
  check_printed(flops("llama-3.1-8b", 128, 8192), 5.397063e16, 1e10);
  check_printed(flops("llama-3.1-70b", 128, 8192), 4.710440e17, 1e11);
  check_printed(flops("llama-3.1-405b", 2048, 8192), 4.234495e19, 1e13);
}

TEST_CASE("GPT FLOPs follow the closed forms of Narayanan et al.") {
  // Model: 72 B s L h^2 (1 + s/(6h) + V/(12 L h)); with full recomputation 96 and V/(16 L h).
  const Training training{ready("gpt3-175b"), 1536, 2048};
  const double B = 1536, s = 2048, L = 96, h = 12288, V = 51200;
  const double model = 72 * B * s * L * h * h * (1 + s / (6 * h) + V / (12 * L * h));
  const double full = 96 * B * s * L * h * h * (1 + s / (6 * h) + V / (16 * L * h));
  const double causal = 72 * B * s * L * h * h * (1 + s / (12 * h) + V / (12 * L * h));
  CHECK(model_flops_per_step(training, AttentionCount::dense).count ==
        Approx(model).epsilon(1e-12));
  CHECK(hardware_flops_per_step(training, Recompute::full, AttentionCount::dense).count ==
        Approx(full).epsilon(1e-12));
  CHECK(model_flops_per_step(training).count == Approx(causal).epsilon(1e-12));
}

TEST_CASE("selective recomputation costs the core attention again, and nothing under flash") {
  Training training{ready("megatron-22b"), 4, 2048};
  const double core =
      48 * core_attention_flops(training.model, 4, 2048, AttentionCount::causal).count;
  const auto selective = [&] {
    return hardware_flops_per_step(training, Recompute::selective).count -
           model_flops_per_step(training).count;
  };
  CHECK(selective() == Approx(core).epsilon(1e-12));
  training.model.flash_attention = true;
  CHECK(selective() == 0);
}

TEST_CASE("FLOPs are proportional to the batch") {
  const Model model = ready("llama-2-70b");
  const double once = model_flops_per_step({model, 64, 4096}).count;
  CHECK(model_flops_per_step({model, 128, 4096}).count == Approx(2 * once).epsilon(1e-14));
}

TEST_CASE("a split vocabulary gives each rank whole rows of 16 bytes") {
  Model model = ready("tiny-gpt");
  for (const std::int64_t words :
       {std::int64_t{50257}, std::int64_t{32000}, std::int64_t{128256}}) {
    model.vocabulary = words;
    CHECK(vocabulary_shard(model, 1) == words);
    for (const int tp : {2, 3, 4, 8, 16}) {
      const std::int64_t share = vocabulary_shard(model, tp);
      CHECK(share % 8 == 0);
      CHECK(share * tp >= words);
      CHECK((share - 8) * tp < words);
    }
  }
}
