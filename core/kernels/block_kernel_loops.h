// The loops that all instruction sets share, over a class `V` of their vectors. To be included once
// a translation unit, which its own compiler flags may apply to: everything is local to it.
//
// Every V has the constants
// - kLanes: 32-bit values of a vector;
// - kMostVectors: in all runs of a tile; one row's sums leave it enough registers;
// - kTogetherVectors: in tiles of up to so many, 4 rows are summed at once;
// - kAlikeVectors: the same of rows that have blocks of the same inputs; 0: no use is made of that;
// - kAddsIn16Bits: as BlockKernel::adds_in_16_bits; only then groups are of more than one block;
// - kBroadcastsBlocks, kFewPositions: whether it has what is said below;
// - kAsksForAlike: whether its SumFewPositions itself prefetches the blocks of rows that are alike.
//
// Every V has the types Int and Float, vectors of kLanes values, and the functions
// - Load(bytes), Store(bytes, Int): 4 * kLanes bytes; LoadIndex(const int32_t*): kLanes of them;
// - GatherWhere(index, from, fill), LoadWhere(index, from, fill): the 4 bytes that are 4 * index
//   from `from`, or those of the lane itself; `fill` where the index is negative;
// - Set(int32_t), Set(float): the same in all lanes;
// - Accumulate<G>(sum, run, distances, blocks): adds the products of G blocks, each in all lanes of
//   one of `blocks`, with the vectors that are distances[0] to distances[G - 1] from `run`;
// - LargerBytes(a, b): the larger one, byte by byte; Add(a, b);
// - ToFloat(Int): the values; AsFloat(Int): the bits; Round(Float): to the nearest, ties to even;
// - MultiplyAdd(a, b, c): a * b + c, rounded once; Bound(a, low, high);
// - Residual<J>(Int): kResidualBase and kResidualParts times byte J of each lane, as Float;
// - Interleave<kAddsZero>(a, b, c, d, zero): in each lane a byte of each of the 4, to which `zero`
//   is added where kAddsZero is true (else it is 0), clamped to [0, 255].
//
// If kBroadcastsBlocks:
// - AccumulateBlock(sum, inputs, weights): adds the products of the block at `weights`.
//
// If kFewPositions:
// - SumFewPositions<G>(task, distance, row, source, sums): the sums of 4 rows at up to 4 positions,
//   in the first lanes. It may be made of the following two.
//
// If it calls SumQuarters, the type Quarter, of 4 values, and
// - SetQuarter(int32_t); AccumulateQuarter(sum, inputs, weights), as AccumulateBlock;
// - SumOf(a, b): of two Quarters, in the first lanes.
//
// If it calls SumSinglePosition, for one position,
// - AccumulateGathered(sum, source, ids, weights, count): adds to lane i < count the product of
//   block i with the 4 bytes that are 4 * ids[i] from the source;
// - RowSums(sum): the sum of the lanes j, j + 4, ... in the 4 lanes of row j, from 4 * j on;
// - Spread(values): values[j] in the 4 lanes of row j;
// - RowOf<J>(sums): makes the lanes of row J the first.
#ifndef CYTOPRESS_CORE_KERNELS_BLOCK_KERNEL_LOOPS_H_
#define CYTOPRESS_CORE_KERNELS_BLOCK_KERNEL_LOOPS_H_

#include <cstring>

