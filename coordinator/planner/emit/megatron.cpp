// Megatron-LM's arguments, and NeMo's overrides, which set the same things in Megatron-Core.
#include <fmt/format.h>

#include <vector>

#include "coordinator/planner/emit/frameworks.hpp"
#include "workload/model_family.hpp"

namespace railwright::coordinator {

namespace {

using emulator::Plan;
using workload::Degrees;
using workload::Dimension;
using workload::Model;
using workload::Recompute;

// Its ranks run tp-cp-ep-dp-pp, or tp-cp-ep-pp-dp when told.
constexpr workload::RankOrder stages_inside = {Dimension::tp, Dimension::cp, Dimension::pp,
                                               Dimension::ep, Dimension::dp};

bool same_numbering(const workload::RankOrder& a, const workload::RankOrder& b,
                    const Degrees& degrees) {
  const auto used = [&](const workload::RankOrder& order) {
    std::vector<Dimension> dimensions;
    for (const Dimension dimension : order)
      if (workload::extent_of(degrees, dimension) > 1) dimensions.push_back(dimension);
    return dimensions;
  };
  return used(a) == used(b);
}

// Uneven stages can be said of the first and the last alone.
bool ends_differ_only(const std::vector<std::int64_t>& layers) {
  for (std::size_t i = 2; i + 1 < layers.size(); ++i)
    if (layers[i] != layers[1]) return false;
  return true;
}

bool is_uneven(const Plan& plan) {
  for (const std::int64_t layers : plan.layers_per_stage)
    if (layers != plan.layers_per_stage.front()) return true;
  return false;
}

bool shards_gradients(const Degrees& degrees) { return degrees.zero_stage >= 2; }

// What Megatron-LM asserts of the environment; Blackwell needs neither.
const char* connections(const Degrees& d) {
  if (shards_gradients(d)) return "# CUDA_DEVICE_MAX_CONNECTIONS must not be 1.\n";
  return d.tp > 1 || d.cp > 1 ? "# Before Blackwell CUDA_DEVICE_MAX_CONNECTIONS must be 1.\n" : "";
}

bool trains_bf16(const workload::Training& training) {
  return training.precision == topology::Precision::bf16 || is_narrow(training.precision);
}

using Lines = std::vector<std::string>;

template <class... T>
void add(Lines& lines, fmt::format_string<T...> text, T&&... values) {
  lines.push_back(fmt::format(text, std::forward<T>(values)...));
}

void add_degrees(const Plan& plan, Lines& lines) {
  const Degrees& d = plan.degrees;
  add(lines, "--tensor-model-parallel-size {}", d.tp);
  add(lines, "--pipeline-model-parallel-size {}", d.pp);
  if (d.vpp > 1) add(lines, "--num-virtual-stages-per-pipeline-rank {}", d.vpp);
  if (is_uneven(plan)) {
    add(lines, "--decoder-first-pipeline-num-layers {}", plan.layers_per_stage.front());
    add(lines, "--decoder-last-pipeline-num-layers {}", plan.layers_per_stage.back());
  }
  if (d.cp > 1) {
    add(lines, "--context-parallel-size {}", d.cp);
    add(lines, "--cp-comm-type {}", d.context == workload::ContextExchange::ring ? "p2p" : "a2a");
  }
  if (plan.training.model.experts.count > 0) {
    add(lines, "--expert-model-parallel-size {}", d.ep);
    add(lines, "--expert-tensor-parallel-size {}", d.etp);
  }
  if (d.sequence_parallel) add(lines, "--sequence-parallel");
  if (!same_numbering(plan.placement.order, workload::default_order, d))
    add(lines, "--use-tp-pp-dp-mapping");
}

// ZeRO-2 and 3 are Megatron FSDP: it wants its own checkpoints, and gradients that are not summed
// inside of the matrix product. Copies of the shards are "instances" of the optimizer.
void add_fsdp(const Degrees& d, Lines& lines) {
  if (!shards_gradients(d)) return;
  add(lines, "--use-megatron-fsdp");
  add(lines, "--data-parallel-sharding-strategy {}",
      d.zero_stage == 3 ? "optim_grads_params" : "optim_grads");
  add(lines, "--no-gradient-accumulation-fusion");
  add(lines, "--ckpt-format fsdp_dtensor");
  if (d.shard_ranks() == d.dp * d.cp) return;
  add(lines, "--num-distributed-optimizer-instances {}", d.dp * d.cp / d.shard_ranks());
  add(lines, "--outer-dp-sharding-strategy no_shard");
}

void add_sharding(const Degrees& d, Lines& lines) {
  if (d.zero_stage >= 1) add(lines, "--use-distributed-optimizer");
  add_fsdp(d, lines);
  if (d.overlap_gradients) add(lines, "--overlap-grad-reduce");
  if (d.overlap_gradients && d.zero_stage >= 1) add(lines, "--overlap-param-gather");
  if (d.recompute == Recompute::full) {
    add(lines, "--recompute-granularity full");
    add(lines, "--recompute-method uniform");
    add(lines, "--recompute-num-layers 1");
  }
  if (d.recompute == Recompute::selective) add(lines, "--recompute-granularity selective");
}

void add_attention(const Model& model, Lines& lines) {
  add(lines, "--num-attention-heads {}", model.heads);
  if (model.latent.kv_rank > 0) {
    add(lines, "--multi-latent-attention");
    add(lines, "--kv-lora-rank {}", model.latent.kv_rank);
    if (model.latent.query_rank > 0) add(lines, "--q-lora-rank {}", model.latent.query_rank);
    add(lines, "--qk-head-dim {}", model.head_dim - model.latent.rope_dim);
    add(lines, "--qk-pos-emb-head-dim {}", model.latent.rope_dim);
    add(lines, "--v-head-dim {}", model.latent.value_dim);
  } else if (model.kv_heads < model.heads) {
    add(lines, "--group-query-attention");
    add(lines, "--num-query-groups {}", model.kv_heads);
  }
  if (model.latent.kv_rank == 0 && model.head_dim * model.heads != model.hidden)
    add(lines, "--kv-channels {}", model.head_dim);
  const workload::ModelFamily* family = workload::find_family(model.model_type);
  if (family != nullptr && family->query_key_norm) add(lines, "--qk-layernorm");
}

void add_experts(const workload::Training& training, Lines& lines) {
  const Model& model = training.model;
  if (model.experts.count == 0) return;
  add(lines, "--num-experts {}", model.experts.count);
  add(lines, "--moe-router-topk {}", model.experts.per_token);
  add(lines, "--moe-ffn-hidden-size {}", model.experts.ffn_hidden);
  if (model.experts.shared_hidden > 0)
    add(lines, "--moe-shared-expert-intermediate-size {}", model.experts.shared_hidden);
  if (model.experts.dense_layers > 0)
    add(lines, "--moe-layer-freq ([0]*{}+[1]*{})", model.experts.dense_layers,
        model.layers - model.experts.dense_layers);
  add(lines, "--moe-token-dispatcher-type alltoall");
  if (trains_bf16(training)) add(lines, "--moe-grouped-gemm");  // it takes no other
  add(lines, "--moe-router-dtype fp32");
}

void add_model(const Plan& plan, Lines& lines) {
  const Model& model = plan.training.model;
  add(lines, "--num-layers {}", model.layers);
  add(lines, "--hidden-size {}", model.hidden);
  add(lines, "--ffn-hidden-size {}", model.ffn_hidden);
  add_attention(model, lines);
  add_experts(plan.training, lines);
  add(lines, "--vocab-size {}", model.vocabulary);
  add(lines, "--max-position-embeddings {}", std::max(model.positions, plan.training.sequence));
  add(lines, "--position-embedding-type {}", model.learned_positions ? "learned_absolute" : "rope");
  if (model.gated_mlp) add(lines, "--swiglu");
  add(lines, "--normalization {}", model.layer_norm ? "LayerNorm" : "RMSNorm");
  if (!model.tied_embeddings) add(lines, "--untie-embeddings-and-output-weights");
  if (!model.biases) add(lines, "--disable-bias-linear");
  if (model.qkv_bias) add(lines, "--add-qkv-bias");
  if (!model.dropout) {
    add(lines, "--attention-dropout 0");
    add(lines, "--hidden-dropout 0");
  }
  if (model.flash_attention) add(lines, "--use-flash-attn");
}

void add_batch(const workload::Training& training, const Degrees& d, Lines& lines) {
  add(lines, "--seq-length {}", training.sequence);
  add(lines, "--micro-batch-size {}", d.micro_batch);
  add(lines, "--global-batch-size {}", training.global_batch);
  const std::string precision = precision_word(training);
  if (precision == "bf16" || precision == "fp16") return add(lines, "--{}", precision);
  if (precision == "fp32" || precision == "tf32") return;
  add(lines, "--bf16");  // what 8- and 4-bit recipes keep between their matrix products
  if (precision == "fp8") add(lines, "--fp8-format hybrid");
  if (precision == "mxfp8") {
    add(lines, "--fp8-format e4m3");
    add(lines, "--fp8-recipe mxfp8");
  }
  if (precision == "nvfp4") {
    add(lines, "--fp4-format e2m1");
    add(lines, "--fp4-recipe nvfp4");
  }
}

void refuse(Errors& errors, const std::string& what, const std::string& hint) {
  errors.push_back({{}, "megatron: " + what, hint});
}

}  // namespace

Errors megatron_refusals(const Plan& plan) {
  const Degrees& d = plan.degrees;
  const std::string precision = precision_word(plan.training);
  Errors errors;
  if (!is_interleaved_or_plain(d))
    refuse(errors, "schedule zb-h1 is not in Megatron-LM", "plan with --fix schedule=1f1b");
  if (d.shard > 0 && !shards_gradients(d))
    refuse(errors,
           fmt::format("shard={} with zero_stage={}: only its FSDP keeps copies", d.shard,
                       d.zero_stage),
           "plan with --fix zero_stage=3");
  if (shards_gradients(d) && d.pp > 1)
    refuse(errors,
           fmt::format("zero_stage={} with pp={}: its FSDP has no stages", d.zero_stage, d.pp),
           "plan with --fix zero_stage=1 or pp=1");
  if (is_uneven(plan) && !ends_differ_only(plan.layers_per_stage))
    refuse(errors, "layers: inner stages of different sizes", "let only the ends differ");
  if (precision == "fp4") refuse(errors, "precision fp4", "plan with --precision nvfp4 or fp8");
  if (!same_numbering(plan.placement.order, workload::default_order, d) &&
      !same_numbering(plan.placement.order, stages_inside, d))
    refuse(errors, "placement: ranks in an order other than tp-cp-dp-pp and tp-cp-pp-dp",
           "plan with --placement linear");
  return errors;
}

Errors nemo_refusals(const Plan& plan) {
  const Degrees& d = plan.degrees;
  Errors errors = megatron_refusals(plan);
  const auto refuse_here = [&](const std::string& what, const std::string& hint) {
    errors.push_back({{}, "nemo: " + what, hint});
  };
  if (plan.training.model.experts.count > 0 && d.etp != d.tp)
    refuse_here(
        fmt::format("etp={} with tp={}: its strategy splits experts as all tensors", d.etp, d.tp),
        "plan with --fix etp of the same size as tp, or emit for megatron");
  if (shards_gradients(d))
    refuse_here(fmt::format("zero_stage={}: its strategy shards the optimizer alone", d.zero_stage),
                "plan with --fix zero_stage=1, or emit for megatron");
  if (const std::string precision = precision_word(plan.training); precision != "bf16")
    refuse_here(fmt::format("precision {}: its recipes are plugins of a script", precision),
                "plan with --precision bf16, or emit for megatron");
  if (is_uneven(plan)) refuse_here("layers: uneven stages", "emit for megatron");
  if (!same_numbering(plan.placement.order, workload::default_order, d))
    refuse_here("placement: its ranks are numbered tp-cp-dp-pp", "plan with --placement linear");
  return errors;
}

std::string megatron_arguments(const Plan& plan) {
  Lines lines;
  add_degrees(plan, lines);
  add_sharding(plan.degrees, lines);
  add_batch(plan.training, plan.degrees, lines);
  add_model(plan, lines);
  std::string text = fmt::format(
      "# Arguments of Megatron-LM's pretrain_gpt.py, options of 000c4ac (2025).\n"
      "# {} ranks; data and tokenizer arguments are yours.\n{}",
      plan.degrees.world(), connections(plan.degrees));
  for (const std::string& line : lines)
    text += line.find('(') == std::string::npos
                ? line + "\n"
                : line.substr(0, line.find(' ') + 1) +
                      shell_quoted(line.substr(line.find(' ') + 1)) + "\n";
  return text;
}

std::string nemo_overrides(const Plan& plan) {
  const Degrees& d = plan.degrees;
  const auto flag = [](bool value) { return value ? "true" : "false"; };
  const std::string strategy = "trainer.strategy.";
  Lines lines;
  add(lines, "{}tensor_model_parallel_size={}", strategy, d.tp);
  add(lines, "{}pipeline_model_parallel_size={}", strategy, d.pp);
  if (d.vpp > 1) add(lines, "{}virtual_pipeline_model_parallel_size={}", strategy, d.vpp);
  add(lines, "{}context_parallel_size={}", strategy, d.cp);
  if (d.cp > 1)
    add(lines, "model.config.cp_comm_type={}",
        d.context == workload::ContextExchange::ring ? "p2p" : "a2a");
  add(lines, "{}expert_model_parallel_size={}", strategy, d.ep);
  add(lines, "{}sequence_parallel={}", strategy, flag(d.sequence_parallel));
  add(lines, "{}ddp.use_distributed_optimizer={}", strategy, flag(d.zero_stage >= 1));
  // The strategy takes the optimizer's word where the two differ.
  add(lines, "optim.config.use_distributed_optimizer={}", flag(d.zero_stage >= 1));
  add(lines, "{}ddp.overlap_grad_reduce={}", strategy, flag(d.overlap_gradients));
  add(lines, "{}ddp.overlap_param_gather={}", strategy,
      flag(d.overlap_gradients && d.zero_stage >= 1));
  if (d.recompute != Recompute::none)
    add(lines, "model.config.recompute_granularity={}", workload::to_string(d.recompute));
  if (d.recompute == Recompute::full) {
    add(lines, "model.config.recompute_method=uniform");
    add(lines, "model.config.recompute_num_layers=1");
  }
  if (plan.training.model.experts.count > 0) add(lines, "model.config.moe_grouped_gemm=true");
  add(lines, "data.micro_batch_size={}", d.micro_batch);
  add(lines, "data.global_batch_size={}", plan.training.global_batch);
  add(lines, "data.seq_length={}", plan.training.sequence);
  const int node = plan.cluster.nodes.front().accelerators;
  add(lines, "trainer.devices={}", std::min<std::int64_t>(node, d.world()));
  add(lines, "trainer.num_nodes={}", (d.world() + node - 1) / node);
  std::string text =
      "# Overrides of `nemo llm pretrain --factory ...`, NeMo 2 (MegatronStrategy of 00114ea).\n";
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

}  // namespace railwright::coordinator
