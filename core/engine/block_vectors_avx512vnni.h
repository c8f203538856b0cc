// The vectors of AVX512-VNNI for block_kernel_loops.h. Whoever includes this has included what
// defines the intrinsics: <immintrin.h>, or an emulation of them in the tests.
#ifndef CYTOPRESS_CORE_ENGINE_BLOCK_VECTORS_AVX512VNNI_H_
#define CYTOPRESS_CORE_ENGINE_BLOCK_VECTORS_AVX512VNNI_H_

#include <cstdint>

namespace cytopress {
namespace {

struct Avx512Vnni {
  static constexpr int kLanes = 16;
  static constexpr bool kAddsIn16Bits = false;
  static constexpr bool kGathers = true;
  using Int = __m512i;
  using Float = __m512;

  static Int Load(const uint8_t* from) { return _mm512_loadu_si512(from); }
  static void Store(uint8_t* to, Int value) { _mm512_storeu_si512(to, value); }
  static Int Set(int32_t value) { return _mm512_set1_epi32(value); }
  static Float Set(float value) { return _mm512_set1_ps(value); }

  template <int G>
  static Int Accumulate(Int sum, const uint8_t* const* inputs, int64_t offset, const Int* blocks) {
    for (int g = 0; g < G; ++g) {
      sum = _mm512_dpbusd_epi32(sum, Load(inputs[g] + offset), blocks[g]);
    }
    return sum;
  }

  static Int AccumulateGathered(Int sum, const uint8_t* source, const uint16_t* ids,
                                const int8_t* weights) {
    const __m512i distances =
        _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(ids)));
    return _mm512_dpbusd_epi32(sum, _mm512_i32gather_epi32(distances, source, 4),
                               _mm512_loadu_si512(weights));
  }

  static Float ToFloat(Int a) { return _mm512_cvtepi32_ps(a); }
  static Float Multiply(Float a, Float b) { return _mm512_mul_ps(a, b); }
  static Float Add(Float a, Float b) { return _mm512_add_ps(a, b); }
  static Float Bound(Float a, Float low, Float high) {
    return _mm512_min_ps(_mm512_max_ps(a, low), high);
  }
  static Int Round(Float a) { return _mm512_cvtps_epi32(a); }
  static Int Add(Int a, Int b) { return _mm512_add_epi32(a, b); }
  static Int Subtract(Int a, Int b) { return _mm512_sub_epi32(a, b); }
  static Int Or(Int a, Int b) { return _mm512_or_si512(a, b); }
  static Int Byte(Int a, int index) {
    return _mm512_and_si512(_mm512_srl_epi32(a, _mm_cvtsi32_si128(8 * index)), Set(0xff));
  }
  static Int Shift(Int a, int bytes) { return _mm512_sll_epi32(a, _mm_cvtsi32_si128(8 * bytes)); }
};

}  // namespace
}  // namespace cytopress

#endif  // CYTOPRESS_CORE_ENGINE_BLOCK_VECTORS_AVX512VNNI_H_
