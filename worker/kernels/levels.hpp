// The kernels of each level: translation units of their own, compiled for their instructions. They
// include nothing that has inline functions, which a linker might keep for everybody.
#pragma once

#include <cstddef>

namespace railwright::worker {

// One vector-adding call, in plain terms.
struct SumCall {
  const std::byte* const* sources;
  std::size_t source_count;
  std::byte* const* targets;
  std::size_t target_count;
  std::size_t elements;
};

void sum_float_portable(const SumCall& call);
void sum_half_portable(const SumCall& call);
void sum_bfloat16_portable(const SumCall& call);
#if defined(__x86_64__)
void sum_float_avx2(const SumCall& call);
void sum_half_avx2(const SumCall& call);
void sum_bfloat16_avx2(const SumCall& call);
void sum_float_avx512(const SumCall& call);
void sum_half_avx512(const SumCall& call);
void sum_bfloat16_avx512(const SumCall& call);
#endif

}  // namespace railwright::worker
