// torchtitan's job configuration.
#include <fmt/format.h>

#include "coordinator/planner/emit/frameworks.hpp"

namespace railwright::coordinator {

namespace {

using emulator::Plan;
using workload::Degrees;
using workload::Recompute;

const char* schedule_word(const Degrees& d) { return d.vpp > 1 ? "Interleaved1F1B" : "1F1B"; }

// Its data-parallel ranks copy or shard; both at once is HSDP.
std::pair<int, int> replicas_and_shards(const Degrees& d) {
  if (d.zero_stage == 0) return {d.dp, 1};
  if (d.shard > 0) return {d.dp / d.shard, d.shard};
  return {1, d.dp};
}

}  // namespace

Errors torchtitan_refusals(const Plan& plan) {
  const Degrees& d = plan.degrees;
  Errors errors;
  const auto refuse = [&](const std::string& what, const std::string& hint) {
    errors.push_back({{}, "torchtitan: " + what, hint});
  };
  if (d.zero_stage == 1)
    refuse("zero_stage=1: it shards parameters and gradients with the optimizer",
           "plan with --fix zero_stage=3 (or 2, or 0)");
  if (!is_interleaved_or_plain(d))
    refuse("schedule zb-h1 is none of its schedules", "plan with --fix schedule=1f1b");
  if (d.tp > 1 && !d.sequence_parallel)
    refuse("sequence_parallel=false with tp > 1: it always splits the sequence too",
           "plan with --fix sequence_parallel=true");
  if (d.cp > 1 && d.context == workload::ContextExchange::all_to_all)
    refuse("context=all_to_all: it has the ring only", "plan with --fix context=ring");
  if (d.etp > 1) refuse("etp: its experts are not split", "plan with --fix etp=1");
  if (!d.layers.empty())
    refuse("layers: its stages are named by modules", "plan without --fix layers");
  if (d.shard > 0 && d.cp > 1)
    refuse("shard with cp > 1: context ranks are part of the shards there", "plan without one");
  if (plan.placement.order != workload::default_order)
    refuse("placement: its mesh is pp, dp, cp, tp from the outside",
           "plan with --placement linear");
  const std::string precision = precision_word(plan.training);
  if (is_narrow(plan.training.precision))
    refuse("precision " + precision + " is a converter of the model", "plan with --precision bf16");
  if (plan.training.precision == topology::Precision::fp16)
    refuse("precision fp16: it mixes bfloat16 or float32", "plan with --precision bf16");
  return errors;
}

std::string torchtitan_config(const Plan& plan) {
  const Degrees& d = plan.degrees;
  const auto [replicas, shards] = replicas_and_shards(d);
  const std::int64_t share = plan.training.global_batch / d.dp;  // of a data-parallel rank
  std::string text =
      fmt::format(R"(# torchtitan configuration, options of 000204a; {} ranks.
# The sections of the model, the data and the optimizer are yours.
[training]
local_batch_size = {}
global_batch_size = {}
seq_len = {}
mixed_precision_param = "{}"

[parallelism]
data_parallel_replicate_degree = {}
data_parallel_shard_degree = {}
fsdp_reshard_after_forward = "{}"
tensor_parallel_degree = {}
context_parallel_degree = {}
pipeline_parallel_degree = {}
)",
                  d.world(), d.pp > 1 ? share : d.micro_batch, plan.training.global_batch,
                  plan.training.sequence,
                  plan.training.precision == topology::Precision::bf16 ? "bfloat16" : "float32",
                  replicas, shards, d.zero_stage == 3 ? "always" : "never", d.tp, d.cp, d.pp);
  if (d.pp > 1)
    text += fmt::format(
        "pipeline_parallel_schedule = \"{}\"\npipeline_parallel_microbatch_size = {}\n"
        "pipeline_parallel_layers_per_stage = {}\n"
        "pipeline_parallel_first_stage_less_layers = 0\n"  // 1 by default, for the embedding
        "pipeline_parallel_last_stage_less_layers = 0\n",
        schedule_word(d), d.micro_batch, plan.training.model.layers / d.pp / d.vpp);
  if (plan.training.model.experts.count > 0)
    text += fmt::format("expert_parallel_degree = {}\n", d.ep);
  if (d.cp > 1) text += "context_parallel_rotate_method = \"alltoall\"\n";  // passed round
  text +=
      fmt::format("\n[activation_checkpoint]\nmode = \"{}\"\n", workload::to_string(d.recompute));
  if (d.recompute == Recompute::selective) text += "selective_ac_option = \"op\"\n";
  return text;
}

}  // namespace railwright::coordinator
