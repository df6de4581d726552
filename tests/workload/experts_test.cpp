// Mixtures of experts, latent attention and context parallelism: counts, groups and volumes.
#include <algorithm>
#include <map>

#include "samples.hpp"
#include "workload/layer.hpp"

using namespace railwright;
using namespace railwright::workload;

namespace {

Model parsed(const std::string& text) {
  const Result<Model> model = parse_model(text, "config.json");
  INFO((model ? "" : to_string(model.error())));
  REQUIRE(model);
  return *model;
}

const std::string deepseek_v2 = R"({"model_type": "deepseek_v2", "hidden_size": 5120,
  "num_hidden_layers": 60, "num_attention_heads": 128, "num_key_value_heads": 128,
  "intermediate_size": 12288, "moe_intermediate_size": 1536, "n_routed_experts": 160,
  "n_shared_experts": 2, "num_experts_per_tok": 6, "first_k_dense_replace": 1, "moe_layer_freq": 1,
  "kv_lora_rank": 512, "q_lora_rank": 1536, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64,
  "v_head_dim": 128, "vocab_size": 102400})";

Degrees degrees_of(const std::string& text) {
  const auto degrees = parse_degrees(text);
  REQUIRE(degrees);
  return *degrees;
}

double bytes_of(const Program& program, Dimension group, Operation operation, bool backward) {
  double sum = 0;
  for (const Op& op : program.ops)
    if (op.kind == OpKind::collective && op.group == group && op.operation == operation &&
        op.backward == backward)
      sum += static_cast<double>(op.bytes.count);
  return sum;
}

double as_double(Bytes size) { return static_cast<double>(size.count); }

}  // namespace