#include "core/kernels/block_kernel.h"
#include "core/kernels/row_outputs.h"

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
struct AddressDistance {  // of kAddressBits
  int64_t operator()(uint16_t id) const { return int64_t{id} << kAddressBits; }
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
inline void BeginSums(const RowOutputs& rows, int row, typename V::Int (*sums)[N]) {
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
  // Where these are few sums, others take every second step, so that one need not wait for another.
  constexpr int kSets = R * W == 1 ? 2 : 1;
  typename V::Int local[kSets][kBlockChannels][R * W];
  BeginSums<V, R * W>(task.rows, row, local[0]);
  if constexpr (kSets == 2) {
    for (int j = 0; j < kBlockChannels; ++j) local[1][j][0] = V::Set(0);
  }
  const uint32_t first = task.rows.first[row / kBlockChannels];
  const uint16_t* id = task.rows.ids + first;
  const int8_t* weights = task.rows.weights + int64_t{kBlockChannels} * first;
  const auto add = [&](typename V::Int(*set)[R * W]) {
    uint16_t ids[kStep];
    std::memcpy(ids, id, sizeof(ids));  // in one load, where they are few
    for (int j = 0; j < kBlockChannels; ++j) {
      if constexpr (V::kBroadcastsBlocks && G == 1 && R * W == 1) {
        set[j][0] = V::AccumulateBlock(set[j][0], runs.start[0] + distance(ids[j]),
                                       weights + kBlockChannels * j);
      } else {
        AddStep<V, R, W, G>(distance, ids + j * G, weights + kBlockChannels * j * G, runs, set[j]);
      }
    }
    id += kStep;
    weights += kBlockChannels * kStep;
  };
  int left = LongestOf4(task.rows, row);
  for (; left >= kSets; left -= kSets) {
    for (int set = 0; set < kSets; ++set) add(local[set]);
  }
  if (left > 0) add(local[0]);
  for (int j = 0; j < kBlockChannels; ++j) {
    for (int u = 0; u < R * W; ++u) sums[j][u] = local[0][j][u];
    if constexpr (kSets == 2) sums[j][0] = V::Add(sums[j][0], local[1][j][0]);
  }
}

// The same for 4 rows with blocks of the same inputs, which are loaded once for all of them.
template <typename V, int R, int W, int G, typename Distance>
inline void SumAlikeRows(const BlockTask& task, const Distance& distance, int row,
                         const Runs<R>& runs, typename V::Int (*sums)[R * W]) {
  constexpr int kQuad = kAlikeRows * kBlockChannels;  // bytes of 4 rows' blocks
  typename V::Int local[kAlikeRows][R * W];
  BeginSums<V, R * W>(task.rows, row, local);
  const uint32_t first = task.rows.first[row / kAlikeRows];
  const uint16_t* id = task.rows.ids + first / kAlikeRows;
  const uint16_t* const end = id + int64_t{G} * task.rows.steps[row];
  const int8_t* weights = task.rows.weights + int64_t{kBlockChannels} * first;
  for (; id != end; id += G, weights += G * kQuad) {
    int64_t distances[G];
    for (int g = 0; g < G; ++g) distances[g] = distance(id[g]);
    const auto load = [&](int j, typename V::Int* block) {
      for (int g = 0; g < G; ++g) {
        block[g] = V::Set(LoadBlock(weights + kQuad * g + kBlockChannels * j));
      }
    };
    const auto add = [&](int j, int r, int w, const typename V::Int* block) {
      const uint8_t* const run = runs.start[r] + kBlockChannels * V::kLanes * w;
      typename V::Int& sum = local[j][r * W + w];
      sum = V::template Accumulate<G>(sum, run, distances, block);
    };
    if constexpr (V::kAddsIn16Bits) {  // has too few registers for the blocks of all rows
      for (int j = 0; j < kAlikeRows; ++j) {
        typename V::Int block[G];
        load(j, block);
        for (int r = 0; r < R; ++r) {
          for (int w = 0; w < W; ++w) add(j, r, w, block);
        }
      }
    } else {
      typename V::Int blocks[kAlikeRows][G];
      for (int j = 0; j < kAlikeRows; ++j) load(j, blocks[j]);
      for (int r = 0; r < R; ++r) {
        for (int w = 0; w < W; ++w) {
          for (int j = 0; j < kAlikeRows; ++j) add(j, r, w, blocks[j]);
        }
      }
    }
  }
  for (int j = 0; j < kAlikeRows; ++j) {
    for (int u = 0; u < R * W; ++u) sums[j][u] = local[j][u];
  }
}

// The same for up to 4 positions, with a quarter of a vector for each row. kShared: of how many
// blocks an id is, kAlikeRows where rows are alike, else 1.
template <typename V, int kShared, typename Distance>
inline void SumQuarters(const BlockTask& task, const Distance& distance, int row,
                        const uint8_t* source, typename V::Int (*sums)[1]) {
  using Quarter = typename V::Quarter;
  const uint32_t first = task.rows.first[row / kBlockChannels];
  const uint16_t* id = task.rows.ids + first / kShared;
  const int8_t* weights = task.rows.weights + int64_t{kBlockChannels} * first;
  // Two sums a row, so that one product need not wait for another.
  Quarter even[kBlockChannels], odd[kBlockChannels];
  for (int j = 0; j < kBlockChannels; ++j) {
    even[j] = V::SetQuarter(task.rows.initial[row + j]);
    odd[j] = V::SetQuarter(0);
  }
  const auto add = [&](Quarter* to) {
    uint16_t ids[kBlockChannels];
    if constexpr (kShared == 1) {
      std::memcpy(ids, id, sizeof(ids));  // in one load
    } else {
      for (uint16_t& each : ids) each = *id;
    }
    for (int j = 0; j < kBlockChannels; ++j) {
      to[j] = V::AccumulateQuarter(to[j], source + distance(ids[j]), weights + kBlockChannels * j);
    }
    id += kBlockChannels / kShared;
    weights += kBlockChannels * kBlockChannels;
  };
  int left = LongestOf4(task.rows, row);
  for (; left >= 2; left -= 2) {
    add(even);
    add(odd);
  }
  if (left > 0) add(even);
  for (int j = 0; j < kBlockChannels; ++j) sums[j][0] = V::SumOf(even[j], odd[j]);
}

// The same for a single position, which leaves all lanes for different blocks.
template <typename V, int kShared>
inline void SumSinglePosition(const BlockTask& task, int row, const uint8_t* source,
                              typename V::Int (*sums)[1]) {
  const uint32_t first = task.rows.first[row / kBlockChannels];
  const uint16_t* const ids = task.rows.ids + first / kShared;
  const int8_t* const weights = task.rows.weights + int64_t{kBlockChannels} * first;
  const int blocks = kBlockChannels * LongestOf4(task.rows, row);
  // Two sums, so that one product need not wait for another.
  typename V::Int even = V::Set(0), odd = V::Set(0);
  const auto add = [&](int block, typename V::Int& sum) {
    const int count = blocks - block;
    const uint16_t* own = ids + block / kShared;
    uint16_t each[V::kLanes];
    if constexpr (kShared > 1) {
      for (int i = 0; i < V::kLanes && i < count; ++i) each[i] = own[i / kShared];
      own = each;
    }
    sum = V::AccumulateGathered(sum, source, own, weights + kBlockChannels * block, count);
  };
  int block = 0;
  for (; block + V::kLanes < blocks; block += 2 * V::kLanes) {
    add(block, even);
    add(block + V::kLanes, odd);
  }
  if (block < blocks) add(block, even);
  const typename V::Int sum =
      V::Add(V::RowSums(V::Add(even, odd)), V::Spread(task.rows.initial + row));
  sums[0][0] = V::template RowOf<0>(sum);
  sums[1][0] = V::template RowOf<1>(sum);
  sums[2][0] = V::template RowOf<2>(sum);
  sums[3][0] = V::template RowOf<3>(sum);
}

// How the sums of 4 rows are finished, in registers: to read it again for each vector would take as
// long as to compute.
template <typename V>
struct Finish {
  Finish(const RowOutputs& rows, int row)
      : residual_multiplier(V::Set(rows.residual_multiplier)),
        low(V::Set(rows.low)),
        high(V::Set(rows.high)),
        zero(V::Set(rows.zero)) {
    for (int j = 0; j < kBlockChannels; ++j) {
      multiplier[j] = V::Set(rows.multiplier[row + j]);
      bias[j] = V::Set(rows.bias[row + j]);
    }
  }

