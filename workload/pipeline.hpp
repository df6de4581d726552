// The order in which a pipeline stage works through its micro-batches.
//
//   1F1B, as Megatron-LM: p - 1 - i forwards, then one forward and one backward in turn, then the
//   rest of the backwards. With v > 1 chunks per stage it is Megatron-LM's interleaved schedule
//   (Narayanan et al., SC'21, section 2.2): 2 (p - 1 - i) + (v - 1) p forwards first, in groups of
//   p micro-batches per chunk; micro-batches come in multiples of p.
//
//   ZB-H1 (Qi et al., Zero Bubble Pipeline Parallelism, ICLR 2024): a backward is split into the
//   gradients of the inputs, which the stage before waits for, and those of the weights, which
//   nobody waits for. Stage i runs 1F1B and does the weights i micro-batches later, so that every
//   stage holds p micro-batches and the weights fill the end of the pipeline.
//
// F, B, W: seconds of a forward, of a backward to the inputs and of one to the weights. On p equal
// stages with free messages the step is m (F + B + W) plus a bubble of
//   1F1B        (p - 1) (F + B + W)
//   interleaved (p - 1) (F + B + W) / v
//   ZB-H1       (p - 1) (F + B - W), for m >= p and W <= B
#pragma once

#include <cstdint>
#include <vector>

#include "workload/degrees.hpp"

namespace railwright::workload {

enum class PassKind : std::uint8_t {
  forward,
  backward,  // ZB-H1: to the inputs alone
  weight,    // ZB-H1: to the weights
};

// One micro-batch through one chunk of layers. Chunk c of stage i is the (c p + i)-th of p v.
struct Pass {
  PassKind kind = PassKind::forward;
  int micro_batch = 0;
  int chunk = 0;
  bool operator==(const Pass&) const = default;
};

// Of one stage of degrees.pp; degrees and micro-batches must have no violations.
std::vector<Pass> pipeline_order(const Degrees& degrees, int micro_batches, int stage);

// Forward passes whose activations the stage holds at its peak, a micro-batch of one chunk each.
// 1F1B: min(m, p - i); interleaved: min(m v, 2 (p - 1 - i) + (v - 1) p + 1), on stage 0 the
// p (1 + (p - 1) / (p v)) micro-batches of Korthikanti et al.; ZB-H1: min(m, p).
std::int64_t passes_in_flight(const Degrees& degrees, std::int64_t micro_batches, int stage);

// Micro-batches come in multiples of this: pp when stages are interleaved, else 1.
int micro_batch_multiple(const Degrees& degrees);
// The same training with the fewest micro-batches that the degrees allow: its programs have every
// op that those of the whole step have, fewer times.
Training shortest(Training training, const Degrees& degrees);

}  // namespace railwright::workload
