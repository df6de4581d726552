#include "samples.hpp"
#include "workload/framework.hpp"
#include "workload/layer.hpp"
#include "workload/workload.hpp"

using namespace railwright;
using namespace railwright::workload;

namespace {

Degrees tensor_parallel(int tp, bool sequence_parallel, Recompute recompute) {
  Degrees degrees;
  degrees.tp = tp;
  degrees.sequence_parallel = sequence_parallel;
  degrees.recompute = recompute;
  return degrees;
}

double layer_bytes(const Model& model, const Degrees& degrees, std::int64_t s = 2048) {
  return activation_bytes_per_layer(model, degrees, 1, s);
}

double as_double(Bytes size) { return static_cast<double>(size.count); }

double state_mebibytes(const Training& training, const Degrees& degrees, int stage = 0) {
  const MemoryUse use = stage_memory(training, degrees, stage);
  return as_double(use.weights + use.gradients + use.optimizer) / as_double(mebibytes(1));
}

}  // namespace

TEST_CASE("a GPT layer keeps what table 2 of Korthikanti et al. says") {
  const double s = 2048;
  for (const char* name : {"megatron-22b", "megatron-530b", "megatron-1t"}) {
    const Model model = ready(name);
    const double h = static_cast<double>(model.hidden), a = static_cast<double>(model.heads);
    for (const double t : {1.0, 2.0, 8.0}) {
      const int tp = static_cast<int>(t);
      INFO(name << " tp " << tp);
      const auto kept = [&](bool split, Recompute recompute) {
        return layer_bytes(model, tensor_parallel(tp, split, recompute));
      };
      const auto equals = [](double value) { return Approx(value).epsilon(1e-12); };
      CHECK(kept(false, Recompute::none) == equals(s * h * (10 + 24 / t + 5 * a * s / (h * t))));
      CHECK(kept(true, Recompute::none) == equals(s * h / t * (34 + 5 * a * s / h)));
      CHECK(kept(false, Recompute::selective) == equals(s * h * (10 + 24 / t)));
      CHECK(kept(true, Recompute::selective) == equals(34 * s * h / t));
      CHECK(kept(false, Recompute::full) == equals(2 * s * h));
      CHECK(kept(true, Recompute::full) == equals(2 * s * h / t));
    }
  }
}

TEST_CASE("activation memory falls as in figure 7 of Korthikanti et al.") {
  // Per cent of no recomputation without sequence parallelism, t = 8; the closed form's digits.
  struct Row {
    const char* model;
    double split, selective, both, full;
  };
  const Row rows[] = {{"megatron-22b", 66.77, 49.37, 16.14, 7.59},
                      {"gpt3-175b", 61.96, 56.52, 18.48, 8.70},
                      {"megatron-530b", 58.33, 61.90, 20.24, 9.52},
                      {"megatron-1t", 58.33, 61.90, 20.24, 9.52}};
  for (const Row& row : rows) {
    Model model = ready(row.model);
    model.flash_attention = false;
    const auto percent = [&](bool split, Recompute recompute) {
      return 100 * layer_bytes(model, tensor_parallel(8, split, recompute)) /
             layer_bytes(model, tensor_parallel(8, false, Recompute::none));
    };
    INFO(row.model);
    CHECK(percent(true, Recompute::none) == Approx(row.split).margin(0.0051).epsilon(0));
    CHECK(percent(false, Recompute::selective) == Approx(row.selective).margin(0.0051).epsilon(0));
    CHECK(percent(true, Recompute::selective) == Approx(row.both).margin(0.0051).epsilon(0));
    CHECK(percent(false, Recompute::full) == Approx(row.full).margin(0.0051).epsilon(0));
  }
}

