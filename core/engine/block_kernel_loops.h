// The loops that all instruction sets share, over a class of their vectors `V`. To be included once
// a translation unit, which its own compiler flags may apply to: everything is local to it.
//
// V has: Int and Float, vectors of kLanes 32-bit values; Load and Store of 4 * kLanes bytes as Int;
// Set(int32_t), Set(float); Accumulate<G>(sum, sources, offset, weights), which adds G blocks'
// products; and the operations that Finish uses.
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

// The sums of one row for U vectors of positions from `source` on.
template <typename V, int U, int G>
inline void SumRow(const BlockTask& task, int row, const uint8_t* source, typename V::Int* sums) {
  typename V::Int local[U];
  const typename V::Int initial = V::Set(task.rows.initial[row]);
  for (int u = 0; u < U; ++u) local[u] = initial;
  const uint16_t* id = task.rows.ids + task.rows.first[row];
  const uint16_t* const end = task.rows.ids + task.rows.first[row + 1];
  const int8_t* weights = task.rows.weights + int64_t{4} * task.rows.first[row];
  const int32_t* const offsets = task.offsets;
  for (; id != end; id += G, weights += 4 * G) {
    typename V::Int block[G];
    const uint8_t* inputs[G];
    for (int g = 0; g < G; ++g) {
      block[g] = V::Set(LoadBlock(weights + 4 * g));
      inputs[g] = source + offsets[id[g]];
    }
    for (int u = 0; u < U; ++u) {
      local[u] = V::template Accumulate<G>(local[u], inputs, 4 * V::kLanes * u, block);
    }
  }
  for (int u = 0; u < U; ++u) sums[u] = local[u];
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

template <typename V, int U, int G>
void RunTile(const BlockTask& task, const uint8_t* source, uint8_t* destination, int first_row,
             int last_row) {
  for (int row = first_row; row < last_row; row += kBlockChannels) {
    uint8_t* const stored = destination + row / kBlockChannels * task.channel_stride;
    typename V::Int bytes[U];
    for (int channel = 0; channel < kBlockChannels; ++channel) {
      typename V::Int sums[U];
      SumRow<V, U, G>(task, row + channel, source, sums);
      for (int u = 0; u < U; ++u) {
        const typename V::Int before =
            task.rows.adds_residual ? V::Load(stored + 4 * V::kLanes * u) : V::Set(0);
        const typename V::Int byte =
            Finish<V>(task.rows, row + channel, sums[u], before, channel);
        bytes[u] = channel == 0 ? byte : V::Or(bytes[u], V::Shift(byte, channel));
      }
    }
    for (int u = 0; u < U; ++u) V::Store(stored + 4 * V::kLanes * u, bytes[u]);
  }
}

template <typename V, int G>
void RunTiles(const BlockTask& task, const uint8_t* source, uint8_t* destination, int first_row,
              int last_row) {
  using Run = void (*)(const BlockTask&, const uint8_t*, uint8_t*, int, int);
  static constexpr Run kRuns[kMostBlockVectors] = {
      RunTile<V, 1, G>, RunTile<V, 2, G>, RunTile<V, 3, G>, RunTile<V, 4, G>,
      RunTile<V, 5, G>, RunTile<V, 6, G>, RunTile<V, 7, G>, RunTile<V, 8, G>};
  for (int t = 0; t < task.tile_count; ++t) {
    const BlockTile& tile = task.tiles[t];
    kRuns[tile.vectors - 1](task, source + tile.source, destination + tile.destination, first_row,
                            last_row);
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
