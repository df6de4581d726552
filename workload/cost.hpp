// FLOPs, parameters and memory of a training step: the published formulas as pure functions.
// Symbols: b micro-batch, s sequence, h hidden, a heads, f FFN width, V vocabulary, L layers,
// t tensor-parallel degree, B global batch, m micro-batches. A multiply-add counts two FLOPs.
#pragma once

#include "topology/units.hpp"
#include "workload/degrees.hpp"

namespace railwright::workload {

// ---- parameters
// ----------------------------------------------------------------------------------
double layer_parameters(const Model& model);
double embedding_parameters(const Model& model);  // token (+ position) table
double parameters(const Model& model);            // everything, output head counted unless tied
// On the fullest tensor-parallel rank of stage `stage` of pp: its layers / tp, plus embedding on
// the first stage and final norm and head on the last.
double stage_parameters(const Model& model, const Degrees& degrees, int stage);
// Layers of a stage: layers / pp each.
std::int64_t stage_layers(const Model& model, const Degrees& degrees, int stage);

// ---- FLOPs
// ---------------------------------------------------------------------------------------
enum class AttentionCount : std::uint8_t {
  causal,  // half of the score matrix: what Megatron prints and what flash attention does
  dense,   // all of it: Narayanan et al., SC'21, eq. 3
};
// Forward FLOPs of one layer over b sequences, all tensor-parallel ranks together.
Flops layer_forward_flops(const Model& model, std::int64_t b, std::int64_t s, AttentionCount count);
// Forward and backward of a step, without recomputation: the numerator of MFU.
Flops model_flops_per_step(const Training& training, AttentionCount count = AttentionCount::causal);
// With full recomputation one forward pass more: the numerator of HFU.
Flops hardware_flops_per_step(const Training& training, Recompute recompute,
                              AttentionCount count = AttentionCount::causal);

// ---- memory
// -------------------------------------------------------------------------------------- Bytes kept
// per layer and micro-batch, 16-bit. GPT layers: Korthikanti et al., arXiv 2205.05198, table 2.
// Modern layers (RMSNorm, GQA, SwiGLU, flash, no dropout) by the same counting: (12h + 4h_kv + 6f +
// 4a) per token, of it 8h replicated without sequence parallelism.
double activation_bytes_per_layer(const Model& model, const Degrees& degrees, std::int64_t b,
                                  std::int64_t s);
// Micro-batches whose activations stage `stage` holds at its peak. 1F1B: min(m, p - stage).
std::int64_t in_flight(const Training& training, const Degrees& degrees, int stage);

// Peak of one rank of a stage, by what it is spent on.
struct MemoryUse {
  Bytes weights, gradients, optimizer;  // 2 + 4 + 12 bytes per parameter; ZeRO-1: 12 / dp
  Bytes activations;                    // layers x in-flight micro-batches
  Bytes logits;                         // bf16 logits and fp32 loss workspace, last stage
  Bytes communication;                  // buckets and library buffers
  Bytes reserve;                        // context and framework
  Bytes total() const;
  bool operator==(const MemoryUse&) const = default;
};
MemoryUse stage_memory(const Training& training, const Degrees& degrees, int stage);
// The stage that needs most; what decides whether a plan fits.
MemoryUse peak_memory(const Training& training, const Degrees& degrees);

}  // namespace railwright::workload