TEST_CASE("a modern layer keeps 12h + 4h_kv + 6f + 4a bytes per token") {
  // Llama 3 8B: 12 x 4096 + 4 x 1024 + 6 x 14336 + 4 x 32 = 139,392; x 8192 tokens = 1089 MiB.
  const Model model = ready("llama-3.1-8b");
  const Degrees one;
  CHECK(layer_bytes(model, one, 1) == 139'392);
  CHECK(layer_bytes(model, one, 8192) == 1089.0 * 1024 * 1024);
  // 8h of it stay whole without sequence parallelism.
  const double whole = 8 * 4096;
  CHECK(layer_bytes(model, tensor_parallel(8, false, Recompute::none), 1) ==
        whole + (139'392 - whole) / 8);
  CHECK(layer_bytes(model, tensor_parallel(8, true, Recompute::none), 1) == 139'392 / 8.0);
}

TEST_CASE("state takes 18 bytes per parameter, 6 + 12/d, 2 + 16/d and 18/d under ZeRO") {
  Training training{ready("llama-3.1-8b"), 64, 8192};
  const double count = parameters(training.model);
  Degrees degrees;
  degrees.dp = 64;
  const auto state = [&] {
    const MemoryUse use = stage_memory(training, degrees, 0);
    return as_double(use.weights + use.gradients + use.optimizer);
  };
  CHECK(state() == 18 * count);
  degrees.zero_stage = 1;
  CHECK(state() == Approx((6 + 12.0 / 64) * count).epsilon(1e-9));
  degrees.zero_stage = 2;
  CHECK(state() == Approx((2 + 16.0 / 64) * count).epsilon(1e-9));
  degrees.zero_stage = 3;
  CHECK(state() == Approx(18.0 / 64 * count).epsilon(1e-9));
  degrees.shard = 8;  // HSDP: eight ranks share a copy
  CHECK(state() == Approx(18.0 / 8 * count).epsilon(1e-9));
  degrees.zero_stage = 1, degrees.shard = 0;
  training.precision = Precision::fp32;
  CHECK(state() == Approx((8 + 8.0 / 64) * count).epsilon(1e-9));
}

TEST_CASE("weights and optimizer match Megatron-LM's theoretical memory usage") {
  Degrees degrees;
  degrees.dp = 64;
  degrees.zero_stage = 1;
  // 47385.45 MiB, printed; nothing is split, so it is exact.
  const Training eight{ready("llama-3.1-8b"), 64, 8192};
  CHECK(state_mebibytes(eight, degrees) == Approx(47385.45).margin(0.005).epsilon(0));
  // Megatron divides norms by tp, which every rank really holds whole: a little more here.
  const Model gpt22 = without_biases(ready("megatron-22b"));
  degrees = tensor_parallel(8, true, Recompute::selective);
  CHECK(state_mebibytes({gpt22, 4, 2048}, degrees) == Approx(47351.46).epsilon(6e-4));
  CHECK(state_mebibytes({gpt22, 4, 2048}, degrees) > 47351.46);
}

// The same estimator on pipelines, of its fullest shard; norms as above.
TEST_CASE("the first stage holds what Megatron-LM's estimator prints") {
  struct Row {
    const char* model;
    int tp, pp, dp;
    double mebibytes;
  };
  for (const Row& row :
       {Row{"gpt3-175b", 8, 8, 1, 48016.18}, Row{"gpt3-175b", 8, 16, 8, 10284.62},
        Row{"llama-3.1-8b", 2, 1, 4, 34463.29}, Row{"llama-3.1-70b", 8, 4, 2, 25986.77}}) {
    INFO(row.model << " tp " << row.tp << " pp " << row.pp);
    Training training{without_biases(ready(row.model)), 64, 2048};
    if (training.model.learned_positions || training.model.layer_norm)
      training.model.vocabulary = 51'200;
    Degrees degrees = tensor_parallel(row.tp, true, Recompute::selective);
    degrees.pp = row.pp;
    degrees.dp = row.dp;
    degrees.zero_stage = 1;
    CHECK(state_mebibytes(training, degrees) == Approx(row.mebibytes).epsilon(6e-4));
  }
}

TEST_CASE("ZeRO-3 holds the weights of two units and the gradients of one whole for a while") {
  const Training training{ready("llama-3.1-8b"), 64, 8192};
  Degrees degrees;
  degrees.dp = 64;
  const Bytes replicated = stage_memory(training, degrees, 0).communication;
  degrees.zero_stage = 3;
  // The largest unit is the head: norm 4096 + 4096 x 128256 = 525,340,672 parameters; a layer has
  // 218,112,000. 2 (head + layer) + 4 head.
  CHECK(stage_memory(training, degrees, 0).communication - replicated ==
        Bytes{2 * (525'340'672ull + 218'112'000ull) + 4 * 525'340'672ull});
}

TEST_CASE("a stage holds the activations of min(m, p - stage) micro-batches") {
  Training training{ready("llama-3.1-8b"), 2, 8192};
  Degrees degrees;
  degrees.pp = 4;
  for (const int m : {1, 2, 3, 4, 100}) {
    training.global_batch = m;
    for (int stage = 0; stage < 4; ++stage)
      CHECK(passes_in_flight(degrees, m, stage) == std::min(m, 4 - stage));
  }
  // Stage 1 has no extras: 8 layers x 3 in flight x 1089 MiB.
  training.global_batch = 8;
  CHECK(stage_memory(training, degrees, 1).activations == mebibytes(8 * 3 * 1089));
}

TEST_CASE("logits of a large vocabulary take 2 and 4 bytes per token and entry") {
  const Training training{ready("llama-3.1-8b"), 8, 8192};
  Degrees degrees;
  degrees.pp = 2;
  CHECK(stage_memory(training, degrees, 1).logits == Bytes{6ull * 8192 * 128256});
  CHECK(stage_memory(training, degrees, 0).logits == Bytes{0});
  degrees.tp = 8;
  CHECK(stage_memory(training, degrees, 1).logits == Bytes{6ull * 8192 * 128256 / 8});
}

TEST_CASE("the peak is the fullest stage, and splitting never needs more state") {
  std::mt19937_64 random(11);
  for (int i = 0; i < 300; ++i) {
    const Setting setting = random_setting(random);
    INFO("setting " << i << ": " << to_string(setting.degrees));
    const MemoryUse peak = peak_memory(setting.training, setting.degrees);
    for (int stage = 0; stage < setting.degrees.pp; ++stage)
      CHECK(stage_memory(setting.training, setting.degrees, stage).total() <= peak.total());
    if (setting.degrees.zero_stage > 0) continue;
    Degrees sharded = setting.degrees;
    sharded.zero_stage = 1;
    CHECK(peak_memory(setting.training, sharded).total() <= peak.total());
  }
}

TEST_CASE("less recomputation never keeps less per layer") {
  std::mt19937_64 random(13);
  for (int i = 0; i < 300; ++i) {
    Setting setting = random_setting(random);
    const auto kept = [&](Recompute recompute) {
      setting.degrees.recompute = recompute;
      return activation_bytes_per_layer(setting.training.model, setting.degrees,
                                        setting.degrees.micro_batch, setting.training.sequence);
    };
    CHECK(kept(Recompute::full) <= kept(Recompute::selective));
    CHECK(kept(Recompute::selective) <= kept(Recompute::none));
  }
}

TEST_CASE("a model beyond all memory never wraps around to one that fits") {
  Training training{ready("llama-3.1-8b"), 1, 1'000'000'000};
  training.model.hidden = training.model.ffn_hidden = 1'000'000'000;
  training.model.layers = 100'000;
  CHECK(peak_memory(training, {}).total() >= Bytes{1'000'000'000'000'000'000});
}

TEST_CASE("each framework keeps the copies of gradients that its code makes") {
  struct Row {
    const char* framework;
    Precision precision;
    double whole, sharded;  // bytes per parameter under ZeRO-1: whole + sharded / d
  };
  const Row rows[] = {{"megatron", Precision::bf16, 6, 12},
                      {"megatron-deepspeed", Precision::fp16, 4, 16},
                      {"megatron-deepspeed", Precision::bf16, 8, 12},
                      {"deepspeed", Precision::bf16, 8, 12},
                      {"nanotron", Precision::bf16, 8, 12},  // the playbook's 20 bytes
                      {"internevo", Precision::bf16, 4, 16},
                      {"fsdp", Precision::bf16, 8, 8},
                      {"never-heard-of", Precision::fp16, 6, 12},
                      {"megatron", Precision::fp32, 8, 8}};
  for (const Row& row : rows) {
    INFO(row.framework << " " << static_cast<int>(row.precision));
    Training training{ready("llama-3.1-8b"), 64, 8192, row.precision};
    training.state = state_format_of(row.framework, row.precision);
    Degrees degrees;
    degrees.dp = 64;
    degrees.zero_stage = 1;
    const MemoryUse use = stage_memory(training, degrees, 0);
    CHECK(as_double(use.weights + use.gradients + use.optimizer) ==
          Approx((row.whole + row.sharded / 64) * parameters(training.model)).epsilon(1e-9));
  }
}

TEST_CASE("buckets of 5e8 elements and an activation of the gate come on top") {
  Training training{ready("llama-3.1-8b"), 8, 8192};
  const Degrees one;
  const MemoryUse plain = stage_memory(training, one, 0);
  training.state = StateFormat{};
  CHECK(stage_memory(training, one, 0) == plain);
  training.state->buffers = Bytes{3'000'000'000};
  CHECK(stage_memory(training, one, 0).communication == plain.communication + Bytes{3'000'000'000});
  CHECK(state_format_of("deepspeed", Precision::fp16).buffers == Bytes{3'000'000'000});
  CHECK(state_format_of("deepspeed", Precision::bf16).buffers == Bytes{5'000'000'000});
  training.state->fused_gate = false;  // 2 f more bytes per token and layer
  CHECK(stage_memory(training, one, 0).activations ==
        plain.activations + Bytes{2ull * 14336 * 8192 * 32});
}

// Two ranks of one tensor-parallel group hold the same experts whole: ZeRO-3 shares them, and
// gathers a layer of them and the next one, though nothing else is shared.
TEST_CASE("experts that only tensor-parallel ranks share are gathered too") {
  const Training training{ready("mixtral-8x7b"), 8, 4096};
  Degrees degrees;
  degrees.tp = 2;
  degrees.sequence_parallel = true;
  const Bytes before = stage_memory(training, degrees, 0).communication;
  degrees.zero_stage = 3;
  const double experts = layer_held(training.model, degrees, true).expert;
  CHECK(as_double(stage_memory(training, degrees, 0).communication) ==
        Approx(as_double(before) + (2 * 2 + 4) * experts).epsilon(1e-9));
}