  // What is stored for the sums of row J, before `zero` is added; `before` holds the residuals.
  template <int J, bool kAddsResidual, bool kSumsAreFloats>
  typename V::Int Row(typename V::Int sum, typename V::Int before) const {
    typename V::Float value = bias[J];
    if constexpr (kAddsResidual) {
      value = V::MultiplyAdd(V::template Residual<J>(before), residual_multiplier, value);
    }
    if constexpr (kSumsAreFloats) {
      return V::Round(V::MultiplyAdd(V::AsFloat(sum), multiplier[J], value));
    } else {
      value = V::MultiplyAdd(V::ToFloat(sum), multiplier[J], value);
      return V::Round(V::Bound(value, low, high));
    }
  }

  typename V::Float multiplier[kBlockChannels];
  typename V::Float bias[kBlockChannels];
  typename V::Float residual_multiplier, low, high;
  typename V::Int zero;
};

// Finishes and stores the sums of 4 rows; `stored` is where the first of their channels go.
template <typename V, int R, int W, bool kAddsResidual, bool kSumsAreFloats, bool kAddsZero>
inline void StoreRows(const RowOutputs& rows, int row, const typename V::Int (*sums)[R * W],
                      const BlockTile& tile, uint8_t* stored) {
  static_assert(kBlockChannels == 4, "rows are finished by fours");
  const Finish<V> finish(rows, row);
  for (int r = 0; r < R; ++r) {
    uint8_t* const run = stored + tile.destination[r];
    for (int w = 0; w < W; ++w) {
      const int u = r * W + w;
      uint8_t* const to = run + kBlockChannels * V::kLanes * w;
      const typename V::Int before = kAddsResidual ? V::Load(to) : finish.zero;
      V::Store(to, V::template Interleave<kAddsZero>(
                       finish.template Row<0, kAddsResidual, kSumsAreFloats>(sums[0][u], before),
                       finish.template Row<1, kAddsResidual, kSumsAreFloats>(sums[1][u], before),
                       finish.template Row<2, kAddsResidual, kSumsAreFloats>(sums[2][u], before),
                       finish.template Row<3, kAddsResidual, kSumsAreFloats>(sums[3][u], before),
                       finish.zero));
    }
  }
}

// The same, without the work that is not needed.
template <typename V, int R, int W, bool kAddsResidual>
inline void FinishRows(const RowOutputs& rows, int row, const typename V::Int (*sums)[R * W],
                       const BlockTile& tile, uint8_t* stored) {
  if (!rows.sums_are_floats) {
    StoreRows<V, R, W, kAddsResidual, false, true>(rows, row, sums, tile, stored);
  } else if (rows.zero != 0) {
    StoreRows<V, R, W, kAddsResidual, true, true>(rows, row, sums, tile, stored);
  } else {
    StoreRows<V, R, W, kAddsResidual, true, false>(rows, row, sums, tile, stored);
  }
}

template <typename V, int R, int W, int G, typename Distance>
inline void Sum(const BlockTask& task, const Distance& distance, int row, const Runs<R>& runs,
                typename V::Int (*sums)[R * W]) {
  if constexpr (V::kFewPositions && R * W == 1) {
    if (task.positions > 0) {
      return V::template SumFewPositions<G>(task, distance, row, runs.start[0], sums);
    }
  }
  if constexpr (R * W <= V::kAlikeVectors && G <= kMostAlikeGroup) {
    if (task.rows.alike) return SumAlikeRows<V, R, W, G>(task, distance, row, runs, sums);
  }
  if constexpr (R * W <= V::kTogetherVectors) {
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
  const int per_id = rows.alike ? kAlikeRows : 1;
  const auto* const ids = reinterpret_cast<const char*>(rows.ids + first / per_id);
  const auto* const weights = reinterpret_cast<const char*>(rows.weights) + int64_t{4} * first;
  for (int i = 0; i < 2 * blocks / per_id; i += kLine) __builtin_prefetch(ids + i);
  for (int i = 0; i < 4 * blocks; i += kLine) __builtin_prefetch(weights + i);
}

template <typename V, int R, int W, int G>
void RunTile(const BlockTask& task, const BlockTile& tile, const uint8_t* source,
             uint8_t* destination, int first_row, int last_row, bool is_first) {
  constexpr int kAhead = kBlockChannels;  // rows
  const Runs<R> runs(source, tile);
  const bool asked_for = V::kAsksForAlike && task.rows.alike && task.positions > 0;
  const bool asks = is_first && !asked_for;
  for (int row = first_row; row < last_row; row += kBlockChannels) {
    // Later tiles find them in the second cache.
    if (asks && row + kAhead < last_row) Prefetch(task.rows, row + kAhead, G);
    typename V::Int sums[kBlockChannels][R * W];
    if (task.offsets != nullptr) {
      Sum<V, R, W, G>(task, TableDistance{task.offsets}, row, runs, sums);
    } else if (task.distance_bits == kAddressBits) {
      Sum<V, R, W, G>(task, AddressDistance{}, row, runs, sums);
    } else {
      Sum<V, R, W, G>(task, OwnDistance{task.distance_bits}, row, runs, sums);
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
                              int, bool);

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
    FindRunTile<V, G>(tile.vectors, tile.runs)(task, tile, source, destination, first_row, last_row,
                                               t == 0);
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
void Gather(const uint8_t* from, const int32_t* index, int64_t count, int32_t fill, uint8_t* to) {
  for (int64_t i = 0; i < count; i += V::kLanes) {
    V::Store(to + kBlockChannels * i, V::GatherWhere(V::LoadIndex(index + i), from, V::Set(fill)));
  }
}

template <typename V>
void Copy(const uint8_t* from, const int32_t* index, int64_t count, int32_t fill, uint8_t* to) {
  for (int64_t i = 0; i < count; i += V::kLanes) {
    V::Store(to + kBlockChannels * i,
             V::LoadWhere(V::LoadIndex(index + i), from + kBlockChannels * i, V::Set(fill)));
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
      default:
        break;
    }
  }
  RunTiles<V, 1>(task, source, destination, first_row, last_row);
}

template <typename V>
constexpr BlockKernel KernelOf(const char* name) {
  return {name,         V::kLanes,      V::kMostVectors, V::kAlikeVectors, V::kAddsIn16Bits,
          RunBlocks<V>, TakeLargest<V>, Gather<V>,       Copy<V>};
}

}  // namespace
}  // namespace cytopress

#endif  // CYTOPRESS_CORE_KERNELS_BLOCK_KERNEL_LOOPS_H_
