// Compiled with -mavx512f; called only where the processor has it.
#if defined(__AVX512F__)
#include <immintrin.h>

#include "worker/kernels/loops.hpp"

namespace railwright::worker {
namespace {

struct Float {
  using Vector = __m512;
  static constexpr std::size_t width = 16, bytes = 4;
  static Vector load(const std::byte* from) { return _mm512_loadu_ps(from); }
  static Vector add(Vector a, Vector b) { return _mm512_add_ps(a, b); }
  static void store(std::byte* to, Vector sum) { _mm512_storeu_ps(to, sum); }
};

struct Half : Float {
  static constexpr std::size_t bytes = 2;
  static Vector load(const std::byte* from) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
  }
  static void store(std::byte* to, Vector sum) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to),
                        _mm512_cvtps_ph(sum, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
};

struct Bfloat16 : Float {
  static constexpr std::size_t bytes = 2;
  static Vector load(const std::byte* from) {
    const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
  }
  // Half of the last place, less one where the place is even already; a NaN stays one.
  static void store(std::byte* to, Vector sum) {
    const __m512i bits = _mm512_castps_si512(sum), top = _mm512_srli_epi32(bits, 16);
    const __m512i odd = _mm512_and_si512(top, _mm512_set1_epi32(1));
    const __m512i up = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    const __m512i quiet = _mm512_or_si512(top, _mm512_set1_epi32(0x40));
    const __mmask16 nan = _mm512_cmp_ps_mask(sum, sum, _CMP_UNORD_Q);
    const __m512i words = _mm512_mask_blend_epi32(nan, _mm512_srli_epi32(up, 16), quiet);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm512_cvtepi32_epi16(words));
  }
};

}  // namespace

void sum_float_avx512(const SumCall& call) { sum_all<Float>(call); }
void sum_half_avx512(const SumCall& call) { sum_all<Half>(call); }
void sum_bfloat16_avx512(const SumCall& call) { sum_all<Bfloat16>(call); }

}  // namespace railwright::worker
#endif
