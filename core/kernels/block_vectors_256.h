// Vectors of 8 lanes for block_kernel_loops.h: what AVX2 and AVX-VNNI share. `V`, derived from it,
// adds kAddsIn16Bits and AddProducts (block_few_positions.h). Whoever includes this has included
// <immintrin.h>.
#ifndef CYTOPRESS_CORE_KERNELS_BLOCK_VECTORS_256_H_
#define CYTOPRESS_CORE_KERNELS_BLOCK_VECTORS_256_H_

#include <cstdint>

#include "core/kernels/block_few_positions.h"
#include "core/kernels/block_kernel.h"

namespace cytopress {
namespace {

template <typename V>
struct Vectors256 {
  static constexpr int kLanes = 8;
  static constexpr int kMostVectors = 8;
  static constexpr int kTogetherVectors = 2;
  static constexpr int kAlikeVectors = 2;
  static constexpr bool kFewPositions = true;
  static constexpr bool kAsksForAlike = true;
  static constexpr bool kBroadcastsBlocks = false;
  using Int = __m256i;
  using Float = __m256;

  static Int Load(const uint8_t* from) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  }
  static void Store(uint8_t* to, Int value) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), value);
  }
  static Int LoadIndex(const int32_t* from) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  }
  static Int LoadWhere(Int index, const uint8_t* from, Int fill) {
    const Int where = _mm256_cmpgt_epi32(index, Set(-1));
    return _mm256_blendv_epi8(
        fill, _mm256_maskload_epi32(reinterpret_cast<const int*>(from), where), where);
  }
  static Int GatherWhere(Int index, const uint8_t* from, Int fill) {
    return _mm256_mask_i32gather_epi32(fill, reinterpret_cast<const int*>(from), index,
                                       _mm256_cmpgt_epi32(index, Set(-1)), 4);
  }
  static Int Set(int32_t value) { return _mm256_set1_epi32(value); }
  static Float Set(float value) { return _mm256_set1_ps(value); }

  // GCC 12 calls this where it is used often, which takes longer than what it does.
  template <int G>
  [[gnu::always_inline]] static Int Accumulate(Int sum, const uint8_t* run,
                                               const int64_t* distances, const Int* blocks) {
    Int inputs[G];
    for (int g = 0; g < G; ++g) inputs[g] = Load(run + distances[g]);
    return V::template AddProducts<G>(sum, inputs, blocks);
  }
  template <int G, typename Distance>
  static void SumFewPositions(const BlockTask& task, const Distance& distance, int row,
                              const uint8_t* source, Int (*sums)[1]) {
    cytopress::SumFewPositions<V, G>(task, distance, row, source, sums);
  }

  static Int Add(Int a, Int b) { return _mm256_add_epi32(a, b); }
  static Float ToFloat(Int a) { return _mm256_cvtepi32_ps(a); }
  static Float MultiplyAdd(Float a, Float b, Float c) { return _mm256_fmadd_ps(a, b, c); }
  static Float Bound(Float a, Float low, Float high) {
    return _mm256_min_ps(_mm256_max_ps(a, low), high);
  }
  static Int LargerBytes(Int a, Int b) { return _mm256_max_epu8(a, b); }
  static Int Round(Float a) { return _mm256_cvtps_epi32(a); }
  static Float AsFloat(Int a) { return _mm256_castsi256_ps(a); }
  template <int kIndex>
  static Float Residual(Int before) {
    static_assert(kResidualParts == 64, "6 bits");
    const Int moved =
        kIndex == 0 ? _mm256_slli_epi32(before, 6) : _mm256_srli_epi32(before, 8 * kIndex - 6);
    const Int parts = _mm256_and_si256(moved, Set(0xff * kResidualParts));
    return AsFloat(_mm256_or_si256(parts, Set(kResidualBits)));
  }
  template <bool kAddsZero>
  static Int Interleave(Int a, Int b, Int c, Int d, Int zero) {
    Int ab = _mm256_packs_epi32(a, b), cd = _mm256_packs_epi32(c, d);
    if constexpr (kAddsZero) {  // saturating, as packing is: nothing else clamps large values
      const Int pairs = _mm256_packs_epi32(zero, zero);
      ab = _mm256_adds_epi16(ab, pairs);
      cd = _mm256_adds_epi16(cd, pairs);
    }
    // Of each half: 4 bytes of a, of b, of c, of d.
    const Int order = _mm256_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15,  //
                                       0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    return _mm256_shuffle_epi8(_mm256_packus_epi16(ab, cd), order);
  }
};

}  // namespace
}  // namespace cytopress

#endif  // CYTOPRESS_CORE_KERNELS_BLOCK_VECTORS_256_H_
