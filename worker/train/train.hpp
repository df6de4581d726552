// `railwright-worker run --workload train`: the plan executed with real arithmetic.
//
// A small GPT learns a text, byte by byte, in float32, split as the plan says: layers
// over pipeline stages that run 1F1B, matrices over tensor-parallel ranks, the batch over
// data-parallel ranks with all-reduced gradients or ZeRO-1. Weights, data and their order depend on
// the seed and on nothing that the degrees change, so every split of one training has the same
// curve: within rounding, and bit for bit where one rank adds the same numbers in the same order.
//
//   Exchange exchange(plan, transport, backend, timeout);
//   Trainer trainer(plan, settings, text, exchange, cpu_products<float>());
//   while (trainer.steps() < 100) loss = trainer.step();      // collective
//   trainer.save("checkpoints");                              // collective
#pragma once

#include <map>
#include <string>
#include <vector>

#include "worker/train/optimizer.hpp"
#include "worker/train/stage.hpp"
#include "worker/train/text.hpp"

namespace railwright::worker::train {

struct Manifest;

struct Settings {
  std::uint64_t seed = 1;
  AdamSettings adam;
  std::int64_t global_batch = 0;  // sequences per step; 0: the plan's
  bool in_order = false;          // gradients of data-parallel ranks are added in rank order
};

// Sequences per step.
std::int64_t batch_of(const emulator::Plan& plan, const Settings& settings);
// What cannot be trained: models and degrees that have no code here, each by its name, and batches
// that do not split.
Errors why_not_trained(const emulator::Plan& plan, std::int64_t global_batch,
                       const std::string& plan_path);

class Trainer {
 public:
  // Plan, text, exchange and products must outlive it; why_not_trained must be empty.
  Trainer(const emulator::Plan& plan, const Settings& settings, const Text& text,
          Exchange& exchange, Products& products);

  // Collective. Forward, backward and update; the mean loss per token before the update, the same
  // number on every rank. Not finite: the training has failed. Throws PeerLost and DeviceFailed.
  double step();
  std::int64_t steps() const { return steps_; }
  const Settings& settings() const { return settings_; }

  // Collective; docs/training.md is the page of the format. A folder that all ranks see. True on
  // every rank when all of it is there; else the first of the ranks that failed has the errors. A
  // disk may take its time: see Exchange::work_together. Throws PeerLost.
  bool save(const std::string& folder, Errors& errors);
  // The last checkpoint of the folder, made under whatever degrees: weights, moments, steps, seed,
  // batch and rates become what they were. Every rank reads what it needs; not collective.
  Errors load(const std::string& folder);

  Stage& stage() { return stage_; }
  const Stage& stage() const { return stage_; }

 private:
  struct Written;
  Errors adopt(const Manifest& manifest, const std::string& folder);
  int first_micro_batch(int data_index) const;
  MicroBatch read(int index) const;
  void forward(int index);
  void backward(int index);
  void exchange_tied_gradients();
  double joined_loss();
  int rank_at(int stage, int data_index) const;
  Written write_own(const std::string& folder) const;
  std::vector<std::string> gather(std::string fragment);
  Errors write_manifest(const std::string& folder, const std::vector<std::string>& fragments) const;
  bool agree(Errors& errors);

  const emulator::Plan& plan_;
  Settings settings_;
  const Text& text_;
  Exchange& exchange_;
  workload::Coordinates at_;
  Stage stage_;
  Optimizer optimizer_;
  std::int64_t steps_ = 0;
  std::map<int, MicroBatch> under_way_;
  std::vector<double> losses_;  // of this rank's micro-batches, last stage
};

}  // namespace railwright::worker::train
