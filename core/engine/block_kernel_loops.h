// The loops that all instruction sets share, over a class of their vectors `V`. To be included once
// a translation unit, which its own compiler flags may apply to: everything is local to it.
//
// V has: Int and Float, vectors of kLanes 32-bit values; kMostVectors, of sums that leave it enough
// registers, and kAlikeVectors, if 4 rows have so many each (0: it never computes 4 rows at once);
// Load and Store of 4 * kLanes bytes as Int; Set(int32_t), Set(float); Accumulate<G>(sum, run,
// distances, weights), which adds G blocks' products; LargerBytes(a, b); and the operations that
// Finish uses. Where kFewPositions is true, the lanes may be those of 4 rows with up to 4 positions
// each, or of 16 blocks at one position:
// - Spread(values): values[j] in all lanes of row j; RowOf<J>(sums): the sums of row J in the first
//   lanes.
// - AccumulateSpread(sum, run, distances, weights): to the lanes of row j, the product of block j.
// - AccumulateGathered(sum, source, ids, weights, count): to lane i < count the product of block i
//   with the 4 bytes that are 4 * ids[i] from the source; RowSums(sum): of the lanes j, j + 4, ...,
//   spread.
#ifndef CYTOPRESS_CORE_ENGINE_BLOCK_KERNEL_LOOPS_H_
#define CYTOPRESS_CORE_ENGINE_BLOCK_KERNEL_LOOPS_H_

#include <cstring>

#include "core/engine/block_kernel.h"

