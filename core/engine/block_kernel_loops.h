// The loops that all instruction sets share, over a class of their vectors `V`. To be included once
// a translation unit, which its own compiler flags may apply to: everything is local to it.
//
// V has: Int and Float, vectors of kLanes 32-bit values; Load and Store of 4 * kLanes bytes as Int;
// Set(int32_t), Set(float); Accumulate<G>(sum, sources, offset, weights), which adds G blocks'
// products; where kGathers is true, AccumulateGathered(sum, source, ids, weights), which adds to
// lane i the product of block i with the 4 bytes that are 4 * ids[i] from the source; and the
// operations that Finish uses.
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

// The distance of the u-th of U vectors from a tile's start.
template <typename V, int U>
inline int64_t VectorOffset(int u, int64_t gap) {
  return 4 * V::kLanes * u + (U % 2 == 0 && u >= U / 2 ? gap : 0);
}

// Distances of blocks' inputs that a table has by id, and those that the ids are themselves.
struct TableDistance {
  const int32_t* offsets;
  int64_t operator()(uint16_t id) const { return offsets[id]; }
};
struct OwnDistance {
  int64_t operator()(uint16_t id) const { return int64_t{4} * id; }
};

// Adds one step's blocks of one row to its sums for U vectors of positions from `source` on.
template <typename V, int U, int G, typename Distance>
inline void AddStep(const Distance& distance, const uint16_t* ids, const int8_t* weights,
                    const uint8_t* source, int64_t gap, typename V::Int* sums) {
  typename V::Int block[G];
  const uint8_t* inputs[G];
  for (int g = 0; g < G; ++g) {
    block[g] = V::Set(LoadBlock(weights + kBlockChannels * g));
    inputs[g] = source + distance(ids[g]);
  }
  for (int u = 0; u < U; ++u) {
    sums[u] = V::template Accumulate<G>(sums[u], inputs, VectorOffset<V, U>(u, gap), block);
  }
}

// The sums of 4 rows, one after the other: for so many positions that they fill the registers.
template <typename V, int U, int G, typename Distance>
inline void SumRows(const BlockTask& task, const Distance& distance, int row, const uint8_t* source,
                    int64_t gap, typename V::Int (*sums)[U]) {
  constexpr int kStep = kBlockChannels * G;
  const uint32_t first = task.rows.first[row / kBlockChannels];
  for (int j = 0; j < kBlockChannels; ++j) {
    typename V::Int local[U];
    const typename V::Int initial = V::Set(task.rows.initial[row + j]);
    for (int u = 0; u < U; ++u) local[u] = initial;
    const uint16_t* id = task.rows.ids + first + j * G;
    const uint16_t* const end = id + int64_t{kStep} * task.rows.steps[row + j];
    const int8_t* weights = task.rows.weights + int64_t{kBlockChannels} * (first + j * G);
    for (; id != end; id += kStep, weights += kBlockChannels * kStep) {
      AddStep<V, U, G>(distance, id, weights, source, gap, local);
    }
    for (int u = 0; u < U; ++u) sums[j][u] = local[u];
  }
}

// The same, all 4 at once: for few positions, where the end of each row's loop, which the CPU
// cannot foresee, would cost more than the blocks of zeros that make the rows equally long.
template <typename V, int U, int G, typename Distance>
inline void SumRowsTogether(const BlockTask& task, const Distance& distance, int row,
                            const uint8_t* source, int64_t gap, typename V::Int (*sums)[U]) {
  constexpr int kStep = kBlockChannels * G;
  typename V::Int local[kBlockChannels][U];
  int steps = 0;
  for (int j = 0; j < kBlockChannels; ++j) {
    const typename V::Int initial = V::Set(task.rows.initial[row + j]);
    for (int u = 0; u < U; ++u) local[j][u] = initial;
    if (task.rows.steps[row + j] > steps) steps = task.rows.steps[row + j];
  }
  const uint32_t first = task.rows.first[row / kBlockChannels];
  const uint16_t* id = task.rows.ids + first;
  const uint16_t* const end = id + int64_t{kStep} * steps;
  const int8_t* weights = task.rows.weights + int64_t{kBlockChannels} * first;
  for (; id != end; id += kStep, weights += kBlockChannels * kStep) {
    uint16_t ids[kStep];
    std::memcpy(ids, id, sizeof(ids));  // in one load, where they are few
    for (int j = 0; j < kBlockChannels; ++j) {
      AddStep<V, U, G>(distance, ids + j * G, weights + kBlockChannels * j * G, source, gap,
                       local[j]);
    }
  }
  for (int j = 0; j < kBlockChannels; ++j) {
    for (int u = 0; u < U; ++u) sums[j][u] = local[j][u];
  }
}

