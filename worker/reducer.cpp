#include "worker/reducer.hpp"

#include <cassert>
#include <cstring>

#include "worker/element.hpp"

namespace railwright::worker {
namespace {

// memcpy of one element is a plain load or store: the loops stay vectorisable without asking the
// buffers to be aligned.
template <class Stored, class Widen, class Narrow>
void add_all(std::byte* target, const std::byte* source, std::size_t count, Widen widen,
             Narrow narrow) {
  for (std::size_t i = 0; i < count; ++i) {
    Stored a, b;
    std::memcpy(&a, target + i * sizeof(Stored), sizeof(Stored));
    std::memcpy(&b, source + i * sizeof(Stored), sizeof(Stored));
    a = narrow(widen(a) + widen(b));
    std::memcpy(target + i * sizeof(Stored), &a, sizeof(Stored));
  }
}

inline void add(DataType type, std::byte* target, const std::byte* source, std::size_t count) {
  // Lambdas, not functions: only those are sure to be inlined into the loop.
  const auto same = [](float x) { return x; };
  const auto from_half = [](std::uint16_t x) { return float_of_half(x); };
  const auto to_half = [](float x) { return half_of_float(x); };
  const auto from_bfloat16 = [](std::uint16_t x) { return float_of_bfloat16(x); };
  const auto to_bfloat16 = [](float x) { return bfloat16_of_float(x); };
  switch (type) {
    case DataType::float32:
      return add_all<float>(target, source, count, same, same);
    case DataType::float16:
      return add_all<std::uint16_t>(target, source, count, from_half, to_half);
    case DataType::bfloat16:
      return add_all<std::uint16_t>(target, source, count, from_bfloat16, to_bfloat16);
  }
}

#if defined(__x86_64__)
// The same arithmetic, eight lanes at a time instead of four: the same bits.
__attribute__((target("avx2"), flatten)) void add_avx2(DataType type, std::byte* target,
                                                       const std::byte* source, std::size_t count) {
  add(type, target, source, count);
}
const bool has_avx2 = __builtin_cpu_supports("avx2");
#endif

}  // namespace

Reducer::Reducer(DataType type, ReduceOp op) : type_(type), op_(op) {}

void Reducer::operator()(std::span<std::byte> target, std::span<const std::byte> source) const {
  assert(target.size() == source.size() && target.size() % size_of(type_) == 0);
  assert(op_ == ReduceOp::sum);
  const std::size_t count = target.size() / size_of(type_);
#if defined(__x86_64__)
  if (has_avx2) return add_avx2(type_, target.data(), source.data(), count);
#endif
  add(type_, target.data(), source.data(), count);
}

}  // namespace railwright::worker
