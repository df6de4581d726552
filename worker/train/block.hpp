// One layer of the decoder, split over a tensor-parallel group as in Megatron-LM: the first matrix
// of attention and of the MLP by columns, the second by rows. Between them every rank has its heads
// and its part of the width; after the second the parts are added. With sequence parallelism a rank
// keeps the activations of its share of the tokens only, where they would be the same everywhere.
#pragma once

#include "worker/train/exchange.hpp"
#include "worker/train/layers.hpp"
#include "worker/train/parameters.hpp"

namespace railwright::worker::train {

// What this rank holds of the model.
struct Shape {
  Norm norm = Norm::layer;
  bool gated = false, biases = false, qkv_bias = false, rotary = false;
  bool learned_positions = false, tied = false;
  std::int64_t hidden = 0, ffn = 0;  // ffn: of this rank
  Heads heads;                       // of this rank; `sequences` of a micro-batch
  std::int64_t all_heads = 0, all_kv_heads = 0, all_ffn = 0, vocabulary = 0, positions = 0;
  std::int64_t first_word = 0, words = 0;  // of the vocabulary
  std::int64_t first_layer = 0, layers = 0, all_layers = 0;
  bool first = true, last = true;  // stage
  int tensor_ranks = 1, tensor_index = 0;
  bool sequence_parallel = false;  // and more than one rank
  std::int64_t tokens() const { return heads.sequences * heads.sequence; }
  // Rows of what is split under sequence parallelism.
  std::int64_t rows() const { return sequence_parallel ? tokens() / tensor_ranks : tokens(); }
};

// The exchanges around the split matrices; each is the derivative of the other.
class TensorGroup {
 public:
  TensorGroup(const Shape& shape, Exchange& exchange) : shape_(shape), exchange_(exchange) {}
  // All tokens: gathered under sequence parallelism, else they are there already.
  Matrix whole(const Matrix& rows) const;
  // Sum over the group: of this rank's tokens under sequence parallelism, else of all.
  Matrix summed(Matrix partial) const;

 private:
  const Shape& shape_;
  Exchange& exchange_;
};

// sqrt(3) x 0.02: a uniform distribution with the standard deviation 0.02 of GPT-2.
inline constexpr float initial_spread = 0.034641016f;

// Indices into Parameters; -1: the model has none.
struct BlockWeights {
  int norm1_gain = -1, norm1_bias = -1, norm2_gain = -1, norm2_bias = -1;
  int query = -1, query_bias = -1, key = -1, key_bias = -1, value = -1, value_bias = -1;
  int output = -1, output_bias = -1;
  int gate = -1, gate_bias = -1, up = -1, up_bias = -1, down = -1, down_bias = -1;
};
BlockWeights add_block(Parameters& parameters, const Shape& shape, std::int64_t layer);

struct BlockSaved {
  NormSaved<float> norm1, norm2;
  Matrix a, q, k, v, context;     // a: what attention reads
  Matrix m, gate, up, activated;  // m: what the MLP reads
  AttentionSaved<float> attention;
};
// What a layer is computed with.
struct Means {
  const Shape& shape;
  Parameters& parameters;
  const TensorGroup& group;
  Products& products;
};
Matrix block_forward(const Means& means, const BlockWeights& weights, const Matrix& x,
                     BlockSaved& saved);
// Gradient of x; those of the weights are added to.
Matrix block_backward(const Means& means, const BlockWeights& weights, const Matrix& dy,
                      const BlockSaved& saved);

}  // namespace railwright::worker::train
