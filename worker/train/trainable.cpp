#include <fmt/format.h>

#include "worker/train/train.hpp"

namespace railwright::worker::train {
namespace {

std::vector<std::string> of_model(const workload::Model& model) {
  std::vector<std::string> out;
  const auto refuse = [&](bool applies, const std::string& what) {
    if (applies) out.push_back(what);
  };
  const bool known = model.model_type == "gpt2" || model.model_type == "llama" ||
                     model.model_type == "mistral" || model.model_type == "qwen2";
  refuse(!known, fmt::format("models of type '{}' (gpt2, llama, mistral and qwen2 are trained)",
                             model.model_type));
  refuse(model.experts.count > 0, "mixtures of experts");
  refuse(model.latent.kv_rank > 0, "latent attention");
  refuse(model.dropout, "dropout: set attn_pdrop, embd_pdrop and resid_pdrop to 0");
  refuse(model.vocabulary < 256,
         fmt::format("a vocabulary of {}: the text's bytes need 256", model.vocabulary));
  refuse(!model.learned_positions && model.head_dim % 2 != 0,
         fmt::format("rotary positions in heads of odd size {}", model.head_dim));
  return out;
}

std::vector<std::string> of_degrees(const workload::Degrees& degrees) {
  std::vector<std::string> out;
  const auto refuse = [&](bool applies, const std::string& what) {
    if (applies) out.push_back(what);
  };
  refuse(degrees.cp > 1, fmt::format("context parallelism (cp={})", degrees.cp));
  refuse(degrees.vpp > 1, fmt::format("interleaved stages (vpp={})", degrees.vpp));
  refuse(degrees.schedule != workload::PipelineSchedule::one_forward_one_backward,
         fmt::format("schedule={}", to_string(degrees.schedule)));
  refuse(degrees.zero_stage > 1, fmt::format("zero_stage={}", degrees.zero_stage));
  refuse(degrees.shard > 0, "shard (HSDP)");
  return out;
}

}  // namespace

Errors why_not_trained(const emulator::Plan& plan, std::int64_t global_batch,
                       const std::string& plan_path) {
  Errors errors;
  const Place place{plan_path, 0, 0};
  for (const std::string& what : of_model(plan.training.model))
    errors.push_back({place, "--workload train does not train " + what, "choose another model"});
  for (const std::string& what : of_degrees(plan.degrees))
    errors.push_back({place, "--workload train does not do " + what, "plan with --fix without it"});
  const workload::Model& model = plan.training.model;
  const int tp = plan.degrees.tp;
  if (workload::vocabulary_shard(model, tp) * (tp - 1) >= model.vocabulary)
    errors.push_back({place,
                      fmt::format("a vocabulary of {} leaves some of {} tensor-parallel ranks "
                                  "without a word",
                                  model.vocabulary, tp),
                      "plan with a smaller tp"});
  const std::int64_t size = plan.degrees.micro_batch;
  if (global_batch % size != 0)
    errors.push_back({place,
                      fmt::format("a batch of {} sequences is no whole number of micro-batches of "
                                  "{}",
                                  global_batch, size),
                      "plan with another micro_batch or give another --global-batch"});
  else if (global_batch / size < plan.degrees.dp)
    errors.push_back({place,
                      fmt::format("a batch of {} micro-batches leaves some of {} data-parallel "
                                  "ranks without any",
                                  global_batch / size, plan.degrees.dp),
                      "plan with a smaller dp or micro_batch, or give a larger --global-batch"});
  return errors;
}

}  // namespace railwright::worker::train
