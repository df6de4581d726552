// Compiled with -mavx2 -mf16c; called only where the processor has both.
#if defined(__AVX2__) && defined(__F16C__)
#include <immintrin.h>

#include "worker/kernels/loops.hpp"

namespace railwright::worker {
namespace {

struct Float {
  using Vector = __m256;
  static constexpr std::size_t width = 8, bytes = 4;
  static Vector load(const std::byte* from) {
    return _mm256_loadu_ps(reinterpret_cast<const float*>(from));
  }
  static Vector add(Vector a, Vector b) { return _mm256_add_ps(a, b); }
  static void store(std::byte* to, Vector sum) {
    _mm256_storeu_ps(reinterpret_cast<float*>(to), sum);
  }
};

struct Half : Float {
  static constexpr std::size_t bytes = 2;
  static Vector load(const std::byte* from) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  }
  static void store(std::byte* to, Vector sum) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to),
                     _mm256_cvtps_ph(sum, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
};

struct Bfloat16 : Float {
  static constexpr std::size_t bytes = 2;
  static Vector load(const std::byte* from) {
    const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
  }
  // Half of the last place, less one where the place is even already; a NaN stays one.
  static void store(std::byte* to, Vector sum) {
    const __m256i bits = _mm256_castps_si256(sum), top = _mm256_srli_epi32(bits, 16);
    const __m256i odd = _mm256_and_si256(top, _mm256_set1_epi32(1));
    const __m256i up = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    const __m256i quiet = _mm256_or_si256(top, _mm256_set1_epi32(0x40));
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(sum, sum, _CMP_UNORD_Q));
    const __m256i words = _mm256_blendv_epi8(_mm256_srli_epi32(up, 16), quiet, nan);
    const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(words, words), 0x08);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm256_castsi256_si128(packed));
  }
};

}  // namespace

void sum_float_avx2(const SumCall& call) { sum_all<Float>(call); }
void sum_half_avx2(const SumCall& call) { sum_all<Half>(call); }
void sum_bfloat16_avx2(const SumCall& call) { sum_all<Bfloat16>(call); }

}  // namespace railwright::worker
#endif
