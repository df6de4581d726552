#include "workload/kernels.hpp"

#include "workload/layer.hpp"

namespace railwright::workload {

namespace {

double as_double(std::int64_t x) { return static_cast<double>(x); }

Kernel vector_kernel(std::string name, double bytes) {
  return {std::move(name), KernelKind::vector, {0}, bytes, 1};
}

// m x k times k x n.
Kernel gemm(std::string name, double m, double n, double k, double element) {
  return {std::move(name), KernelKind::gemm, {2 * m * n * k}, element * (m * k + k * n + m * n), 1};
}

// The gradient of a k x n weight over m tokens, added to an fp32 buffer: read and written.
Kernel weight_gradient(std::string name, double m, double n, double k, double element) {
  return {
      std::move(name), KernelKind::gemm, {2 * m * n * k}, element * (m * k + m * n) + 8 * k * n, 1};
}

Kernel norm_forward(const RankShape& s) {
  return vector_kernel("norm", 2 * s.element * s.local_tokens * s.hidden);
}

// Reads the gradient, the input and the residual's gradient; writes their sum.
Kernel norm_backward(const RankShape& s) {
  return vector_kernel("norm_backward", 4 * s.element * s.local_tokens * s.hidden);
}

Kernel residual(const RankShape& s) {
  const double mask = s.dropout ? 1 : 0;
  return vector_kernel("residual", (3 * s.element + mask) * s.local_tokens * s.hidden);
}

double up_width(const RankShape& s) { return (s.gated ? 2 : 1) * s.ffn; }

void append(Kernels& kernels, Kernels more) {
  kernels.insert(kernels.end(), more.begin(), more.end());
}

// FLOPs of Q K^T, and of A V, over the whole score matrix.
double score_flops(const RankShape& s) { return 2 * s.batch * s.sequence * s.sequence * s.query; }
double score_bytes(const RankShape& s) { return s.batch * s.heads * s.sequence * s.sequence; }

Kernel score_gemm(std::string name, const RankShape& s, double width) {
  return {std::move(name),
          KernelKind::gemm,
          {score_flops(s)},
          s.element * (s.tokens * (s.query + width) + score_bytes(s)),
          1};
}

// Causal flash attention: half of the two forward products. Its backward makes the scores again:
// five products of which the forward had two.
Kernel flash_forward(const RankShape& s) {
  return {"attention",
          KernelKind::attention,
          {score_flops(s)},
          s.element * s.tokens * (2 * s.query + 2 * s.kv),
          1};
}
Kernel flash_backward(const RankShape& s) {
  return {"attention_backward",
          KernelKind::attention,
          {2.5 * score_flops(s)},
          s.element * s.tokens * (4 * s.query + 4 * s.kv),
          1};
}

// Unfused attention computes all of the scores and writes each stage of them to memory.
Kernels core_attention_backward(const RankShape& s) {
  if (s.flash) return {flash_backward(s)};
  const double softmax = 3 * s.element + (s.dropout ? 2 * s.element + 1 : 0);
  return {score_gemm("value_gradient", s, s.kv), score_gemm("score_gradient", s, s.kv),
          vector_kernel("softmax_backward", softmax * score_bytes(s)),
          score_gemm("query_gradient", s, s.kv), score_gemm("key_gradient", s, s.kv)};
}

Kernel rotary(const RankShape& s) {
  return vector_kernel("rotary", 2 * s.element * s.tokens * (s.query + s.kv));
}

}  // namespace

RankShape rank_shape(const Training& training, const Degrees& degrees) {
  const Model& model = training.model;
  const double t = degrees.tp;
  RankShape s;
  s.batch = degrees.micro_batch;
  s.sequence = as_double(training.sequence);
  s.tokens = s.batch * s.sequence;
  s.local_tokens = degrees.sequence_parallel ? s.tokens / t : s.tokens;
  s.hidden = as_double(model.hidden);
  s.query = as_double(model.query_width()) / t;
  s.kv = as_double(model.kv_width()) / t;
  s.heads = as_double(model.heads) / t;
  s.ffn = as_double(model.ffn_hidden) / t;
  s.vocabulary = as_double(vocabulary_shard(model, degrees.tp));
  s.element = element_bytes(training.precision);
  s.gated = model.gated_mlp;
  s.rotary = !model.learned_positions;
  s.flash = model.flash_attention;
  s.dropout = model.dropout;
  return s;
}

Kernels core_attention_forward(const RankShape& s) {
  if (s.flash) return {flash_forward(s)};
  const double softmax = 2 * s.element + (s.dropout ? 2 * s.element + 1 : 0);
  return {score_gemm("scores", s, s.kv), vector_kernel("softmax", softmax * score_bytes(s)),
          score_gemm("context", s, s.kv)};
}

Kernels attention_forward(const RankShape& s) {
  Kernels kernels = {norm_forward(s),
                     gemm("qkv", s.tokens, s.query + 2 * s.kv, s.hidden, s.element)};
  if (s.rotary) kernels.push_back(rotary(s));
  append(kernels, core_attention_forward(s));
  kernels.push_back(gemm("attention_output", s.tokens, s.hidden, s.query, s.element));
  kernels.push_back(residual(s));
  return kernels;
}

Kernels attention_backward(const RankShape& s) {
  Kernels kernels = {norm_backward(s),
                     gemm("attention_output_gradient", s.tokens, s.query, s.hidden, s.element)};
  append(kernels, core_attention_backward(s));
  if (s.rotary) kernels.push_back(rotary(s));
  kernels.push_back(gemm("qkv_gradient", s.tokens, s.hidden, s.query + 2 * s.kv, s.element));
  return kernels;
}

Kernels attention_output_weight_gradient(const RankShape& s) {
  return {weight_gradient("attention_output_weight", s.tokens, s.hidden, s.query, s.element)};
}

Kernels qkv_weight_gradient(const RankShape& s) {
  return {weight_gradient("qkv_weight", s.tokens, s.query + 2 * s.kv, s.hidden, s.element)};
}

Kernels mlp_forward(const RankShape& s) {
  return {norm_forward(s), gemm("mlp_up", s.tokens, up_width(s), s.hidden, s.element),
          vector_kernel("activation", s.element * s.tokens * (up_width(s) + s.ffn)),
          gemm("mlp_down", s.tokens, s.hidden, s.ffn, s.element), residual(s)};
}

Kernels mlp_backward(const RankShape& s) {
  return {norm_backward(s), gemm("mlp_down_gradient", s.tokens, s.ffn, s.hidden, s.element),
          vector_kernel("activation_backward", s.element * s.tokens * (2 * up_width(s) + s.ffn)),
          gemm("mlp_up_gradient", s.tokens, s.hidden, up_width(s), s.element)};
}

Kernels mlp_down_weight_gradient(const RankShape& s) {
  return {weight_gradient("mlp_down_weight", s.tokens, s.hidden, s.ffn, s.element)};
}

Kernels mlp_up_weight_gradient(const RankShape& s) {
  return {weight_gradient("mlp_up_weight", s.tokens, up_width(s), s.hidden, s.element)};
}

Kernels embedding_forward(const RankShape& s) {
  return {vector_kernel("embedding", 2 * s.element * s.tokens * s.hidden)};
}

Kernels embedding_backward(const RankShape& s) {
  return {vector_kernel("embedding_backward", (s.element + 8) * s.tokens * s.hidden)};
}

Kernels head_forward(const RankShape& s) {
  // The loss reads the logits, writes them in fp32 and reads those for maximum and sum.
  return {norm_forward(s), gemm("logits", s.tokens, s.vocabulary, s.hidden, s.element),
          vector_kernel("loss", (s.element + 8) * s.tokens * s.vocabulary)};
}

Kernels head_backward(const RankShape& s) {
  return {vector_kernel("loss_backward", (4 + s.element) * s.tokens * s.vocabulary),
          gemm("logits_gradient", s.tokens, s.hidden, s.vocabulary, s.element), norm_backward(s)};
}

Kernels head_weight_gradient(const RankShape& s) {
  return {weight_gradient("logits_weight", s.tokens, s.vocabulary, s.hidden, s.element)};
}

Kernels gradient_norm(double owned) { return {vector_kernel("gradient_norm", 4 * owned)}; }

Kernels optimizer_step(double owned, double held, double element) {
  // Adam reads gradient, master weight and two moments, writes the last three and the weight; fp32
  // weights are their own master. Then all gradients are set to zero.
  const double weight = element == 4 ? 0 : element;
  return {vector_kernel("adam", (28 + weight) * owned), vector_kernel("zero_gradients", 4 * held)};
}

}  // namespace railwright::workload
