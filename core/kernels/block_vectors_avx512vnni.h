// The vectors of AVX512-VNNI for block_kernel_loops.h. Whoever includes this has included what
// defines the intrinsics: <immintrin.h>, or an emulation of them in the tests.
#ifndef CYTOPRESS_CORE_KERNELS_BLOCK_VECTORS_AVX512VNNI_H_
#define CYTOPRESS_CORE_KERNELS_BLOCK_VECTORS_AVX512VNNI_H_

#include <cstdint>

namespace cytopress {
namespace {

struct Avx512Vnni {
  static constexpr int kLanes = 16;
  static constexpr int kMostVectors = 16;
  static constexpr int kTogetherVectors = 4;
  static constexpr int kAlikeVectors = 6;
  static constexpr bool kAddsIn16Bits = false;
  static constexpr bool kFewPositions = true;
  static constexpr bool kAsksForAlike = false;
  static constexpr bool kBroadcastsBlocks = true;
  using Int = __m512i;
  using Float = __m512;
  using Quarter = __m128i;  // 4 positions

  static Int Load(const uint8_t* from) { return _mm512_loadu_si512(from); }
  static void Store(uint8_t* to, Int value) { _mm512_storeu_si512(to, value); }
  static Int LoadIndex(const int32_t* from) { return _mm512_loadu_si512(from); }
  static Int LoadWhere(Int index, const uint8_t* from, Int fill) {
    return _mm512_mask_loadu_epi32(fill, _mm512_cmpgt_epi32_mask(index, Set(-1)), from);
  }
  static Int GatherWhere(Int index, const uint8_t* from, Int fill) {
    return _mm512_mask_i32gather_epi32(fill, _mm512_cmpgt_epi32_mask(index, Set(-1)), index, from,
                                       4);
  }
  static Int Set(int32_t value) { return _mm512_set1_epi32(value); }
  static Float Set(float value) { return _mm512_set1_ps(value); }

  template <int G>
  static Int Accumulate(Int sum, const uint8_t* run, const int64_t* distances, const Int* blocks) {
    for (int g = 0; g < G; ++g) sum = AddProducts(sum, Load(run + distances[g]), blocks[g]);
    return sum;
  }

  template <int G, typename Distance>
  static void SumFewPositions(const BlockTask& task, const Distance& distance, int row,
                              const uint8_t* source, Int (*sums)[1]) {
    static_assert(G == 1);
    task.rows.alike ? SumFew<kAlikeRows>(task, distance, row, source, sums)
                    : SumFew<1>(task, distance, row, source, sums);
  }

  static Int Spread(const void* values) {
    const __m512i to = _mm512_set_epi32(3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0);
    return _mm512_permutexvar_epi32(to, _mm512_castsi128_si512(Load4(values)));
  }
  template <int kRow>
  static Int RowOf(Int sums) {
    return _mm512_shuffle_i32x4(sums, sums, 0x55 * kRow);
  }
  static Int AccumulateBlock(Int sum, const uint8_t* inputs, const int8_t* weights) {
    return AddProducts(sum, Load(inputs), weights);
  }
  static Quarter SetQuarter(int32_t value) { return _mm_set1_epi32(value); }
  static Quarter AccumulateQuarter(Quarter sum, const uint8_t* inputs, const int8_t* weights) {
    return AddProducts(sum, Load4(inputs), weights);
  }
  static Int SumOf(Quarter a, Quarter b) { return _mm512_castsi128_si512(_mm_add_epi32(a, b)); }
  static Int AccumulateGathered(Int sum, const uint8_t* source, const uint16_t* ids,
                                const int8_t* weights, int count) {
    const auto lanes = static_cast<__mmask16>(count < kLanes ? (1 << count) - 1 : 0xffff);
    const __m512i distances = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(lanes, ids));
    return _mm512_dpbusd_epi32(sum, _mm512_i32gather_epi32(distances, source, 4),
                               _mm512_maskz_loadu_epi32(lanes, weights));
  }
  static Int RowSums(Int sum) {
    sum = _mm512_add_epi32(sum, _mm512_shuffle_i32x4(sum, sum, 0x4e));
    sum = _mm512_add_epi32(sum, _mm512_shuffle_i32x4(sum, sum, 0xb1));
    const __m512i to = _mm512_set_epi32(3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0);
    return _mm512_permutexvar_epi32(to, sum);
  }

