// What one tensor-parallel rank holds, part by part; shared by memory, kernels and programs.
#pragma once

#include "workload/cost.hpp"

namespace railwright::workload {

// Parameters of one rank, by who else holds them: experts have data-parallel groups of their own.
struct Held {
  double dense = 0, expert = 0;
  double total() const { return dense + expert; }
  Held& operator+=(const Held& other) {
    dense += other.dense;
    expert += other.expert;
    return *this;
  }
};
Held layer_held(const Model& model, const Degrees& degrees, bool has_experts);
Held embedding_held(const Model& model, const Degrees& degrees);  // first stage
Held head_held(const Model& model, const Degrees& degrees);       // last stage: final norm and head
Held stage_held(const Model& model, const Degrees& degrees, int stage);
// Of a stage's parameters those that every tensor-parallel rank holds whole: their gradients are
// summed over the tensor-parallel group under sequence parallelism.
double whole_parameters(const Model& model, const Degrees& degrees, int stage);
// Which layers a chunk of a stage has, counted from 0.
struct LayerRange {
  std::int64_t first = 0, end = 0;
};
LayerRange chunk_layers(const Model& model, const Degrees& degrees, int stage, int chunk);
// How many of a stage's layers have experts.
std::int64_t expert_layers(const Model& model, const Degrees& degrees, int stage);

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
