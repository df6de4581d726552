#include "worker/train/block.hpp"

#include <fmt/format.h>

#include <cmath>
#include <utility>

namespace railwright::worker::train {
namespace {

std::span<float> values_of(Matrix& matrix) {
  return {matrix.data(), static_cast<std::size_t>(matrix.size())};
}

// Makes the parameters of one layer, in the order in which they lie in memory.
class BlockMaker {
 public:
  BlockMaker(Parameters& parameters, const Shape& shape, std::int64_t layer)
      : parameters_(parameters), shape_(shape), prefix_(fmt::format("layers.{}.", layer)) {}

  // [rows, columns], the same on every rank of the tensor group.
  int shared(const std::string& name, std::int64_t columns, float fill) {
    Parameter p{prefix_ + name, 1, columns, {0, 1, 0, columns}};
    p.fill = fill;
    p.copy = shape_.tensor_index > 0;
    p.partial = shape_.sequence_parallel;
    return parameters_.add(std::move(p));
  }
  int by_columns(const std::string& name, std::int64_t rows, std::int64_t columns, float spread) {
    const std::int64_t mine = columns / shape_.tensor_ranks;
    Parameter p{prefix_ + name, rows, columns, {0, rows, mine * shape_.tensor_index, mine}};
    p.spread = spread;
    return parameters_.add(std::move(p));
  }
  int by_rows(const std::string& name, std::int64_t rows, std::int64_t columns, float spread) {
    const std::int64_t mine = rows / shape_.tensor_ranks;
    Parameter p{prefix_ + name, rows, columns, {mine * shape_.tensor_index, mine, 0, columns}};
    p.spread = spread;
    return parameters_.add(std::move(p));
  }

