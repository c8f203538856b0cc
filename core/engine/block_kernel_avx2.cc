// AVX2: 8 positions a vector. vpmaddubsw adds pairs of products in 16 bits with saturation; see
// BlockKernel::adds_in_16_bits.
#include "core/engine/block_kernel_loops.h"

#if defined(__AVX2__)
#include <immintrin.h>

namespace cytopress {
namespace {

struct Avx2 {
  static constexpr int kLanes = 8;
  static constexpr bool kAddsIn16Bits = true;
  static constexpr bool kGathers = false;
  using Int = __m256i;
  using Float = __m256;

  static Int Load(const uint8_t* from) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  }
  static void Store(uint8_t* to, Int value) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), value);
  }
  static Int Set(int32_t value) { return _mm256_set1_epi32(value); }
  static Float Set(float value) { return _mm256_set1_ps(value); }

  template <int G>
  static Int Accumulate(Int sum, const uint8_t* const* inputs, int64_t offset, const Int* blocks) {
    Int pairs = _mm256_maddubs_epi16(Load(inputs[0] + offset), blocks[0]);
    for (int g = 1; g < G; ++g) {
      pairs = _mm256_add_epi16(pairs, _mm256_maddubs_epi16(Load(inputs[g] + offset), blocks[g]));
    }
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  }

  static Float ToFloat(Int a) { return _mm256_cvtepi32_ps(a); }
  static Float Multiply(Float a, Float b) { return _mm256_mul_ps(a, b); }
  static Float Add(Float a, Float b) { return _mm256_add_ps(a, b); }
  static Float Bound(Float a, Float low, Float high) {
    return _mm256_min_ps(_mm256_max_ps(a, low), high);
  }
  static Int Round(Float a) { return _mm256_cvtps_epi32(a); }
  static Int Add(Int a, Int b) { return _mm256_add_epi32(a, b); }
  static Int Subtract(Int a, Int b) { return _mm256_sub_epi32(a, b); }
  static Int Or(Int a, Int b) { return _mm256_or_si256(a, b); }
  static Int Byte(Int a, int index) {
    return _mm256_and_si256(_mm256_srl_epi32(a, _mm_cvtsi32_si128(8 * index)), Set(0xff));
  }
  static Int Shift(Int a, int bytes) { return _mm256_sll_epi32(a, _mm_cvtsi32_si128(8 * bytes)); }
};

}  // namespace

const BlockKernel* Avx2BlockKernel() {
  static constexpr BlockKernel kKernel = {"avx2", Avx2::kLanes, Avx2::kAddsIn16Bits,
                                          RunBlocks<Avx2>};
  return __builtin_cpu_supports("avx2") ? &kKernel : nullptr;
}

}  // namespace cytopress

#else

namespace cytopress {

const BlockKernel* Avx2BlockKernel() { return nullptr; }

}  // namespace cytopress

#endif
