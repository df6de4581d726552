// FLOPs, parameters and memory of a training step: the published formulas as pure functions.
// Symbols: b micro-batch, s sequence, h hidden, a heads, f FFN width, V vocabulary, L layers,
// t tensor-parallel degree, B global batch, m micro-batches. A multiply-add counts two FLOPs.
#pragma once

#include "topology/units.hpp"
#include "workload/degrees.hpp"

namespace railwright::workload {

// ---- parameters

// Norms and biases counted: LayerNorm 2h, RMSNorm h; biases as the flags of the model say.
double embedding_parameters(const Model& model);  // token (+ position) table
double parameters(const Model& model);            // everything, output head counted unless tied
double active_parameters(const Model& model);     // of them those that a token meets
// On the fullest tensor-parallel rank of stage `stage` of pp: its layers / tp (routed experts / (ep
// x etp), never divided by tp), plus embedding on
// the first stage and final norm and head on the last. Norms, biases added after a reduction and
// the position table are whole on every rank; the vocabulary is padded, see vocabulary_shard. A
// tied head has its own copy on the last stage when pp > 1.
double stage_parameters(const Model& model, const Degrees& degrees, int stage);
// Layers of a stage: layers / pp each. When only layers + 2 (or + 1) divides by pp, the first and
// the last stage (or the last alone) have one layer fewer: embedding and head weigh as a layer.
// Llama 3.1 405B on 16 stages: 7, 14 x 8, 7. Degrees::layers overrides it.
std::int64_t stage_layers(const Model& model, const Degrees& degrees, int stage);
// Columns of the embedding table and the head that one tensor-parallel rank holds. Where they are
// split, they are padded to multiples of 8, rows of 16 bytes (Megatron-LM: to 128). A table that is
// whole stays as the model says.
std::int64_t vocabulary_shard(const Model& model, int tp);

// ---- FLOPs

enum class AttentionCount : std::uint8_t {
  causal,  // half of the score matrix: what Megatron prints and what flash attention does
  dense,   // all of it: Narayanan et al., SC'21, eq. 3
};
// Forward FLOPs of one layer over b sequences, all tensor-parallel ranks together. With experts
// each token meets the router, k of them and the shared ones.
Flops layer_forward_flops(const Model& model, std::int64_t b, std::int64_t s, AttentionCount count,
                          bool has_experts = false);
// Of it Q K^T and A V alone.
Flops core_attention_flops(const Model& model, std::int64_t b, std::int64_t s,
                           AttentionCount count);
// Forward and backward of a step, without recomputation: the numerator of MFU.
Flops model_flops_per_step(const Training& training, AttentionCount count = AttentionCount::causal);
// With full recomputation one forward pass of the layers more, with selective recomputation their
// core attention (nothing under flash attention): the numerator of HFU.
Flops hardware_flops_per_step(const Training& training, Recompute recompute,
                              AttentionCount count = AttentionCount::causal);

// ---- memory

// Bytes kept per layer and micro-batch, 16-bit. GPT layers: Korthikanti et al., arXiv 2205.05198,
// table 2. Modern layers (RMSNorm, GQA, SwiGLU, flash, no dropout) by the same counting take
// 12h + 4h_kv + 6f + 4a per token, of it 8h replicated without sequence parallelism. Selective
// recomputation drops the core attention; flash attention keeps nothing but 4a there, so it changes
// nothing. With experts the MLP's part is that of k tokens for each one and of the shared experts,
// whatever ep is.
double activation_bytes_per_layer(const Model& model, const Degrees& degrees, std::int64_t b,
                                  std::int64_t s, bool has_experts = false);

// Assumptions, not measurements; fitting them is the calibration's work.
inline constexpr Bytes communication_buffer = mebibytes(128);
inline constexpr Bytes framework_reserve = mebibytes(1536);

// Peak of one rank of a stage, by what it is spent on. 16-bit and 8-bit training keeps 16-bit
// weights, fp32 gradients, fp32 master weights and Adam moments (Megatron-LM's default); fp32
// training 4 + 4 + 8.
struct MemoryUse {
  // 2 + 4 + 12 bytes per parameter; ZeRO-1 divides the 12 by the ranks that share, ZeRO-2 the 4
  // too, ZeRO-3 all.
  Bytes weights, gradients, optimizer;
  // Layers of a chunk x passes in flight (pipeline.hpp), the layer that is being recomputed, what
  // embedding (ids, dropout mask) and final norm and head keep.
  Bytes activations;
  Bytes logits;  // bf16 logits and fp32 loss workspace, last stage: 6 T V / t
  // Per group of more than one rank communication_buffer; the gathered input under sequence
  // parallelism; keys and values that go round; a message each way at stage borders; under ZeRO-2
  // and 3 the layers whose weights or gradients are whole for a while.
  Bytes communication;
  Bytes reserve;  // CUDA context, framework, fragmentation: framework_reserve
  Bytes total() const;
  bool operator==(const MemoryUse&) const = default;
};
MemoryUse stage_memory(const Training& training, const Degrees& degrees, int stage);
// The stage that needs most; what decides whether a plan fits.
MemoryUse peak_memory(const Training& training, const Degrees& degrees);

}  // namespace railwright::workload
