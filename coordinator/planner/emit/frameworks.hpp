// One maker per framework, and the refusals that they share.
#pragma once

#include <string>

#include "coordinator/planner/emit/emit.hpp"

namespace railwright::coordinator {

std::string megatron_arguments(const emulator::Plan& plan);
std::string torchtitan_config(const emulator::Plan& plan);
std::string deepspeed_config(const emulator::Plan& plan);
std::string nemo_overrides(const emulator::Plan& plan);

// What of the plan each cannot say, one error each.
Errors megatron_refusals(const emulator::Plan& plan);
Errors nemo_refusals(const emulator::Plan& plan);
Errors torchtitan_refusals(const emulator::Plan& plan);
Errors deepspeed_refusals(const emulator::Plan& plan);

inline bool is_interleaved_or_plain(const workload::Degrees& degrees) {
  return degrees.schedule == workload::PipelineSchedule::one_forward_one_backward;
}

// 8 and 4 bits: no data type of a model, but a recipe of its matrix products.
inline bool is_narrow(topology::Precision precision) {
  using enum topology::Precision;
  return precision == fp8 || precision == fp4 || precision == mxfp8 || precision == nvfp4;
}

// "bf16": of weights and activations.
std::string precision_word(const workload::Training& training);

}  // namespace railwright::coordinator
