// Small trainings on threads: one rank or many, the same data.
#pragma once

#include <catch2/catch.hpp>
#include <cmath>
#include <functional>
#include <map>
#include <mutex>

#include "tests/worker/ranks.hpp"
#include "topology/topology.hpp"
#include "worker/train/train.hpp"

namespace railwright::worker::train {

// LayerNorm, GELU, learned positions, biases, shared table; and RMSNorm, SwiGLU, rotary positions,
// fewer key heads, a head of its own.
inline const char* const gpt_json = R"({"model_type": "gpt2", "n_embd": 16, "n_head": 4,
  "n_layer": 4, "n_positions": 12, "vocab_size": 259, "resid_pdrop": 0.0, "attn_pdrop": 0.0,
  "embd_pdrop": 0.0})";
inline const char* const llama_json = R"({"model_type": "llama", "hidden_size": 16,
  "num_attention_heads": 4, "num_key_value_heads": 2, "num_hidden_layers": 4,
  "intermediate_size": 24, "vocab_size": 256, "max_position_embeddings": 64})";

inline emulator::Plan train_plan(const std::string& model_json, const std::string& degrees,
                                 std::int64_t batch = 8) {
  const auto cluster = *topology::load_cluster("dgx-h100");
  const auto model = workload::parse_model(model_json, "model.json");
  REQUIRE(model);
  const auto plan =
      emulator::make_plan(cluster, {*model, batch, 8}, *workload::parse_degrees(degrees),
                          topology::default_calibration());
  if (!plan) FAIL(to_string(plan.error()));
  return *plan;
}

inline const Text& lab_text() {
  static const Text text = [] {
    std::string bytes;
    for (int i = 0; i < 400; ++i) bytes += "the " + std::to_string(i * i % 97) + " trains, ";
    return Text(bytes);
  }();
  return text;
}

// Whole tensors of the model by name, put together from the parts of all ranks.
using Tensors = std::map<std::string, std::vector<float>>;

inline void collect(const Parameters& parameters, const std::vector<float>& values,
                    Tensors& tensors) {
  for (const Parameter& p : parameters.all()) {
    auto& whole = tensors[p.name];
    whole.resize(static_cast<std::size_t>(p.rows * p.columns));
    for (std::int64_t row = 0; row < p.part.rows; ++row)
      for (std::int64_t column = 0; column < p.part.columns; ++column)
        whole[static_cast<std::size_t>((p.part.row + row) * p.columns + p.part.column + column)] =
            values[p.offset + static_cast<std::size_t>(row * p.part.columns + column)];
  }
}

struct Trained {
  std::vector<double> losses;
  Tensors weights;
  double largest_copy_difference = 0;  // between copies of a weight on several ranks
};

// What each rank multiplies with, told its number; null: the CPU.
using ProductsMaker = std::function<std::unique_ptr<Products>(int)>;

// What `work` does with each rank's trainer; then the weights of all ranks, put together.
inline Trained train_with(const emulator::Plan& plan, const Settings& settings,
                          const std::function<void(Trainer&, std::vector<double>&)>& work,
                          const ProductsMaker& make_products = nullptr) {
  Trained trained;
  std::mutex mutex;
  on_ranks(static_cast<int>(plan.degrees.world()), [&](Transport& transport) {
    const auto backend = make_p2p_backend(transport);
    Exchange exchange(plan, transport, *backend, seconds(30));
    const auto own = make_products ? make_products(transport.rank()) : nullptr;
    Trainer trainer(plan, settings, lab_text(), exchange, own ? *own : cpu_products<float>());
    std::vector<double> losses;
    work(trainer, losses);
    const std::lock_guard lock(mutex);
    if (trained.losses.empty()) trained.losses = losses;
    if (trained.losses != losses) trained.largest_copy_difference = INFINITY;
    Tensors before = trained.weights;
    const Parameters& parameters = trainer.stage().parameters();
    collect(parameters, parameters.values(), trained.weights);
    for (const Parameter& p : parameters.all()) {
      // Parts that are there already must be copies.
      const auto& old = before[p.name];
      for (std::size_t i = 0; i < old.size(); ++i)
        if (old[i] != 0)
          trained.largest_copy_difference = std::max<double>(
              trained.largest_copy_difference, std::abs(old[i] - trained.weights[p.name][i]));
    }
  });
  return trained;
}

inline Trained train_for(const emulator::Plan& plan, const Settings& settings, int steps,
                         const ProductsMaker& make_products = nullptr) {
  return train_with(
      plan, settings,
      [&](Trainer& trainer, std::vector<double>& losses) {
        for (int i = 0; i < steps; ++i) losses.push_back(trainer.step());
      },
      make_products);
}

// The largest difference of two weights with the same place, and the names must be the same.
inline double difference(const Tensors& a, const Tensors& b) {
  if (a.size() != b.size()) return INFINITY;
  double largest = 0;
  for (const auto& [name, values] : a) {
    const auto found = b.find(name);
    if (found == b.end() || found->second.size() != values.size()) return INFINITY;
    for (std::size_t i = 0; i < values.size(); ++i)
      largest = std::max<double>(largest, std::abs(values[i] - found->second[i]));
  }
  return largest;
}

}  // namespace railwright::worker::train