namespace cytopress {
namespace {

inline int32_t LoadBlock(const int8_t* weights) {
  int32_t block;
  std::memcpy(&block, weights, sizeof(block));
  return block;
}

// The steps of the longest of 4 rows.
inline int LongestOf4(const BlockRows& rows, int row) {
  int steps = 0;
  for (int j = 0; j < kBlockChannels; ++j) {
    if (rows.steps[row + j] > steps) steps = rows.steps[row + j];
  }
  return steps;
}

// Distances of blocks' inputs that a table has by id, and those that the ids are themselves.
struct TableDistance {
  const int32_t* offsets;
  int64_t operator()(uint16_t id) const { return offsets[id]; }
};
struct OwnDistance {
  int bits;
  int64_t operator()(uint16_t id) const { return int64_t{id} << bits; }
};

// Where R runs of W vectors start.
template <int R>
struct Runs {
  explicit Runs(const uint8_t* source, const BlockTile& tile) {
    for (int r = 0; r < R; ++r) start[r] = source + tile.source[r];
  }
  const uint8_t* start[R];
};

// Adds one step's blocks of one row to its sums, which are of one run after the other.
template <typename V, int R, int W, int G, typename Distance>
inline void AddStep(const Distance& distance, const uint16_t* ids, const int8_t* weights,
                    const Runs<R>& runs, typename V::Int* sums) {
  typename V::Int block[G];
  int64_t distances[G];
  for (int g = 0; g < G; ++g) {
    block[g] = V::Set(LoadBlock(weights + kBlockChannels * g));
    distances[g] = distance(ids[g]);
  }
  for (int r = 0; r < R; ++r) {
    for (int w = 0; w < W; ++w) {
      typename V::Int& sum = sums[r * W + w];
      const uint8_t* const run = runs.start[r] + kBlockChannels * V::kLanes * w;
      sum = V::template Accumulate<G>(sum, run, distances, block);
    }
  }
}

// Lets the sums of 4 rows begin with what the rows say.
template <typename V, int N>
inline void BeginSums(const BlockRows& rows, int row, typename V::Int (*sums)[N]) {
  for (int j = 0; j < kBlockChannels; ++j) {
    const typename V::Int initial = V::Set(rows.initial[row + j]);
    for (int u = 0; u < N; ++u) sums[j][u] = initial;
  }
}

// The sums of 4 rows, one after the other: for so many positions that they fill the registers.
template <typename V, int R, int W, int G, typename Distance>
inline void SumRows(const BlockTask& task, const Distance& distance, int row, const Runs<R>& runs,
                    typename V::Int (*sums)[R * W]) {
  constexpr int kStep = kBlockChannels * G;
  const uint32_t first = task.rows.first[row / kBlockChannels];
  for (int j = 0; j < kBlockChannels; ++j) {
    typename V::Int local[R * W];
    const typename V::Int initial = V::Set(task.rows.initial[row + j]);
    for (int u = 0; u < R * W; ++u) local[u] = initial;
    const uint16_t* id = task.rows.ids + first + j * G;
    const uint16_t* const end = id + int64_t{kStep} * task.rows.steps[row + j];
    const int8_t* weights = task.rows.weights + int64_t{kBlockChannels} * (first + j * G);
    for (; id != end; id += kStep, weights += kBlockChannels * kStep) {
      AddStep<V, R, W, G>(distance, id, weights, runs, local);
    }
    for (int u = 0; u < R * W; ++u) sums[j][u] = local[u];
  }
}

// The same, all 4 at once: for few positions, where the end of each row's loop, which the CPU
// cannot foresee, would cost more than the blocks of zeros that make the rows equally long.
template <typename V, int R, int W, int G, typename Distance>
inline void SumRowsTogether(const BlockTask& task, const Distance& distance, int row,
                            const Runs<R>& runs, typename V::Int (*sums)[R * W]) {
  constexpr int kStep = kBlockChannels * G;
  typename V::Int local[kBlockChannels][R * W];
  BeginSums<V, R * W>(task.rows, row, local);
  const uint32_t first = task.rows.first[row / kBlockChannels];
  const uint16_t* id = task.rows.ids + first;
  const uint16_t* const end = id + int64_t{kStep} * LongestOf4(task.rows, row);
  const int8_t* weights = task.rows.weights + int64_t{kBlockChannels} * first;
  for (; id != end; id += kStep, weights += kBlockChannels * kStep) {
    uint16_t ids[kStep];
    std::memcpy(ids, id, sizeof(ids));  // in one load, where they are few
    for (int j = 0; j < kBlockChannels; ++j) {
      AddStep<V, R, W, G>(distance, ids + j * G, weights + kBlockChannels * j * G, runs, local[j]);
    }
  }
  for (int j = 0; j < kBlockChannels; ++j) {
    for (int u = 0; u < R * W; ++u) sums[j][u] = local[j][u];
  }
}

// The same for 4 rows with blocks of the same inputs, which are loaded once for all of them.
template <typename V, int R, int W, typename Distance>
inline void SumAlikeRows(const BlockTask& task, const Distance& distance, int row,
                         const Runs<R>& runs, typename V::Int (*sums)[R * W]) {
  typename V::Int local[kBlockChannels][R * W];
  BeginSums<V, R * W>(task.rows, row, local);
  const uint32_t first = task.rows.first[row / kBlockChannels];
  const uint16_t* id = task.rows.ids + first;
  const uint16_t* const end = id + int64_t{kBlockChannels} * task.rows.steps[row];
  const int8_t* weights = task.rows.weights + int64_t{kBlockChannels} * first;
  for (; id != end; id += kBlockChannels, weights += kBlockChannels * kBlockChannels) {
    const int64_t away = distance(*id);
    typename V::Int block[kBlockChannels];
    for (int j = 0; j < kBlockChannels; ++j) {
      block[j] = V::Set(LoadBlock(weights + kBlockChannels * j));
    }
    for (int r = 0; r < R; ++r) {
      for (int w = 0; w < W; ++w) {
        const uint8_t* const run = runs.start[r] + kBlockChannels * V::kLanes * w;
        for (int j = 0; j < kBlockChannels; ++j) {
          typename V::Int& sum = local[j][r * W + w];
          sum = V::template Accumulate<1>(sum, run, &away, &block[j]);
        }
      }
    }
  }
  for (int j = 0; j < kBlockChannels; ++j) {
    for (int u = 0; u < R * W; ++u) sums[j][u] = local[j][u];
  }
}

// The same for up to 4 positions, which leave lanes for several blocks at once; see `V`.
template <typename V>
inline void SumFewPositions(const BlockTask& task, int row, const uint8_t* source,
                            typename V::Int (*sums)[1]) {
  const uint32_t first = task.rows.first[row / kBlockChannels];
  const uint16_t* const ids = task.rows.ids + first;
  const int8_t* const weights = task.rows.weights + int64_t{kBlockChannels} * first;
  const int blocks = kBlockChannels * LongestOf4(task.rows, row);
  // Two sums, so that one product need not wait for another.
  typename V::Int even = V::Set(0), odd = V::Set(0);
  const auto add = [&](int block, typename V::Int& sum) {
    if (task.positions == 1) {
      sum = V::AccumulateGathered(sum, source, ids + block, weights + kBlockChannels * block,
                                  blocks - block);
      return;
    }
    uint16_t step[kBlockChannels];
    std::memcpy(step, ids + block, sizeof(step));  // in one load
    int64_t distances[kBlockChannels];
    for (int j = 0; j < kBlockChannels; ++j) {
      distances[j] = int64_t{step[j]} << task.distance_bits;
    }
    sum = V::AccumulateSpread(sum, source, distances, weights + kBlockChannels * block);
  };
  const int together = task.positions == 1 ? V::kLanes : kBlockChannels;
  int block = 0;
  for (; block + together < blocks; block += 2 * together) {
    add(block, even);
    add(block + together, odd);
  }
  if (block < blocks) add(block, even);
  typename V::Int sum = V::Add(even, odd);
  if (task.positions == 1) sum = V::RowSums(sum);
  sum = V::Add(sum, V::Spread(task.rows.initial + row));
  sums[0][0] = V::template RowOf<0>(sum);
  sums[1][0] = V::template RowOf<1>(sum);
  sums[2][0] = V::template RowOf<2>(sum);
  sums[3][0] = V::template RowOf<3>(sum);
}

// What is stored for the sums of row + J, before `zero` is added; `before` holds the residuals.
template <typename V, int J, bool kAddsResidual, bool kClamps>
inline typename V::Int Finish(const BlockRows& rows, int row, typename V::Int sum,
                              typename V::Int before) {
  typename V::Float bias = V::Set(rows.bias[row + J]);
  if constexpr (kAddsResidual) {
    bias = V::MultiplyAdd(V::ToFloat(V::template Byte<J>(before)), V::Set(rows.residual_multiplier),
                          bias);
  }
  typename V::Float value = V::MultiplyAdd(V::ToFloat(sum), V::Set(rows.multiplier[row + J]), bias);
  if constexpr (kClamps) value = V::Bound(value, V::Set(rows.low), V::Set(rows.high));
  return V::Round(value);
}

// Finishes and stores the sums of 4 rows; `stored` is where the first of their channels go.
template <typename V, int R, int W, bool kAddsResidual, bool kClamps, bool kAddsZero>
inline void StoreRows(const BlockRows& rows, int row, const typename V::Int (*sums)[R * W],
                      const BlockTile& tile, uint8_t* stored) {
  static_assert(kBlockChannels == 4, "Finish is called for 4 rows");
  const typename V::Int zero = V::Set(rows.zero);
  for (int r = 0; r < R; ++r) {
    for (int w = 0; w < W; ++w) {
      const int u = r * W + w;
      uint8_t* const to = stored + tile.destination[r] + kBlockChannels * V::kLanes * w;
      const typename V::Int before = kAddsResidual ? V::Load(to) : zero;
      V::Store(to, V::template Interleave<kAddsZero>(
                       Finish<V, 0, kAddsResidual, kClamps>(rows, row, sums[0][u], before),
                       Finish<V, 1, kAddsResidual, kClamps>(rows, row, sums[1][u], before),
                       Finish<V, 2, kAddsResidual, kClamps>(rows, row, sums[2][u], before),
                       Finish<V, 3, kAddsResidual, kClamps>(rows, row, sums[3][u], before), zero));
    }
  }
}

// The same, without the work that is not needed.
template <typename V, int R, int W, bool kAddsResidual>
inline void FinishRows(const BlockRows& rows, int row, const typename V::Int (*sums)[R * W],
                       const BlockTile& tile, uint8_t* stored) {
  if (!rows.packing_clamps) {
    StoreRows<V, R, W, kAddsResidual, true, true>(rows, row, sums, tile, stored);
  } else if (rows.zero != 0) {
    StoreRows<V, R, W, kAddsResidual, false, true>(rows, row, sums, tile, stored);
  } else {
    StoreRows<V, R, W, kAddsResidual, false, false>(rows, row, sums, tile, stored);
  }
}

template <typename V, int R, int W, int G, typename Distance>
inline void Sum(const BlockTask& task, const Distance& distance, int row, const Runs<R>& runs,
                typename V::Int (*sums)[R * W]) {
  if constexpr (G == 1 && R * W <= V::kAlikeVectors) {
    if (task.rows.alike) return SumAlikeRows<V, R, W>(task, distance, row, runs, sums);
  }
  if constexpr (R * W <= 2) {
    SumRowsTogether<V, R, W, G>(task, distance, row, runs, sums);
  } else {
    SumRows<V, R, W, G>(task, distance, row, runs, sums);
  }
}

// Asks for the blocks of 4 rows before they are needed: they are read once a pass, from memory that
// is far, and in pieces too short for the CPU to see where the next one is.
inline void Prefetch(const BlockRows& rows, int row, int group) {
  constexpr int kLine = 64;
  const uint32_t first = rows.first[row / kBlockChannels];
  const int blocks = kBlockChannels * group * LongestOf4(rows, row);
  const auto* const ids = reinterpret_cast<const char*>(rows.ids + first);
  const auto* const weights = reinterpret_cast<const char*>(rows.weights) + int64_t{4} * first;
  for (int i = 0; i < 2 * blocks; i += kLine) __builtin_prefetch(ids + i);
  for (int i = 0; i < 4 * blocks; i += kLine) __builtin_prefetch(weights + i);
}

template <typename V, int R, int W, int G>
void RunTile(const BlockTask& task, const BlockTile& tile, const uint8_t* source,
             uint8_t* destination, int first_row, int last_row) {
  constexpr int kAhead = kBlockChannels;  // rows
  const Runs<R> runs(source, tile);
  for (int row = first_row; row < last_row; row += kBlockChannels) {
    if (row + kAhead < last_row) Prefetch(task.rows, row + kAhead, G);
    typename V::Int sums[kBlockChannels][R * W];
    bool summed = false;
    if constexpr (V::kFewPositions && G == 1 && R * W == 1) {
      summed = task.positions != 0;
      if (summed) SumFewPositions<V>(task, row, runs.start[0], sums);
    }
    if (!summed && task.offsets == nullptr) {
      Sum<V, R, W, G>(task, OwnDistance{task.distance_bits}, row, runs, sums);
    } else if (!summed) {
      Sum<V, R, W, G>(task, TableDistance{task.offsets}, row, runs, sums);
    }
    uint8_t* const stored = destination + row / kBlockChannels * task.channel_stride;
    if (task.rows.adds_residual) {
      FinishRows<V, R, W, true>(task.rows, row, sums, tile, stored);
    } else {
      FinishRows<V, R, W, false>(task.rows, row, sums, tile, stored);
    }
  }
}

using TileFunction = void (*)(const BlockTask&, const BlockTile&, const uint8_t*, uint8_t*, int,
                              int);

// The function for tiles of `vectors` and `runs`; null where there is none.
template <typename V, int G, int W = 1, int R = 1>
TileFunction FindRunTile(int vectors, int runs) {
  if (vectors == W && runs == R) return RunTile<V, R, W, G>;
  if constexpr (R < MostRuns(V::kMostVectors, W)) {
    if (vectors == W) return FindRunTile<V, G, W, R + 1>(vectors, runs);
  }
  if constexpr (W < V::kMostVectors) {
    if (vectors != W) return FindRunTile<V, G, W + 1, 1>(vectors, runs);
  }
  return nullptr;
}

template <typename V, int G>
void RunTiles(const BlockTask& task, const uint8_t* source, uint8_t* destination, int first_row,
              int last_row) {
  for (int t = 0; t < task.tile_count; ++t) {
    const BlockTile& tile = task.tiles[t];
    FindRunTile<V, G>(tile.vectors, tile.runs)(task, tile, source, destination, first_row,
                                               last_row);
  }
}

template <typename V>
void TakeLargest(const uint8_t* const* maps, int count, int64_t bytes, uint8_t* largest) {
  for (int64_t i = 0; i < bytes; i += kBlockChannels * V::kLanes) {
    typename V::Int most = V::Load(maps[0] + i);
    for (int m = 1; m < count; ++m) most = V::LargerBytes(most, V::Load(maps[m] + i));
    V::Store(largest + i, most);
  }
}

template <typename V>
void RunBlocks(const BlockTask& task, const uint8_t* source, uint8_t* destination, int first_row,
               int last_row) {
  if constexpr (V::kAddsIn16Bits) {
    switch (task.rows.group) {
      case 2:
        return RunTiles<V, 2>(task, source, destination, first_row, last_row);
      case 4:
        return RunTiles<V, 4>(task, source, destination, first_row, last_row);
      case 8:
        return RunTiles<V, 8>(task, source, destination, first_row, last_row);
      default:
        break;
    }
  }
  RunTiles<V, 1>(task, source, destination, first_row, last_row);
}

}  // namespace
}  // namespace cytopress

#endif  // CYTOPRESS_CORE_ENGINE_BLOCK_KERNEL_LOOPS_H_
