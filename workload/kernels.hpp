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

// The shape of a layer on one tensor-parallel rank, for one micro-batch.
struct RankShape {
  double tokens = 0;        // b s
  double local_tokens = 0;  // of norms and residuals: split under sequence parallelism
  double batch = 0, sequence = 0;
  double hidden = 0, query = 0, kv = 0, heads = 0, ffn = 0, vocabulary = 0;
  double element = 2;  // bytes
  bool gated = false, rotary = false, flash = false, dropout = false;
};
RankShape rank_shape(const Training& training, const Degrees& degrees);

Kernels attention_forward(const RankShape& shape);
Kernels attention_backward(const RankShape& shape);  // to the inputs
Kernels attention_output_weight_gradient(const RankShape& shape);
Kernels qkv_weight_gradient(const RankShape& shape);
Kernels core_attention_forward(const RankShape& shape);
Kernels mlp_forward(const RankShape& shape);
Kernels mlp_backward(const RankShape& shape);  // to the inputs
Kernels mlp_down_weight_gradient(const RankShape& shape);
Kernels mlp_up_weight_gradient(const RankShape& shape);
Kernels embedding_forward(const RankShape& shape);
Kernels embedding_backward(const RankShape& shape);
Kernels head_forward(const RankShape& shape);   // final norm, logits, loss
Kernels head_backward(const RankShape& shape);  // to the inputs
Kernels head_weight_gradient(const RankShape& shape);
// `owned`: parameters whose optimizer state this rank holds; `held`: all that it has gradients of.
Kernels gradient_norm(double owned);
Kernels optimizer_step(double owned, double held, double element);

}  // namespace railwright::workload
