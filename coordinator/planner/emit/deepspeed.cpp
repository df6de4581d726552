// DeepSpeed's ds_config.json.
#include <fmt/format.h>

#include "coordinator/console.hpp"
#include "coordinator/planner/emit/frameworks.hpp"

namespace railwright::coordinator {

using emulator::Plan;
using workload::Degrees;

Errors deepspeed_refusals(const Plan& plan) {
  const Degrees& d = plan.degrees;
  Errors errors;
  const auto refuse = [&](const std::string& what, const std::string& hint) {
    errors.push_back({{}, "deepspeed: " + what, hint});
  };
  if (d.vpp > 1 || !is_interleaved_or_plain(d))
    refuse("its pipelines have one chunk per stage and run 1F1B",
           "plan with --fix vpp=1,schedule=1f1b");
  if (d.zero_stage >= 2 && d.pp > 1)
    refuse(fmt::format("zero_stage={} with pp={}: its pipeline engine takes ZeRO-1 at most",
                       d.zero_stage, d.pp),
           "plan with --fix zero_stage=1");
  if (d.sequence_parallel)
    refuse("sequence_parallel=true: its tensor parallelism does not split the sequence",
           "plan with --fix sequence_parallel=false, or emit for megatron");
  if (d.tp > 1 && d.zero_stage == 3)
    refuse("zero_stage=3 with tp > 1: its tensor parallelism takes ZeRO-2 at most",
           "plan with --fix zero_stage=2");
  if (d.cp > 1 && d.context == workload::ContextExchange::ring)
    refuse("context=ring: it has all_to_all only (Ulysses)", "plan with --fix context=all_to_all");
  if (d.cp > 1 && (d.tp > 1 || d.pp > 1))
    refuse(fmt::format("cp={} with tp={}, pp={}: its mesh is of data and sequence alone", d.cp,
                       d.tp, d.pp),
           "plan with --fix tp=1,pp=1 or cp=1");
  if (d.etp > 1) refuse("etp: its experts are not split", "plan with --fix etp=1");
  if (!d.layers.empty()) refuse("layers: uneven stages", "plan without --fix layers");
  if (d.shard > 0 && d.zero_stage != 3)
    refuse("shard: only its ZeRO-3 keeps copies of shards", "plan with --fix zero_stage=3");
  if (plan.placement.order != workload::default_order)
    refuse("placement: its ranks are numbered tp-dp-pp", "plan with --placement linear");
  const std::string precision = precision_word(plan.training);
  if (is_narrow(plan.training.precision))
    refuse("precision " + precision, "plan with --precision bf16");
  return errors;
}

std::string deepspeed_config(const Plan& plan) {
  const Degrees& d = plan.degrees;
  const std::string precision = precision_word(plan.training);
  Json config = {{"_railwright",
                  fmt::format("ds_config.json, DeepSpeed 0.16.4 or later; {} ranks", d.world())},
                 {"train_batch_size", plan.training.global_batch},
                 {"train_micro_batch_size_per_gpu", d.micro_batch},
                 {"gradient_accumulation_steps", workload::micro_batches(plan.training, d)}};
  Json zero = {{"stage", d.zero_stage}, {"overlap_comm", d.overlap_gradients}};
  if (d.shard > 0) zero["mics_shard_size"] = d.shard;
  config["zero_optimization"] = zero;
  if (precision == "bf16" || precision == "fp16") config[precision] = {{"enabled", true}};
  if (d.tp > 1) config["tensor_parallel"] = {{"autotp_size", d.tp}};
  if (d.cp > 1) {  // both, or no mesh of them is made
    config["sequence_parallel_size"] = d.cp;
    config["data_parallel_size"] = d.dp;
  }
  Json code = Json::array();  // what the script says, not the configuration
  if (d.pp > 1) code.push_back(fmt::format("PipelineModule(num_stages={})", d.pp));
  if (d.ep > 1) code.push_back(fmt::format("deepspeed.moe.layer.MoE(ep_size={})", d.ep));
  if (d.shard > 0) code.push_back("deepspeed.zero.MiCS_Init() around the making of the model");
  if (d.recompute != workload::Recompute::none)
    code.push_back(
        fmt::format("checkpoint {} of every layer",
                    d.recompute == workload::Recompute::full ? "all" : "the core attention"));
  if (!code.empty()) config["_railwright_in_the_training_script"] = code;
  if (d.recompute != workload::Recompute::none)
    config["activation_checkpointing"] = {{"partition_activations", false}};
  return config.dump(2) + "\n";
}

}  // namespace railwright::coordinator
