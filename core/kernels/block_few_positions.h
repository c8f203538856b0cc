// Sums of few positions in vectors of 8 lanes, for block_kernel_loops.h: lanes that would stay
// empty take other blocks or rows. Whoever includes this has included <immintrin.h>.
//
// V has AddProducts<N>(sum, inputs, weights), which adds to each lane the products of N vectors of
// blocks; for 16-bit sums those of one lane must belong to one group.
#ifndef CYTOPRESS_CORE_KERNELS_BLOCK_FEW_POSITIONS_H_
#define CYTOPRESS_CORE_KERNELS_BLOCK_FEW_POSITIONS_H_

#include <cstdint>
#include <cstring>

#include "core/kernels/block_kernel.h"

namespace cytopress {
namespace {

inline __m128i LoadFour(const void* from) {
  return _mm_loadu_si128(static_cast<const __m128i*>(from));
}
inline __m256i LoadEight(const void* from) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(from));
}
inline __m256i Twice(__m128i a) { return _mm256_broadcastsi128_si256(a); }
inline __m256i Halves(__m128i low, __m128i high) { return _mm256_set_m128i(high, low); }
inline __m128i SumOfHalves(__m256i a) {
  return _mm_add_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
}
inline __m256i InAllLanes(const uint8_t* from) {
  int32_t block;
  std::memcpy(&block, from, sizeof(block));
  return _mm256_set1_epi32(block);
}

// Full layers at few positions wait for their weights, which lie in a row: so far ahead they are
// asked for. Nearer was slower, and so were requests by rows; where blocks are skipped, requests by
// rows were faster (Zen 3, ResNet-50 at batch 1).
constexpr int kAheadBytes = 4096;

// Of `kLanes` blocks, 2, 4 or 8, the inputs at a single position: all lanes in order, each filling
// 8 / kLanes of them.
template <int kLanes, typename Distance>
inline __m256i InputsOf(const uint8_t* source, const uint16_t* ids, const Distance& distance) {
  const auto at = [&](int i) { return InAllLanes(source + distance(ids[i])); };
  if constexpr (kLanes == 2) {
    return _mm256_blend_epi32(at(0), at(1), 0xf0);
  } else if constexpr (kLanes == 4) {  // in the lower half, again in the upper one
    const __m256i low = _mm256_blend_epi32(at(0), at(1), 0x22);
    return _mm256_blend_epi32(low, _mm256_blend_epi32(at(2), at(3), 0x88), 0xcc);
  } else {
    const __m256i low = InputsOf<4>(source, ids, distance);
    return _mm256_blend_epi32(low, InputsOf<4>(source, ids + 4, distance), 0xf0);
  }
}

// Of 4 blocks, the weights of those that kFirst and the one after it are, filling a half each.
template <int kFirst>
inline __m256i WeightsOfTwo(__m256i twice_four) {
  static_assert(kFirst == 0 || kFirst == 2);
  constexpr int kA = 0x03020100 + 4 * kFirst * 0x01010101, kB = kA + 0x04040404;
  return _mm256_shuffle_epi8(twice_four, _mm256_setr_epi32(kA, kA, kA, kA, kB, kB, kB, kB));
}

// The 4 rows' sums of a single position: a lane each.
template <typename V, int G, typename Distance>
inline __m128i SumAlikePosition(const BlockTask& task, const Distance& distance, int row,
                                const uint8_t* source) {
  constexpr int kQuad = kAlikeRows * kBlockChannels;  // bytes of 4 rows' blocks; a vector has two
  const uint32_t first = task.rows.first[row / kAlikeRows];
  const uint16_t* id = task.rows.ids + first / kAlikeRows;
  const int8_t* weights = task.rows.weights + int64_t{kBlockChannels} * first;
  __m256i sum = _mm256_setzero_si256();
  int left = G * task.rows.steps[row];
  for (; left >= 2; left -= 2, id += 2, weights += 2 * kQuad) {
    __builtin_prefetch(weights + kAheadBytes);
    const __m256i inputs = InputsOf<2>(source, id, distance);
    const __m256i blocks = LoadEight(weights);
    sum = V::template AddProducts<1>(sum, &inputs, &blocks);
  }
  if (left > 0) {
    const __m256i inputs = InAllLanes(source + distance(*id));
    const __m256i blocks = Halves(LoadFour(weights), _mm_setzero_si128());
    sum = V::template AddProducts<1>(sum, &inputs, &blocks);
  }
  return SumOfHalves(sum);
}

