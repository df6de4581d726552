// What one tensor-parallel rank holds, part by part; shared by memory, kernels and programs.
#pragma once

#include "workload/cost.hpp"

namespace railwright::workload {

// Parameters of one rank: a layer, the embedding (first stage), final norm and head (last stage).
double layer_rank_parameters(const Model& model, int tp);
double embedding_rank_parameters(const Model& model, int tp);
double head_rank_parameters(const Model& model, const Degrees& degrees);
// Of a stage's parameters those that every tensor-parallel rank holds whole: their gradients are
// summed over the tensor-parallel group under sequence parallelism.
double whole_parameters(const Model& model, const Degrees& degrees, int stage);

// Megatron-LM closes a gradient bucket at this many parameters; ours end at layer borders.
constexpr double bucket_parameters(int data_ranks) {
  return data_ranks > 40 ? 1e6 * data_ranks : 40e6;
}

// Bytes of an activation element: 4 for fp32 and tf32, else 2 (fp8 recipes keep 16-bit
// activations).
constexpr double element_bytes(Precision precision) {
  return precision == Precision::fp32 || precision == Precision::tf32 ? 4 : 2;
}

// Byte counts are whole in the formulas. Beyond an exabyte the answer is "does not fit" anyway; the
// cap keeps sums of several counts inside 64 bits.
constexpr Bytes to_bytes(double count) {
  constexpr double most = 1e18;
  return {static_cast<std::uint64_t>((count < most ? count : most) + 0.5)};
}

}  // namespace railwright::workload