 private:
  Parameters& parameters_;
  const Shape& shape_;
  std::string prefix_;
};

ConstView value(const Means& means, int index) {
  return std::as_const(means.parameters).value(index);
}

Matrix linear(const Means& means, const Matrix& x, int weight, int bias) {
  Matrix y = product<float>(means.products, Form::plain, x, value(means, weight));
  if (bias >= 0) y.rowwise() += value(means, bias).row(0);
  return y;
}

// Gradients of weight and bias; that of x.
Matrix linear_backward(const Means& means, const Matrix& x, const Matrix& dy, int weight,
                       int bias) {
  add_weight_gradient<float>(means.products, x, dy, means.parameters.gradient(weight));
  if (bias >= 0) add_bias_gradient<float>(dy, means.parameters.gradient(bias));
  return product<float>(means.products, Form::right_transposed, dy, value(means, weight));
}

// Row-parallel: the bias is added once, to the sum.
Matrix joined(const Means& means, const Matrix& x, int weight, int bias) {
  Matrix y = means.group.summed(linear(means, x, weight, -1));
  if (bias >= 0) y.rowwise() += value(means, bias).row(0);
  return y;
}

Matrix joined_backward(const Means& means, const Matrix& x, const Matrix& dy, int weight,
                       int bias) {
  if (bias >= 0) add_bias_gradient<float>(dy, means.parameters.gradient(bias));
  return linear_backward(means, x, means.group.whole(dy), weight, -1);
}

}  // namespace

Matrix TensorGroup::whole(const Matrix& rows) const {
  if (!shape_.sequence_parallel) return rows;
  Matrix all(shape_.tokens(), rows.cols());
  all.middleRows(shape_.tensor_index * rows.rows(), rows.rows()) = rows;
  exchange_.all_gather(Dimension::tp, values_of(all));
  return all;
}

Matrix TensorGroup::summed(Matrix partial) const {
  if (shape_.tensor_ranks == 1) return partial;
  if (!shape_.sequence_parallel) {
    exchange_.all_reduce(Dimension::tp, values_of(partial));
    return partial;
  }
  exchange_.reduce_scatter(Dimension::tp, values_of(partial));
  return partial.middleRows(shape_.tensor_index * shape_.rows(), shape_.rows());
}

// Spread of GPT-2: standard deviation 0.02, and less by sqrt(2 L) where it ends in the residual
// sum.
BlockWeights add_block(Parameters& parameters, const Shape& shape, std::int64_t layer) {
  BlockMaker make(parameters, shape, layer);
  const std::int64_t h = shape.hidden, f = shape.all_ffn;
  const std::int64_t q = shape.all_heads * shape.heads.size;
  const std::int64_t kv = shape.all_kv_heads * shape.heads.size;
  const float spread = initial_spread;
  const float small = spread / std::sqrt(2.0f * static_cast<float>(shape.all_layers));
  const bool layer_norm = shape.norm == Norm::layer;
  const bool qkv_bias = shape.biases || shape.qkv_bias;
  BlockWeights w;
  w.norm1_gain = make.shared("norm1.gain", h, 1);
  if (layer_norm) w.norm1_bias = make.shared("norm1.bias", h, 0);
  w.query = make.by_columns("attention.query.weight", h, q, spread);
  w.key = make.by_columns("attention.key.weight", h, kv, spread);
  w.value = make.by_columns("attention.value.weight", h, kv, spread);
  if (qkv_bias) w.query_bias = make.by_columns("attention.query.bias", 1, q, 0);
  if (qkv_bias) w.key_bias = make.by_columns("attention.key.bias", 1, kv, 0);
  if (qkv_bias) w.value_bias = make.by_columns("attention.value.bias", 1, kv, 0);
  w.output = make.by_rows("attention.output.weight", q, h, small);
  if (shape.biases) w.output_bias = make.shared("attention.output.bias", h, 0);
  w.norm2_gain = make.shared("norm2.gain", h, 1);
  if (layer_norm) w.norm2_bias = make.shared("norm2.bias", h, 0);
  if (shape.gated) w.gate = make.by_columns("mlp.gate.weight", h, f, spread);
  w.up = make.by_columns("mlp.up.weight", h, f, spread);
  if (shape.gated && shape.biases) w.gate_bias = make.by_columns("mlp.gate.bias", 1, f, 0);
  if (shape.biases) w.up_bias = make.by_columns("mlp.up.bias", 1, f, 0);
  w.down = make.by_rows("mlp.down.weight", f, h, small);
  if (shape.biases) w.down_bias = make.shared("mlp.down.bias", h, 0);
  return w;
}

Matrix block_forward(const Means& means, const BlockWeights& w, const Matrix& x,
                     BlockSaved& saved) {
  const Shape& shape = means.shape;
  saved.a = means.group.whole(norm<float>(shape.norm, x, value(means, w.norm1_gain),
                                          value(means, w.norm1_bias), saved.norm1));
  saved.q = linear(means, saved.a, w.query, w.query_bias);
  saved.k = linear(means, saved.a, w.key, w.key_bias);
  saved.v = linear(means, saved.a, w.value, w.value_bias);
  if (shape.rotary) rotate(shape.heads, saved.q, false);
  if (shape.rotary) rotate(shape.heads, saved.k, false);
  saved.context =
      attention(means.products, shape.heads, saved.q, saved.k, saved.v, saved.attention);
  const Matrix middle = x + joined(means, saved.context, w.output, w.output_bias);

  saved.m = means.group.whole(norm<float>(shape.norm, middle, value(means, w.norm2_gain),
                                          value(means, w.norm2_bias), saved.norm2));
  saved.up = linear(means, saved.m, w.up, w.up_bias);
  if (shape.gated) saved.gate = linear(means, saved.m, w.gate, w.gate_bias);
  saved.activated = shape.gated ? swiglu(saved.gate, saved.up) : gelu(saved.up);
  return middle + joined(means, saved.activated, w.down, w.down_bias);
}

namespace {

// Of what the norm before the MLP put out, summed over the tensor group.
Matrix mlp_backward(const Means& means, const BlockWeights& w, const Matrix& dy,
                    const BlockSaved& saved) {
  const Matrix d_activated = joined_backward(means, saved.activated, dy, w.down, w.down_bias);
  if (!means.shape.gated) {
    const Matrix d_up = gelu_backward(saved.up, d_activated);
    return means.group.summed(linear_backward(means, saved.m, d_up, w.up, w.up_bias));
  }
  const auto d = swiglu_backward(saved.gate, saved.up, d_activated);
  Matrix d_m = linear_backward(means, saved.m, d.gate, w.gate, w.gate_bias);
  d_m += linear_backward(means, saved.m, d.up, w.up, w.up_bias);
  return means.group.summed(std::move(d_m));
}

Matrix attention_part_backward(const Means& means, const BlockWeights& w, const Matrix& dy,
                               const BlockSaved& saved) {
  const Heads& heads = means.shape.heads;
  const Matrix d_context = joined_backward(means, saved.context, dy, w.output, w.output_bias);
  auto d = attention_backward(means.products, heads, saved.q, saved.k, saved.v, saved.attention,
                              d_context);
  if (means.shape.rotary) rotate(heads, d.q, true);
  if (means.shape.rotary) rotate(heads, d.k, true);
  Matrix d_a = linear_backward(means, saved.a, d.q, w.query, w.query_bias);
  d_a += linear_backward(means, saved.a, d.k, w.key, w.key_bias);
  d_a += linear_backward(means, saved.a, d.v, w.value, w.value_bias);
  return means.group.summed(std::move(d_a));
}

}  // namespace

Matrix block_backward(const Means& means, const BlockWeights& w, const Matrix& dy,
                      const BlockSaved& saved) {
  Parameters& p = means.parameters;
  const Norm kind = means.shape.norm;
  Matrix middle = mlp_backward(means, w, dy, saved);
  middle = dy + norm_backward<float>(kind, middle, value(means, w.norm2_gain), saved.norm2,
                                     p.gradient(w.norm2_gain), p.gradient(w.norm2_bias));
  Matrix dx = attention_part_backward(means, w, middle, saved);
  dx = middle + norm_backward<float>(kind, dx, value(means, w.norm1_gain), saved.norm1,
                                     p.gradient(w.norm1_gain), p.gradient(w.norm1_bias));
  return dx;
}

}  // namespace railwright::worker::train