TEST_CASE("parameters of mixtures of experts match their checkpoints, all and active") {
  // Mixtral 8x7B: per layer attention 4096 (4096 + 2 x 1024) + 4096^2 = 41,943,040, an expert
  // 3 x 4096 x 14336 = 176,160,768, router 4096 x 8 = 32,768, norms 8,192; 32 of them with 8 or 2
  // experts; embedding and head 2 x 32000 x 4096; last norm 4,096.
  const Model mixtral = ready("mixtral-8x7b");
  CHECK(parameters(mixtral) == 46'702'792'704);
  CHECK(active_parameters(mixtral) == 12'879'925'248);
  // DeepSeek-V3: attention 7168 x 1536 + 1536 + 1536 x 128 x 192 + 7168 x 576 + 512 +
  // 512 x 128 x 256 + 128 x 128 x 7168 = 187,107,328, norms 14,336, in 61 layers; 3 dense MLPs of
  // 3 x 7168 x 18432; 58 times 256 + 1 experts of 3 x 7168 x 2048 = 44,040,192, router
  // 7168 x 256 + 256; embedding and head 2 x 129280 x 7168; last norm.
  const Model v3 = ready("deepseek-v3");
  CHECK(parameters(v3) == 671'026'419'200);
  // 8 + 1 of the experts: 671,026,419,200 - 58 x 248 x 44,040,192.
  CHECK(active_parameters(v3) == 671'026'419'200 - 58 * 248 * 44'040'192LL);
  CHECK(active_parameters(v3) == Approx(37e9).epsilon(0.02));
  // DeepSeek-V2: 60 x 149,237,760 + 3 x 5120 x 12288 + 59 (162 x 23,592,960 + 819,200) +
  // 2 x 102400 x 5120 + 5120.
  CHECK(parameters(parsed(deepseek_v2)) == 235'741'434'880);
  CHECK(active_parameters(parsed(deepseek_v2)) == 21'375'800'320);
  // Qwen1.5-MoE-A2.7B: 24 (16,783,360 + 4,096 + 60 x 8,650,752 + 34,603,008 + 2,048 + 122,880) +
  // 2 x 151936 x 2048 + 2048.
  CHECK(parameters(parsed(R"({"model_type": "qwen2_moe", "hidden_size": 2048,
    "num_hidden_layers": 24, "num_attention_heads": 16, "num_key_value_heads": 16,
    "intermediate_size": 5632, "moe_intermediate_size": 1408, "num_experts": 60,
    "num_experts_per_tok": 4, "shared_expert_intermediate_size": 5632, "decoder_sparse_step": 1,
    "vocab_size": 151936, "tie_word_embeddings": false})")) == 14'315'784'192);
  // A dense model has nothing that is not active.
  CHECK(active_parameters(ready("llama-3.1-8b")) == parameters(ready("llama-3.1-8b")));
}

TEST_CASE("models with experts or latents read back from their canonical form") {
  for (const Model& model : {ready("mixtral-8x7b"), ready("deepseek-v3"), parsed(deepseek_v2)})
    CHECK(parsed(canonical_json(model)) == model);
}

TEST_CASE("FLOPs of Mixtral are those that Megatron-LM prints, and the router's") {
  // Batch 256 of 4096 tokens: 8.357828e16, without routers: 3 x 2 x T x 32 x 4096 x 8 more.
  const Training training{ready("mixtral-8x7b"), 256, 4096};
  const double router = 6.0 * 256 * 4096 * 32 * 4096 * 8;
  CHECK(model_flops_per_step(training).count - router == Approx(8.357828e16).epsilon(1e-6));
}

TEST_CASE("experts are divided by ep and etp, never by tp, and their state by edp") {
  Training training{ready("mixtral-8x7b"), 64, 4096};
  const double routed = 8 * 176'160'768.0;
  const auto expert = [&](const char* text) {
    return layer_held(training.model, degrees_of(text), true).expert;
  };
  CHECK(expert("dp=8") == routed);
  CHECK(expert("dp=8,ep=8") == routed / 8);
  CHECK(expert("tp=2,dp=4,ep=4,sequence_parallel=true") == routed / 4);
  CHECK(expert("tp=2,dp=4,ep=4,etp=2,sequence_parallel=true") == routed / 8);
  // ZeRO-1 with ep = 8 of 8 ranks: edp is 1, so that the optimizer state of experts is not divided
  // again. 12 bytes of 32 x (routed / 8 + dense / 8), and embedding, head and last norm / 8.
  const Degrees degrees = degrees_of("dp=8,ep=8,zero_stage=1");
  CHECK(degree_of(degrees, Dimension::edp) == 1);
  const double dense = parameters(training.model) - 32 * routed;
  CHECK(as_double(stage_memory(training, degrees, 0).optimizer) ==
        Approx(12 * (32 * routed / 8 + dense / 8)).epsilon(1e-12));
}

TEST_CASE("weights and optimizer of Mixtral match Megatron-LM's theoretical memory usage") {
  // Printed for t1 p4 e8 n64, distributed optimizer: 19133.87 MiB. Ours: 8 layers of 41,984,000 and
  // the embedding 131,072,000, 6 + 12/16 bytes; 8 layers of 1,409,286,144 / 8 in experts, of which
  // edp = 64 / (8 x 4) = 2 ranks share the state, 6 + 12/2 bytes: 3005.86 + 16128 MiB.
  const Training training{ready("mixtral-8x7b"), 256, 4096};
  const MemoryUse use = stage_memory(training, degrees_of("pp=4,dp=16,ep=8,zero_stage=1"), 0);
  const double bytes = as_double(use.weights + use.gradients + use.optimizer);
  CHECK(bytes / as_double(mebibytes(1)) == Approx(19133.87).margin(0.02).epsilon(0));
}

TEST_CASE("expert parallelism divides no activations") {
  const Training training{ready("mixtral-8x7b"), 64, 4096};
  const auto activations = [&](const char* text) {
    return stage_memory(training, degrees_of(text), 0).activations;
  };
  CHECK(activations("dp=8") == activations("dp=8,ep=8"));
  // Of two experts per token an MoE layer keeps twice the input, output and widths of a dense one:
  // per token 2 (2 x 4096 x 2 + 2 x 3 x 14336) + 8 x 8 instead of 2 x 3 x 14336.
  const Degrees one;
  const double dense = activation_bytes_per_layer(training.model, one, 1, 1, false);
  const double mixed = activation_bytes_per_layer(training.model, one, 1, 1, true);
  CHECK(mixed - dense == 2 * (2.0 * 4096 * 2 + 6.0 * 14336) + 64 - 6.0 * 14336);
}

TEST_CASE("an expert layer dispatches and combines k tokens each way, both ways") {
  // dispatch + combine, forward and backward: 4 k (T / t) h elements, of which (e - 1) / e leave.
  const Training training{ready("mixtral-8x7b"), 8, 4096};
  for (const char* text : {"dp=8,ep=8", "tp=2,dp=4,ep=4,sequence_parallel=true",
                           "tp=2,dp=4,ep=4,etp=2,sequence_parallel=true"}) {
    const Degrees degrees = degrees_of(text);
    const Program program = stage_program(training, degrees, 0);
    const auto m = static_cast<double>(micro_batches(training, degrees));
    const double vector = 2.0 * 2 * (4096.0 / degrees.tp) * 4096;  // k tokens, 2 bytes
    INFO(text);
    for (const bool backward : {false, true}) {
      CHECK(bytes_of(program, Dimension::ep, Operation::all_to_all, backward) ==
            m * 32 * 2 * vector);
      const double gathered = degrees.etp > 1 ? m * 32 * vector * degrees.etp : 0;
      CHECK(bytes_of(program, Dimension::etp, Operation::all_gather, backward) == gathered);
      CHECK(bytes_of(program, Dimension::etp, Operation::reduce_scatter, backward) == gathered);
    }
  }
}

TEST_CASE("expert groups are cut out of tp x cp x dp, and tile it") {
  const Degrees d = degrees_of("tp=4,cp=2,dp=6,pp=2,ep=3,etp=2");
  for (const Dimension dimension :
       {Dimension::ep, Dimension::etp, Dimension::edp, Dimension::dp_cp}) {
    std::map<std::int64_t, int> met;
    for (std::int64_t rank = 0; rank < d.world(); ++rank) {
      const auto group = group_of(dimension, rank, d);
      CHECK(static_cast<int>(group.size()) == degree_of(d, dimension));
      CHECK(std::count(group.begin(), group.end(), rank) == 1);
      for (const std::int64_t member : group) {
        ++met[member];
        CHECK(coordinates_of(member, d).pp == coordinates_of(rank, d).pp);
        CHECK(group_of(dimension, member, d) == group);
      }
    }
    for (const auto& [rank, times] : met) CHECK(times == degree_of(d, dimension));
  }
  CHECK(degree_of(d, Dimension::edp) == 4 * 2 * 6 / (3 * 2));
  CHECK(degree_of(d, Dimension::dp_cp) == 12);
  using enum Dimension;
  CHECK(has_groups(d, default_order));
  CHECK_FALSE(has_groups(d, {tp, cp, ep, pp, dp}));
}

TEST_CASE("context parallelism exchanges keys and values as published") {
  Training training{ready("llama-3.1-8b"), 8, 8192};
  const double layers = 32, tokens = 8192;
  // Ring: K and V once forward; K and V again and their gradients backward: 2 b s h_kv elements.
  const Program ring = stage_program(training, degrees_of("cp=4,dp=2"), 0);
  const double m = 4, key_values = m * layers * 2 * tokens * 1024 * 2;
  CHECK(bytes_of(ring, Dimension::cp, Operation::all_gather, false) == key_values);
  CHECK(bytes_of(ring, Dimension::cp, Operation::all_gather, true) == key_values);
  CHECK(bytes_of(ring, Dimension::cp, Operation::reduce_scatter, true) == key_values);
  // Ulysses: four all-to-alls each way, (2 h_q + 2 h_kv) b s / u elements.
  const Program swap = stage_program(training, degrees_of("cp=4,dp=2,context=all_to_all"), 0);
  const double swapped = m * layers * (2 * 4096 + 2 * 1024) * (tokens / 4) * 2;
  for (const bool backward : {false, true})
    CHECK(bytes_of(swap, Dimension::cp, Operation::all_to_all, backward) == swapped);
  // Gradients are summed over both dimensions.
  CHECK(bytes_of(ring, Dimension::dp_cp, Operation::all_reduce, true) ==
        4 * parameters(training.model));
}

TEST_CASE("context parallelism divides activations and logits") {
  const Training training{ready("llama-3.1-8b"), 8, 8192};
  const MemoryUse one = stage_memory(training, degrees_of("dp=1"), 0);
  const MemoryUse four = stage_memory(training, degrees_of("cp=4"), 0);
  CHECK(as_double(four.activations) == Approx(as_double(one.activations) / 4).epsilon(1e-9));
  CHECK(as_double(four.logits) == Approx(as_double(one.logits) / 4).epsilon(1e-9));
  CHECK(four.weights == one.weights);
}

TEST_CASE("what experts, latents and contexts forbid is said by name") {
  const auto said = [&](const Training& training, const char* text, const std::string& part) {
    const auto found = violations(training, degrees_of(text));
    return std::any_of(found.begin(), found.end(), [&](const std::string& violation) {
      return violation.find(part) != std::string::npos;
    });
  };
  const Training mixtral{ready("mixtral-8x7b"), 64, 4096}, llama{ready("llama-3.1-8b"), 64, 4096};
  const Training v3{ready("deepseek-v3"), 64, 4096};
  CHECK(said(llama, "dp=2,ep=2", "ep and etp are for experts"));
  CHECK(said(mixtral, "dp=3,ep=3", "experts % ep: 8 is not divisible by 3"));
  CHECK(said(mixtral, "dp=2,ep=4", "tp x cp x dp % (ep x etp): 2 is not divisible by 4"));
  CHECK(said(mixtral, "tp=2,dp=4", "experts with tp > 1 need sequence_parallel"));
  CHECK(said(v3, "tp=2,dp=4", "latent attention with tp > 1 needs sequence_parallel"));
  CHECK(said(v3, "cp=2", "cp > 1 with latent attention"));
  CHECK(said(mixtral, "dp=4,zero_stage=1,shard=2", "shard (HSDP) with experts"));
  CHECK(said(llama, "cp=3", "sequence % (2 x cp x tp under sequence_parallel)"));
  CHECK(said(llama, "cp=16,context=all_to_all", "kv_heads % (tp x cp): 8 is not divisible by 16"));
}

TEST_CASE("layers per stage are what is written, and must add up") {
  const Model model = ready("llama-3.1-8b");
  const Degrees degrees = degrees_of("pp=4,layers=7:9:9:7");
  const Training training{model, 64, 8192};
  CHECK(violations(training, degrees).empty());
  CHECK(stage_layers(model, degrees, 1) == 9);
  double sum = 0;
  for (int stage = 0; stage < 4; ++stage) sum += stage_parameters(model, degrees, stage);
  CHECK(sum == parameters(model));
  CHECK(*parse_degrees(to_string(degrees)) == degrees);
  CHECK_FALSE(violations(training, degrees_of("pp=4,layers=8:8:8:7")).empty());
  CHECK_FALSE(violations(training, degrees_of("pp=4,layers=16:16")).empty());
  CHECK_FALSE(parse_degrees("pp=2,layers=16:x"));
}
