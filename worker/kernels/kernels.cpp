#include "worker/kernels/kernels.hpp"

#include <cassert>

#include "worker/kernels/levels.hpp"

namespace railwright::worker {
namespace {

using Kernel = void (*)(const SumCall&);

// By level and type, in the order of their enumerators.
constexpr Kernel kernels[][3] = {
    {sum_float_portable, sum_half_portable, sum_bfloat16_portable},
#if defined(__x86_64__)
    {sum_float_avx2, sum_half_avx2, sum_bfloat16_avx2},
    {sum_float_avx512, sum_half_avx512, sum_bfloat16_avx512},
#endif
};

KernelLevel find_best() {
  if (is_available(KernelLevel::avx512)) return KernelLevel::avx512;
  return is_available(KernelLevel::avx2) ? KernelLevel::avx2 : KernelLevel::portable;
}

}  // namespace

std::string to_string(KernelLevel level) {
  switch (level) {
    case KernelLevel::portable:
      return "portable";
    case KernelLevel::avx2:
      return "avx2";
    case KernelLevel::avx512:
      return "avx512";
  }
  return "";
}

bool is_available(KernelLevel level) {
#if defined(__x86_64__)
  if (level == KernelLevel::avx512) return __builtin_cpu_supports("avx512f") != 0;
  if (level == KernelLevel::avx2)
    return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("f16c") != 0;
#endif
  return level == KernelLevel::portable;
}

KernelLevel best_level() {
  static const KernelLevel best = find_best();
  return best;
}

void sum_into(DataType type, Sources sources, Targets targets, std::size_t size,
              KernelLevel level) {
  assert(!sources.empty() && size % size_of(type) == 0 && is_available(level));
  kernels[static_cast<int>(level)][static_cast<int>(type)](
      {sources.data(), sources.size(), targets.data(), targets.size(), size / size_of(type)});
}

}  // namespace railwright::worker