// The same for rows that have blocks of their own.
template <typename V, int G, typename Distance>
inline __m128i SumPosition(const BlockTask& task, const Distance& distance, int row,
                           const uint8_t* source) {
  constexpr int kLanes = 8;
  constexpr int kVectors = G < 4 ? 1 : G / 2;  // that have a block of all rows
  const uint32_t first = task.rows.first[row / kBlockChannels];
  const uint16_t* id = task.rows.ids + first;
  const int8_t* weights = task.rows.weights + int64_t{kBlockChannels} * first;
  __m256i sums[kVectors];
  for (__m256i& sum : sums) sum = _mm256_setzero_si256();
  int left = kBlockChannels * G * LongestOf4(task.rows, row);
  for (; left >= kVectors * kLanes; left -= kVectors * kLanes) {
    for (__m256i& sum : sums) {
      const __m256i inputs = InputsOf<8>(source, id, distance);
      const __m256i blocks = LoadEight(weights);
      sum = V::template AddProducts<1>(sum, &inputs, &blocks);
      id += kLanes;
      weights += kLanes * kBlockChannels;
    }
  }
  if (left > 0) {  // one block a row
    const __m256i inputs = InputsOf<4>(source, id, distance);
    const __m256i blocks = Halves(LoadFour(weights), _mm_setzero_si128());
    sums[0] = V::template AddProducts<1>(sums[0], &inputs, &blocks);
  }
  if constexpr (G == 1) {
    return SumOfHalves(sums[0]);
  } else if constexpr (G == 2) {
    return _mm_hadd_epi32(_mm256_castsi256_si128(sums[0]), _mm256_extracti128_si256(sums[0], 1));
  } else {
    __m256i sum = _mm256_hadd_epi32(sums[0], sums[1]);  // rows 0, 0, 2, 2; 1, 1, 3, 3
    sum = _mm256_hadd_epi32(sum, sum);
    return _mm_unpacklo_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
  }
}

// Up to 4 positions in the lower half of each row's sums.
template <typename V, int G, typename Distance>
inline void SumAlikeQuarters(const BlockTask& task, const Distance& distance, int row,
                             const uint8_t* source, __m256i (*sums)[1]) {
  constexpr int kQuad = kAlikeRows * kBlockChannels;
  const uint32_t first = task.rows.first[row / kAlikeRows];
  const uint16_t* id = task.rows.ids + first / kAlikeRows;
  const uint16_t* const end = id + int64_t{G} * task.rows.steps[row];
  const int8_t* weights = task.rows.weights + int64_t{kBlockChannels} * first;
  __m256i rows01 = _mm256_setzero_si256(), rows23 = _mm256_setzero_si256();
  for (; id != end; id += G, weights += G * kQuad) {
    __builtin_prefetch(weights + kAheadBytes);
    __m256i inputs[G], blocks01[G], blocks23[G];
    for (int g = 0; g < G; ++g) {
      inputs[g] = Twice(LoadFour(source + distance(id[g])));
      const __m256i quad = Twice(LoadFour(weights + g * kQuad));
      blocks01[g] = WeightsOfTwo<0>(quad);
      blocks23[g] = WeightsOfTwo<2>(quad);
    }
    rows01 = V::template AddProducts<G>(rows01, inputs, blocks01);
    rows23 = V::template AddProducts<G>(rows23, inputs, blocks23);
  }
  const auto add = [&](int j, __m128i sum) {
    sums[j][0] = Twice(_mm_add_epi32(sum, _mm_set1_epi32(task.rows.initial[row + j])));
  };
  add(0, _mm256_castsi256_si128(rows01));
  add(1, _mm256_extracti128_si256(rows01, 1));
  add(2, _mm256_castsi256_si128(rows23));
  add(3, _mm256_extracti128_si256(rows23, 1));
}