  static Float ToFloat(Int a) { return _mm512_cvtepi32_ps(a); }
  static Float MultiplyAdd(Float a, Float b, Float c) { return _mm512_fmadd_ps(a, b, c); }
  static Float Bound(Float a, Float low, Float high) {
    return _mm512_min_ps(_mm512_max_ps(a, low), high);
  }
  static Int Add(Int a, Int b) { return _mm512_add_epi32(a, b); }
  static Int LargerBytes(Int a, Int b) { return _mm512_max_epu8(a, b); }
  static Int Round(Float a) { return _mm512_cvtps_epi32(a); }
  static Float AsFloat(Int a) { return _mm512_castsi512_ps(a); }
  // A shift, a mask, a product and a sum in one.
  template <int kIndex>
  static Float Residual(Int before) {
    return AsFloat(
        _mm512_dpbusd_epi32(Set(kResidualBits), before, Set(kResidualParts << (8 * kIndex))));
  }
  template <bool kAddsZero>
  static Int Interleave(Int a, Int b, Int c, Int d, Int zero) {
    Int ab = _mm512_packs_epi32(a, b), cd = _mm512_packs_epi32(c, d);
    if constexpr (kAddsZero) {  // saturating, as packing is: nothing else clamps large values
      const Int pairs = _mm512_packs_epi32(zero, zero);
      ab = _mm512_adds_epi16(ab, pairs);
      cd = _mm512_adds_epi16(cd, pairs);
    }
    // Of each quarter: 4 bytes of a, of b, of c, of d.
    const Int order = _mm512_set4_epi32(0x0f0b0703, 0x0e0a0602, 0x0d090501, 0x0c080400);
    return _mm512_shuffle_epi8(_mm512_packus_epi16(ab, cd), order);
  }

 private:
  template <int kShared, typename Distance>
  static void SumFew(const BlockTask& task, const Distance& distance, int row,
                     const uint8_t* source, Int (*sums)[1]) {
    if (task.positions == 1) {
      SumSinglePosition<Avx512Vnni, kShared>(task, row, source, sums);
    } else {
      SumQuarters<Avx512Vnni, kShared>(task, distance, row, source, sums);
    }
  }

  // GCC copies sums from register to register around the intrinsics (seen with 12), which takes as
  // long as the products do.
#if defined(__AVX512VNNI__)
  static Int AddProducts(Int sum, Int inputs, Int weights) {
    asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(inputs), "v"(weights));
    return sum;
  }
  using Block = const int8_t[kBlockChannels];
  static Int AddProducts(Int sum, Int inputs, const int8_t* weights) {
    asm("vpdpbusd %2%{1to16%}, %1, %0"
        : "+v"(sum)
        : "v"(inputs), "m"(*reinterpret_cast<Block*>(weights)));
    return sum;
  }
  static Quarter AddProducts(Quarter sum, Quarter inputs, const int8_t* weights) {
    asm("vpdpbusd %2%{1to4%}, %1, %0"
        : "+v"(sum)
        : "v"(inputs), "m"(*reinterpret_cast<Block*>(weights)));
    return sum;
  }
#else
  static Int AddProducts(Int sum, Int inputs, Int weights) {
    return _mm512_dpbusd_epi32(sum, inputs, weights);
  }
  static Int AddProducts(Int sum, Int inputs, const int8_t* weights) {
    return _mm512_dpbusd_epi32(sum, inputs, Set(LoadBlock(weights)));
  }
  static Quarter AddProducts(Quarter sum, Quarter inputs, const int8_t* weights) {
    return _mm_dpbusd_epi32(sum, inputs, _mm_set1_epi32(LoadBlock(weights)));
  }
#endif

  static __m128i Load4(const void* from) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  }
};

}  // namespace
}  // namespace cytopress

#endif  // CYTOPRESS_CORE_KERNELS_BLOCK_VECTORS_AVX512VNNI_H_