// The same for a single position: the lanes are blocks, 4 steps of the 4 rows.
template <typename V>
inline void SumOnePosition(const BlockTask& task, int row, const uint8_t* source,
                           typename V::Int (*sums)[1]) {
  int steps = 0;
  for (int j = 0; j < kBlockChannels; ++j) {
    if (task.rows.steps[row + j] > steps) steps = task.rows.steps[row + j];
  }
  const uint32_t first = task.rows.first[row / kBlockChannels];
  const uint16_t* const ids = task.rows.ids + first;
  const int8_t* const weights = task.rows.weights + int64_t{kBlockChannels} * first;
  const int blocks = kBlockChannels * steps;
  int block = 0;
  typename V::Int lanes = V::Set(0);
  for (; block + V::kLanes <= blocks; block += V::kLanes) {
    lanes = V::AccumulateGathered(lanes, source, ids + block, weights + kBlockChannels * block);
  }
  int32_t totals[V::kLanes];
  V::Store(reinterpret_cast<uint8_t*>(totals), lanes);
  int32_t row_sums[kBlockChannels];
  for (int j = 0; j < kBlockChannels; ++j) {
    row_sums[j] = task.rows.initial[row + j];
    for (int i = j; i < V::kLanes; i += kBlockChannels) row_sums[j] += totals[i];
  }
  for (; block < blocks; ++block) {
    for (int c = 0; c < kBlockChannels; ++c) {
      row_sums[block % kBlockChannels] +=
          source[4 * ids[block] + c] * weights[kBlockChannels * block + c];
    }
  }
  for (int j = 0; j < kBlockChannels; ++j) sums[j][0] = V::Set(row_sums[j]);
}

// What is stored for a sum: one byte in each 32-bit lane, at its lowest bits.
template <typename V>
inline typename V::Int Finish(const BlockRows& rows, int row, typename V::Int sum,
                              typename V::Int before, int channel) {
  typename V::Float value = V::Multiply(V::ToFloat(sum), V::Set(rows.multiplier[row]));
  value = V::Add(value, V::Set(rows.bias[row]));
  if (rows.adds_residual) {
    const typename V::Int residual =
        V::Subtract(V::Byte(before, channel), V::Set(rows.residual_zero));
    value = V::Add(value, V::Multiply(V::ToFloat(residual), V::Set(rows.residual_multiplier)));
  }
  value = V::Bound(value, V::Set(rows.low), V::Set(rows.high));
  return V::Add(V::Round(value), V::Set(rows.zero));
}

template <typename V, int U, int G, typename Distance>
inline void Sum(const BlockTask& task, const Distance& distance, int row, const uint8_t* source,
                int64_t gap, typename V::Int (*sums)[U]) {
  if constexpr (U <= 2) {
    SumRowsTogether<V, U, G>(task, distance, row, source, gap, sums);
  } else {
    SumRows<V, U, G>(task, distance, row, source, gap, sums);
  }
}

template <typename V, int U, int G>
void RunTile(const BlockTask& task, const BlockTile& tile, const uint8_t* source,
             uint8_t* destination, int first_row, int last_row) {
  source += tile.source;
  destination += tile.destination;
  for (int row = first_row; row < last_row; row += kBlockChannels) {
    typename V::Int sums[kBlockChannels][U];
    bool summed = false;
    if constexpr (V::kGathers && U == 1) {
      summed = task.one_position;
      if (summed) SumOnePosition<V>(task, row, source, sums);
    }
    if (!summed && task.offsets == nullptr) {
      Sum<V, U, G>(task, OwnDistance(), row, source, tile.source_gap, sums);
    } else if (!summed) {
      Sum<V, U, G>(task, TableDistance{task.offsets}, row, source, tile.source_gap, sums);
    }
    uint8_t* const stored = destination + row / kBlockChannels * task.channel_stride;
    for (int u = 0; u < U; ++u) {
      uint8_t* const to = stored + VectorOffset<V, U>(u, tile.destination_gap);
      const typename V::Int before = task.rows.adds_residual ? V::Load(to) : V::Set(0);
      typename V::Int bytes = Finish<V>(task.rows, row, sums[0][u], before, 0);
      for (int j = 1; j < kBlockChannels; ++j) {
        bytes = V::Or(bytes, V::Shift(Finish<V>(task.rows, row + j, sums[j][u], before, j), j));
      }
      V::Store(to, bytes);
    }
  }
}

template <typename V, int G>
void RunTiles(const BlockTask& task, const uint8_t* source, uint8_t* destination, int first_row,
              int last_row) {
  using Run = void (*)(const BlockTask&, const BlockTile&, const uint8_t*, uint8_t*, int, int);
  static constexpr Run kRuns[kMostBlockVectors] = {
      RunTile<V, 1, G>, RunTile<V, 2, G>, RunTile<V, 3, G>, RunTile<V, 4, G>,
      RunTile<V, 5, G>, RunTile<V, 6, G>, RunTile<V, 7, G>, RunTile<V, 8, G>};
  for (int t = 0; t < task.tile_count; ++t) {
    const BlockTile& tile = task.tiles[t];
    kRuns[tile.vectors - 1](task, tile, source, destination, first_row, last_row);
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
