// One pipeline stage: its layers, the embedding before the first of all, the head and the loss
// after the last.
#pragma once

#include <span>
#include <vector>

#include "worker/train/block.hpp"

namespace railwright::worker::train {

// What a stage keeps of a micro-batch from its forward to its backward pass.
struct MicroBatch {
  std::vector<int> inputs, targets;  // of all tokens; read by the first and the last stage
  std::vector<Matrix> layer_inputs;  // under full recomputation
  std::vector<BlockSaved> blocks;
  NormSaved<float> norm;
  Matrix read_by_head, logits;
  std::vector<TokenLoss> losses;
};

class Stage {
 public:
  // Weights as they begin; see random.hpp.
  Stage(const emulator::Plan& plan, std::uint64_t seed, Exchange& exchange, Products& products);

  const Shape& shape() const { return shape_; }
  Parameters& parameters() { return parameters_; }
  const Parameters& parameters() const { return parameters_; }
  int tied_bucket() const {
    return tied_bucket_;
  }                                             // -1: the table is not shared with another stage
  int embedding() const { return embedding_; }  // index of the table here, -1: none

  Matrix embed(const MicroBatch& micro_batch);                        // first stage
  Matrix forward(Matrix x, MicroBatch& micro_batch);                  // layers
  double loss(const Matrix& x, MicroBatch& micro_batch);              // last: sum over the tokens
  Matrix loss_backward(const MicroBatch& micro_batch, double scale);  // of scale x loss()
  Matrix backward(Matrix dy, MicroBatch& micro_batch);                // layers
  void embed_backward(const Matrix& dx, const MicroBatch& micro_batch);  // first stage

  // Once per step, after the last backward: sums the gradients that each rank of the tensor group
  // has of its own tokens.
  void sum_partial_gradients();

 private:
  void add_parameters(int data_ranks);
  int add_table(const std::string& name, bool copy);
  Means means() { return {shape_, parameters_, group_, products_}; }

  Exchange& exchange_;
  Products& products_;
  Shape shape_;
  TensorGroup group_;
  bool recompute_;
  Parameters parameters_;
  std::vector<BlockWeights> blocks_;
  int embedding_ = -1, positions_ = -1, norm_gain_ = -1, norm_bias_ = -1, head_ = -1;
  int tied_bucket_ = -1;
  // The head's gradient of a tied table, until the embedding's of the same micro-batch joins it:
  // then micro-batches add up in their order.
  Matrix head_gradient_;
};

}  // namespace railwright::worker::train
