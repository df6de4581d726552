// Models, and settings drawn at random that may be trained, shared by the tests of this floor.
#pragma once

#include <catch2/catch.hpp>
#include <random>

#include "workload/workload.hpp"

namespace railwright::workload {

inline Model ready(const std::string& name) {
  const Result<Model> model = load_model(name);
  INFO(name << "\n" << (model ? "" : to_string(model.error())));
  REQUIRE(model);
  return *model;
}

// As Megatron-LM counts GPT: no biases, no position table.
inline Model without_biases(Model model) {
  model.biases = model.learned_positions = false;
  return model;
}

struct Setting {
  Training training;
  Degrees degrees;
};

// Experts after a dense layer or in all; half of them with a shared one.
inline Experts some_experts(bool shared, bool dense_first) {
  return {8, 2, 1024, shared ? 512 : 0, dense_first ? 1 : 0, shared, shared};
}

// A small model and degrees without violations; every feature appears often.
inline Setting random_setting(std::mt19937_64& random) {
  const auto pick = [&](std::initializer_list<int> from) {
    return from.begin()[random() % from.size()];
  };
  for (;;) {
    Setting setting;
    Model& model = setting.training.model;
    model = ready(pick({0, 1}) == 0 ? "tiny-gpt" : "llama-3.1-8b");
    model.layers = pick({1, 2, 4, 6, 7, 8, 11});
    model.flash_attention = pick({0, 1}) == 1;
    model.dropout = pick({0, 1}) == 1;
    model.tied_embeddings = pick({0, 1}) == 1;
    if (pick({0, 0, 1}) == 1) model.experts = some_experts(pick({0, 1}) == 1, pick({0, 1}) == 1);
    if (pick({0, 0, 0, 1}) == 1) {
      model.latent = {64, pick({0, 96}), 32, 64};
      model.head_dim = 96, model.kv_heads = model.heads, model.flash_attention = true;
    }
    Degrees& degrees = setting.degrees;
    if (model.experts.count > 0) degrees.ep = pick({1, 2, 4, 8}), degrees.etp = pick({1, 1, 2});
    degrees.cp = pick({1, 1, 1, 2, 4});
    degrees.context = static_cast<ContextExchange>(pick({0, 1}));
    degrees.tp = pick({1, 2, 4, 8});
    degrees.pp = pick({1, 2, 3, 4, 8});
    degrees.dp = pick({1, 2, 4, 128});
    degrees.zero_stage = pick({0, 1, 2, 3});
    degrees.shard = degrees.zero_stage > 0 ? pick({0, 0, 1, 2}) : 0;
    degrees.micro_batch = pick({1, 2, 3});
    degrees.sequence_parallel = pick({0, 1}) == 1;
    degrees.recompute = static_cast<Recompute>(pick({0, 1, 2}));
    degrees.schedule = static_cast<PipelineSchedule>(pick({0, 0, 1}));
    if (degrees.pp > 1) degrees.vpp = pick({1, 1, 2});
    setting.training.sequence = pick({64, 128, 1024});
    setting.training.global_batch =
        std::int64_t{degrees.dp} * degrees.micro_batch * pick({1, 2, 3, 5, 8, 9});
    if (violations(setting.training, degrees).empty()) return setting;
  }
}

}  // namespace railwright::workload