// The same for rows that have blocks of their own.
template <typename V, int G, typename Distance>
inline void SumHalves(const BlockTask& task, const Distance& distance, int row,
                      const uint8_t* source, __m256i (*sums)[1]) {
  const uint32_t first = task.rows.first[row / kBlockChannels];
  const uint16_t* id = task.rows.ids + first;
  const int8_t* weights = task.rows.weights + int64_t{kBlockChannels} * first;
  // Of one row, or of a row and the next in a half each.
  constexpr int kSums = G == 1 ? kBlockChannels / 2 : kBlockChannels;
  constexpr int kVectors = G < 2 ? 1 : G / 2;  // of two blocks, for each sum
  __m256i local[kSums];
  for (__m256i& sum : local) sum = _mm256_setzero_si256();
  const auto inputs_of_two = [&](const uint16_t* ids) {
    return Halves(LoadFour(source + distance(ids[0])), LoadFour(source + distance(ids[1])));
  };
  for (int left = LongestOf4(task.rows, row); left > 0; --left) {
    for (int s = 0; s < kSums; ++s) {
      __m256i inputs[kVectors], blocks[kVectors];
      for (int v = 0; v < kVectors; ++v) {
        const int at = 2 * (s * kVectors + v);  // of the step's blocks
        inputs[v] = inputs_of_two(id + at);
        const __m256i four = Twice(LoadFour(weights + kBlockChannels * (at & ~3)));
        blocks[v] = at % 4 == 0 ? WeightsOfTwo<0>(four) : WeightsOfTwo<2>(four);
      }
      local[s] = V::template AddProducts<kVectors>(local[s], inputs, blocks);
    }
    id += kBlockChannels * G;
    weights += kBlockChannels * kBlockChannels * G;
  }
  for (int j = 0; j < kBlockChannels; ++j) {
    __m128i sum;
    if constexpr (G > 1) {
      sum = SumOfHalves(local[j]);
    } else {
      sum = j % 2 == 0 ? _mm256_castsi256_si128(local[j / 2])
                       : _mm256_extracti128_si256(local[j / 2], 1);
    }
    sums[j][0] = Twice(_mm_add_epi32(sum, _mm_set1_epi32(task.rows.initial[row + j])));
  }
}

// For block_kernel_loops.h. REQUIRES: task.positions.
template <typename V, int G, typename Distance>
inline void SumFewPositions(const BlockTask& task, const Distance& distance, int row,
                            const uint8_t* source, __m256i (*sums)[1]) {
  constexpr int kAlikeGroup = G < kMostAlikeGroup ? G : kMostAlikeGroup;
  if (task.positions > 1) {
    if (task.rows.alike) return SumAlikeQuarters<V, kAlikeGroup>(task, distance, row, source, sums);
    return SumHalves<V, G>(task, distance, row, source, sums);
  }
  const __m128i lanes = task.rows.alike
                            ? SumAlikePosition<V, kAlikeGroup>(task, distance, row, source)
                            : SumPosition<V, G>(task, distance, row, source);
  const __m256i all = Twice(_mm_add_epi32(lanes, LoadFour(task.rows.initial + row)));
  sums[0][0] = _mm256_shuffle_epi32(all, 0x00);
  sums[1][0] = _mm256_shuffle_epi32(all, 0x55);
  sums[2][0] = _mm256_shuffle_epi32(all, 0xaa);
  sums[3][0] = _mm256_shuffle_epi32(all, 0xff);
}

}  // namespace
}  // namespace cytopress

#endif  // CYTOPRESS_CORE_KERNELS_BLOCK_FEW_POSITIONS_H_
