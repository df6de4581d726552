// The kernels of one rank, grouped into the bodies of a stage's program.
//
// GEMMs and attention carry FLOPs and bytes, vector kernels bytes alone. What is fused follows
// Megatron-LM: bias, dropout and residual in one kernel, weight gradients accumulated in fp32 by
// the GEMM. A block's backward begins with its norm's backward, though that runs last: so it is
// never hidden by the collective of the block, and the sum is the same.
#pragma once

#include "workload/program.hpp"

namespace railwright::workload {

using Kernels = std::vector<Kernel>;

// The shape of a layer on one rank, for one micro-batch.
struct RankShape {
  double tokens = 0;        // b s / c
  double local_tokens = 0;  // of norms and residuals: split under sequence parallelism
  double sequence = 0;      // s: what a token attends to
  double batch = 0;         // sequences of the micro-batch
  double hidden = 0, query = 0, kv = 0, context = 0, heads = 0, ffn = 0, vocabulary = 0;
  double element = 2;         // bytes
  double gradient_bytes = 8;  // that a product moves for each element of a weight's gradient
  bool gated = false, rotary = false, flash = false, dropout = false;
  // Latent attention: ranks of the latents, and what a token's latents are together.
  double query_rank = 0, kv_rank = 0, rope = 0;
  double latents() const { return query_rank + kv_rank + rope; }
  // Experts: tokens that a rank's experts get when the router is even, widths on this rank.
  double experts = 0, local_experts = 0, routed_tokens = 0, expert_ffn = 0, shared_ffn = 0;
  double dispatched_tokens = 0;  // that this rank sends: k local tokens
};
RankShape rank_shape(const Training& training, const Degrees& degrees);

// Of attention, the part before the scores meet (norm, QKV), the core, the part after it. With
// latent attention the part before has two halves: down to the latents, on local tokens, and up.
Kernels latent_forward(const RankShape& shape);
Kernels qkv_forward(const RankShape& shape);
Kernels core_attention_forward(const RankShape& shape);
Kernels attention_output_forward(const RankShape& shape);
// Backwards go to the inputs; gradients of weights are apart.
Kernels attention_output_backward(const RankShape& shape);
Kernels core_attention_backward(const RankShape& shape);
Kernels qkv_backward(const RankShape& shape);
Kernels latent_backward(const RankShape& shape);
Kernels attention_output_weight_gradient(const RankShape& shape);
Kernels qkv_weight_gradient(const RankShape& shape);
Kernels latent_weight_gradient(const RankShape& shape);
// The block of the core attention to one of `blocks` equal parts of the keys, `count` times.
Kernels attention_blocks(Kernels core, int blocks, int count);
Kernels mlp_core_forward(const RankShape& shape);  // without norm and residual
Kernels mlp_core_backward(const RankShape& shape);
Kernels mlp_forward(const RankShape& shape);
Kernels mlp_forward_without_down(const RankShape& shape);  // to the last tensor that is kept
Kernels mlp_backward(const RankShape& shape);              // to the inputs
Kernels mlp_down_weight_gradient(const RankShape& shape);
Kernels mlp_up_weight_gradient(const RankShape& shape);
// Experts: the router and the sorting of tokens on local tokens, then the routed ones on what the
// exchange brought, and the shared ones as an MLP.
Kernels router_forward(const RankShape& shape);
Kernels router_backward(const RankShape& shape);
Kernels router_weight_gradient(const RankShape& shape);
Kernels experts_forward(const RankShape& shape);
Kernels experts_backward(const RankShape& shape);
Kernels experts_down_weight_gradient(const RankShape& shape);
Kernels experts_up_weight_gradient(const RankShape& shape);
Kernels combine_forward(const RankShape& shape);
Kernels combine_backward(const RankShape& shape);
RankShape shared_expert_shape(RankShape shape);  // of the shared experts as one MLP
Kernels embedding_forward(const RankShape& shape);
Kernels embedding_backward(const RankShape& shape);
Kernels head_forward(const RankShape& shape);   // final norm, logits, loss
Kernels head_backward(const RankShape& shape);  // to the inputs
Kernels head_weight_gradient(const RankShape& shape);
// `owned`: parameters whose optimizer state this rank holds; `held`: all that it has gradients of.
Kernels gradient_norm(double owned);
Kernels optimizer_step(double owned, double held, double element);
Kernels shards_sent(int shards);  // after the optimizer, where each is sent off by itself

}  // namespace railwright::workload
