#include <algorithm>
#include <cstring>

#include "worker/element.hpp"
#include "worker/kernels/levels.hpp"

namespace railwright::worker {
namespace {

constexpr std::size_t block = 512;  // elements: a block of floats stays in the first cache

// memcpy of one element is a plain load or store: the loops vectorise without asking the buffers
// to be aligned.
template <class Stored, class Widen>
inline void widen_all(const std::byte* from, float* sums, std::size_t count, bool first,
                      Widen widen) {
  for (std::size_t i = 0; i < count; ++i) {
    Stored value;
    std::memcpy(&value, from + i * sizeof(Stored), sizeof(Stored));
    sums[i] = first ? widen(value) : sums[i] + widen(value);
  }
}

template <class Stored, class Widen, class Narrow>
inline void sum_blocks(const SumCall& call, Widen widen, Narrow narrow) {
  float sums[block];
  Stored narrowed[block];
  for (std::size_t at = 0; at < call.elements; at += block) {
    const std::size_t count = std::min(block, call.elements - at);
    const std::size_t offset = at * sizeof(Stored);
    widen_all<Stored>(call.sources[0] + offset, sums, count, true, widen);
    for (std::size_t s = 1; s < call.source_count; ++s)
      widen_all<Stored>(call.sources[s] + offset, sums, count, false, widen);
    for (std::size_t i = 0; i < count; ++i) narrowed[i] = narrow(sums[i]);
    for (std::size_t t = 0; t < call.target_count; ++t)
      std::memcpy(call.targets[t] + offset, narrowed, count * sizeof(Stored));
  }
}

}  // namespace

// Lambdas, not functions: only those are sure to be inlined into the loop.
void sum_float_portable(const SumCall& call) {
  const auto same = [](float x) { return x; };
  sum_blocks<float>(call, same, same);
}

void sum_half_portable(const SumCall& call) {
  sum_blocks<std::uint16_t>(
      call, [](std::uint16_t x) { return float_of_half(x); },
      [](float x) { return half_of_float(x); });
}

void sum_bfloat16_portable(const SumCall& call) {
  sum_blocks<std::uint16_t>(
      call, [](std::uint16_t x) { return float_of_bfloat16(x); },
      [](float x) { return bfloat16_of_float(x); });
}

}  // namespace railwright::worker
