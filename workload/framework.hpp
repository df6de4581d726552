// What training frameworks keep of a parameter and do beside: facts of their code, not fits.
//
//   megatron     weights 2, fp32 gradients 4, master weights and Adam's moments 12
//                (Megatron-LM, theoretical_memory_usage.py: 18, of it 12 / d distributed); tables
//                of words are padded whether they are split or not
//                (--make-vocab-size-divisible-by, 128); the others' are taken as the model says
//                where they are whole: published steps of Megatron-DeepSpeed show it
//   deepspeed    fp16: gradients stay in 16 bit and are summed so; the step makes an fp32 copy of
//                those of its own shard, 2 + 2 + 16 (deepspeed/runtime/zero/stage_1_and_2.py)
//                bf16: gradients of 16 bit are added to an fp32 copy of all of them, which is what
//                is summed, 2 + 6 + 12 (deepspeed/runtime/bf16_optimizer.py, hp gradients)
//                both: buckets of 5e8 elements, two of gradients (one fills while the other is
//                summed) and one of weights (reduce_bucket_size, allgather_bucket_size)
//                Those of each micro-batch are added by a kernel of its own, as nanotron and
//                InternEvo do too; Megatron-LM's products add to the sum as they write it
//                (gradient_accumulation_fusion)
//   nanotron     the same second copy, of FP32GradientAccumulator: 2 + 6 + 12
//                (The Ultra-Scale Playbook, memory of gradients accumulated in fp32); its gated MLP
//                is no fused kernel: the activation of the gate is kept beside gate and product
//   internevo    16-bit gradients, an fp32 copy of the own shard's: 2 + 2 + 16
//                (InternLM, solver/optimizer/hybrid_zero_optim.py)
//   fsdp         fp32 weights and gradients, Adam's moments: 4 + 4 + 8; what is gathered is cast to
//                16 bit (torch.distributed.fsdp, MixedPrecision). Recomputation stops at the last
//                tensor that the backward needs, before the last product of a layer
//                (torch.utils.checkpoint, non-reentrant: set_checkpoint_early_stop)
#pragma once

#include <string_view>

#include "workload/degrees.hpp"

namespace railwright::workload {

// Of a framework that is not listed: the default. "megatron-deepspeed" is deepspeed.
StateFormat state_format_of(std::string_view framework, Precision precision);

}  // namespace railwright::workload
