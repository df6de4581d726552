#include "workload/kernels.hpp"

#include <cmath>
#include <utility>

namespace railwright::workload {

namespace {

Kernel vector_kernel(std::string name, double bytes) {
  return {std::move(name), KernelKind::vector, {0}, bytes, 1};
}

// `count` kernels, no more and no fewer in any framework.
Kernel exact_kernel(std::string name, double bytes, int count = 1) {
  return {std::move(name), KernelKind::exact_vector, {0}, bytes / count, count};
}

// m x k times k x n.
Kernel gemm(std::string name, double m, double n, double k, double element) {
  return {std::move(name), KernelKind::gemm, {2 * m * n * k}, element * (m * k + k * n + m * n), 1,
          {m, n, k}};
}

// The gradient of a k x n weight over m tokens: added to an fp32 buffer that is read and written,
// or written for a kernel that adds it.
Kernel weight_gradient(std::string name, const RankShape& s, double m, double n, double k) {
  return {std::move(name),
          KernelKind::gemm,
          {2 * m * n * k},
          s.element * (m * k + m * n) + s.gradient_bytes * k * n,
          1,
          {k, n, m}};
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

// FLOPs of Q K^T (width of the queries) or of A V (of the context), over the whole score matrix.
double score_flops(const RankShape& s, double width) { return 2 * s.tokens * s.sequence * width; }
double score_bytes(const RankShape& s) { return s.tokens * s.heads * s.sequence; }

// Scaled and masked softmax is one kernel where it takes four rows of scores at a time; else the
// scores are copied to fp32, scaled, masked, put through a softmax and copied back (Megatron-LM,
// fused_softmax.py, is_kernel_available). `passes` in 16 bit if fused; dropout has a mask.
Kernels softmax(const std::string& name, const RankShape& s, double passes) {
  const double dropout = s.dropout ? 2 * s.element + 1 : 0;
  const bool fused = s.element == 2 && s.sequence > 16 && s.sequence <= 16'384 &&
                     std::fmod(s.batch * s.heads, 4) == 0;
  if (fused) return {vector_kernel(name, (passes * s.element + dropout) * score_bytes(s))};
  const double copies = s.element == 4 ? 0 : 2 * (s.element + 4), scaling = 8, masking = 9,
               softmax = 4 * passes;
  const double bytes = copies + scaling + masking + softmax;
  Kernels kernels = {exact_kernel(name, bytes * score_bytes(s), 5)};
  if (s.dropout) kernels.push_back(vector_kernel("dropout", dropout * score_bytes(s)));
  return kernels;
}

// Of one head: its queries on this rank, all keys, and the width of both.
MatrixShape head_shape(const RankShape& s) {
  if (s.heads <= 0 || s.batch <= 0) return {};
  return {s.tokens / s.batch, s.sequence, s.query / s.heads, s.batch * s.heads};
}

// One product per head: scores of d_h values each, or the other way round.
Kernel score_gemm(std::string name, const RankShape& s, double width, bool makes_scores) {
  MatrixShape shape = head_shape(s);
  if (!makes_scores) std::swap(shape.n, shape.k);
  return {std::move(name),
          KernelKind::gemm,
          {score_flops(s, s.query)},
          s.element * (s.tokens * (s.query + width) + score_bytes(s)),
          1,
          shape};
}

// Causal flash attention: half of the two forward products. Its backward makes the scores again:
// five products, three of the queries' width, of which the forward had two.
Kernel flash_forward(const RankShape& s) {
  return {"attention",
          KernelKind::attention,
          {0.5 * (score_flops(s, s.query) + score_flops(s, s.context))},
          s.element * s.tokens * (s.query + s.context + 2 * s.kv),
          1,
          head_shape(s)};
}
Kernel flash_backward(const RankShape& s) {
  return {"attention_backward",
          KernelKind::attention,
          {0.5 * (3 * score_flops(s, s.query) + 2 * score_flops(s, s.context))},
          s.element * s.tokens * (2 * s.query + 2 * s.context + 4 * s.kv),
          1,
          head_shape(s)};
}

// Of the heads' keys the part that is made from the latent, and their values.
double unrotated(const RankShape& s) { return s.query - s.heads * s.rope; }
double query_input(const RankShape& s) { return s.query_rank > 0 ? s.query_rank : s.hidden; }

// One launch for all experts of a rank, each with its own k x n weight.
Kernel grouped_gemm(std::string name, const RankShape& s, double n, double k) {
  const double m = s.routed_tokens;
  return {std::move(name),
          KernelKind::gemm,
          {2 * m * n * k},
          s.element * (m * k + s.local_experts * k * n + m * n),
          1,
          {m / s.local_experts, n, k, s.local_experts}};
}
Kernel grouped_weight_gradient(std::string name, const RankShape& s, double n, double k) {
  const double m = s.routed_tokens;
  return {std::move(name),
          KernelKind::gemm,
          {2 * m * n * k},
          s.element * (m * k + m * n) + s.gradient_bytes * s.local_experts * k * n,
          1,
          {k, n, m / s.local_experts, s.local_experts}};
}
double expert_up_width(const RankShape& s) { return (s.gated ? 2 : 1) * s.expert_ffn; }

// Tokens into the order of their experts, or back.
Kernel sort_tokens(std::string name, const RankShape& s, double reads) {
  return vector_kernel(std::move(name),
                       s.element * s.hidden * (s.local_tokens + reads * s.dispatched_tokens));
}

Kernel rotary(const RankShape& s) {
  return vector_kernel("rotary", 2 * s.element * s.tokens * (s.query + s.kv));
}

}  // namespace

Kernels core_attention_forward(const RankShape& s) {
  if (s.flash) return {flash_forward(s)};
  Kernels kernels = {score_gemm("scores", s, s.kv, true)};
  append(kernels, softmax("softmax", s, 2));
  kernels.push_back(score_gemm("context", s, s.kv, false));
  return kernels;
}

// Unfused attention computes all of the scores and writes each stage of them to memory.
Kernels core_attention_backward(const RankShape& s) {
  if (s.flash) return {flash_backward(s)};
  Kernels kernels = softmax("softmax_backward", s, 3);
  kernels.insert(kernels.begin(), {score_gemm("value_gradient", s, s.kv, false),
                                   score_gemm("score_gradient", s, s.kv, true)});
  kernels.push_back(score_gemm("query_gradient", s, s.kv, false));
  kernels.push_back(score_gemm("key_gradient", s, s.kv, false));
  return kernels;
}

Kernels attention_blocks(Kernels core, int blocks, int count) {
  for (Kernel& kernel : core) {
    kernel.flops.count /= blocks;
    kernel.bytes /= blocks;
    kernel.count *= count;
    if (kernel.kind == KernelKind::gemm) kernel.shape = {};  // some of the keys at a time
  }
  return core;
}

Kernels attention_output_forward(const RankShape& s) {
  return {gemm("attention_output", s.tokens, s.hidden, s.context, s.element), residual(s)};
}

Kernels attention_output_backward(const RankShape& s) {
  return {norm_backward(s),
          gemm("attention_output_gradient", s.tokens, s.context, s.hidden, s.element)};
}

Kernels attention_output_weight_gradient(const RankShape& s) {
  return {weight_gradient("attention_output_weight", s, s.tokens, s.hidden, s.context)};
}

Kernels qkv_forward(const RankShape& s) {
  if (s.kv_rank == 0) {
    Kernels kernels = {norm_forward(s),
                       gemm("qkv", s.tokens, s.query + 2 * s.kv, s.hidden, s.element)};
    if (s.rotary) kernels.push_back(rotary(s));
    return kernels;
  }
  return {gemm("query_up", s.tokens, s.query, query_input(s), s.element),
          gemm("key_value_up", s.tokens, unrotated(s) + s.context, s.kv_rank, s.element),
          rotary(s)};
}

Kernels qkv_backward(const RankShape& s) {
  Kernels kernels;
  if (s.rotary) kernels.push_back(rotary(s));
  if (s.kv_rank == 0) {
    kernels.push_back(gemm("qkv_gradient", s.tokens, s.hidden, s.query + 2 * s.kv, s.element));
    return kernels;
  }
  kernels.push_back(gemm("query_up_gradient", s.tokens, query_input(s), s.query, s.element));
  kernels.push_back(
      gemm("key_value_up_gradient", s.tokens, s.kv_rank, unrotated(s) + s.context, s.element));
  return kernels;
}

Kernels qkv_weight_gradient(const RankShape& s) {
  if (s.kv_rank == 0)
    return {weight_gradient("qkv_weight", s, s.tokens, s.query + 2 * s.kv, s.hidden)};
  return {weight_gradient("query_up_weight", s, s.tokens, s.query, query_input(s)),
          weight_gradient("key_value_up_weight", s, s.tokens, unrotated(s) + s.context, s.kv_rank)};
}

Kernels latent_forward(const RankShape& s) {
  if (s.kv_rank == 0) return {};
  return {norm_forward(s), gemm("latents", s.local_tokens, s.latents(), s.hidden, s.element),
          vector_kernel("latent_norm", 2 * s.element * s.local_tokens * s.latents())};
}

Kernels latent_backward(const RankShape& s) {
  if (s.kv_rank == 0) return {};
  return {vector_kernel("latent_norm_backward", 4 * s.element * s.local_tokens * s.latents()),
          gemm("latents_gradient", s.local_tokens, s.hidden, s.latents(), s.element)};
}

Kernels latent_weight_gradient(const RankShape& s) {
  if (s.kv_rank == 0) return {};
  return {weight_gradient("latents_weight", s, s.local_tokens, s.latents(), s.hidden)};
}

Kernels mlp_core_forward(const RankShape& s) {
  return {gemm("mlp_up", s.tokens, up_width(s), s.hidden, s.element),
          vector_kernel("activation", s.element * s.tokens * (up_width(s) + s.ffn)),
          gemm("mlp_down", s.tokens, s.hidden, s.ffn, s.element)};
}

Kernels mlp_core_backward(const RankShape& s) {
  return {gemm("mlp_down_gradient", s.tokens, s.ffn, s.hidden, s.element),
          vector_kernel("activation_backward", s.element * s.tokens * (2 * up_width(s) + s.ffn)),
          gemm("mlp_up_gradient", s.tokens, s.hidden, up_width(s), s.element)};
}

Kernels mlp_forward(const RankShape& s) {
  Kernels kernels = {norm_forward(s)};
  append(kernels, mlp_core_forward(s));
  kernels.push_back(residual(s));
  return kernels;
}

Kernels mlp_forward_without_down(const RankShape& s) {
  Kernels kernels = mlp_forward(s);
  kernels.resize(kernels.size() - 2);  // nor the residual
  return kernels;
}

Kernels mlp_backward(const RankShape& s) {
  Kernels kernels = {norm_backward(s)};
  append(kernels, mlp_core_backward(s));
  return kernels;
}

Kernels mlp_down_weight_gradient(const RankShape& s) {
  return {weight_gradient("mlp_down_weight", s, s.tokens, s.hidden, s.ffn)};
}

Kernels mlp_up_weight_gradient(const RankShape& s) {
  return {weight_gradient("mlp_up_weight", s, s.tokens, up_width(s), s.hidden)};
}

// Scores of all experts in fp32: written, read for the best ones and for their weights.
Kernels router_forward(const RankShape& s) {
  return {norm_forward(s), gemm("router", s.local_tokens, s.experts, s.hidden, s.element),
          vector_kernel("top_k", 12 * s.local_tokens * s.experts), sort_tokens("permute", s, 1)};
}

Kernels router_backward(const RankShape& s) {
  return {norm_backward(s), sort_tokens("permute_backward", s, 1),
          vector_kernel("top_k_backward", 12 * s.local_tokens * s.experts),
          gemm("router_gradient", s.local_tokens, s.hidden, s.experts, s.element)};
}

Kernels router_weight_gradient(const RankShape& s) {
  return {weight_gradient("router_weight", s, s.local_tokens, s.experts, s.hidden)};
}

Kernels experts_forward(const RankShape& s) {
  return {grouped_gemm("expert_up", s, expert_up_width(s), s.hidden),
          vector_kernel("expert_activation",
                        s.element * s.routed_tokens * (expert_up_width(s) + s.expert_ffn)),
          grouped_gemm("expert_down", s, s.hidden, s.expert_ffn)};
}

Kernels experts_backward(const RankShape& s) {
  return {grouped_gemm("expert_down_gradient", s, s.expert_ffn, s.hidden),
          vector_kernel("expert_activation_backward",
                        s.element * s.routed_tokens * (2 * expert_up_width(s) + s.expert_ffn)),
          grouped_gemm("expert_up_gradient", s, s.hidden, expert_up_width(s))};
}

Kernels experts_down_weight_gradient(const RankShape& s) {
  return {grouped_weight_gradient("expert_down_weight", s, s.hidden, s.expert_ffn)};
}

Kernels experts_up_weight_gradient(const RankShape& s) {
  return {grouped_weight_gradient("expert_up_weight", s, expert_up_width(s), s.hidden)};
}

Kernels combine_forward(const RankShape& s) {
  return {sort_tokens("unpermute", s, 1), residual(s)};
}

// The gradients of the router's weights need what the experts put out.
Kernels combine_backward(const RankShape& s) { return {sort_tokens("unpermute_backward", s, 2)}; }

RankShape shared_expert_shape(RankShape shape) {
  shape.ffn = shape.shared_ffn;
  return shape;
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
  return {weight_gradient("logits_weight", s, s.tokens, s.vocabulary, s.hidden)};
}

Kernels gradient_norm(double owned) { return {exact_kernel("gradient_norm", 4 * owned)}; }

Kernels optimizer_step(double owned, double held, double element) {
  // Adam reads gradient, master weight and two moments, writes the last three and the weight; fp32
  // weights are their own master. Then all gradients are set to zero.
  const double weight = element == 4 ? 0 : element;
  return {exact_kernel("adam", (28 + weight) * owned), exact_kernel("zero_gradients", 4 * held)};
}

Kernels shards_sent(int shards) { return {{"send_shards", KernelKind::shard, {0}, 0, shards}}; }

}  // namespace railwright::workload
