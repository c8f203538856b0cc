// Convolution over blocks of weights that are not zero: 4 consecutive input channels of one tap, of
// one output channel.
//
// A map lies in memory as [channels / 4][positions][4]: a vector holds 4 channels of 8 or 16
// positions, and one block of weights, broadcast, is multiplied with several such vectors. This is
// the only header that the instruction sets' own files share with the rest, so it and what they
// include must define no inline function that the rest may be linked against.
#ifndef CYTOPRESS_CORE_ENGINE_BLOCK_KERNEL_H_
#define CYTOPRESS_CORE_ENGINE_BLOCK_KERNEL_H_

#include <cstdint>

namespace cytopress {

inline constexpr int kBlockChannels = 4;  // of an input; a block has as many bytes

// The blocks of all output channels, one row each, and what becomes of a row's sum:
//   stored = round(clamp(multiplier * sum + bias + residual_multiplier * (r - residual_zero), low,
//                        high)) + zero
// where r is what the destination held, and the sum starts at `initial`. Rounds to the nearest even
// integer. Every operation is rounded to FP32 by itself.
struct BlockRows {
  // The blocks of 4 rows lie interleaved, [step][4 rows][group], from first[row / 4] on, for as
  // many steps as the longest of them needs; row o has blocks that are not zero in its first
  // steps[o].
  const uint32_t* first;
  const uint16_t* steps;
  const uint16_t* ids;     // which 4 inputs: an index into the offsets
  const int8_t* weights;   // 4 a block
  int group;               // blocks that may be added in 16 bits: 1, 2, 4 or 8
  const int32_t* initial;  // one a row, as the following two
  const float* multiplier;
  const float* bias;
  bool adds_residual;
  float residual_multiplier;
  int32_t residual_zero;
  float low;
  float high;
  int32_t zero;
};

// Positions that are computed in one go: consecutive ones, or two runs of the same length.
struct BlockTile {
  int64_t source;       // bytes from the start of the source to the first position
  int64_t destination;  // bytes from the start of the destination, for output channels 0 to 3
  int vectors;  // of BlockKernel::lanes positions, 1 to kMostBlockVectors; even for two runs
  // Bytes from the end of the first run to the start of the second; 0 for consecutive positions.
  int64_t source_gap = 0;
  int64_t destination_gap = 0;
};
inline constexpr int kMostBlockVectors = 8;

struct BlockTask {
  BlockRows rows;
  // Bytes from a tile's source to the inputs of a block, by id. Null: the ids are those distances,
  // in units of 4 bytes, which spares a load a block.
  const int32_t* offsets = nullptr;
  bool one_position = false;  // of the only tile, which has one vector; only with null offsets
  const BlockTile* tiles;
  int tile_count;
  int64_t channel_stride;  // bytes from 4 output channels to the next 4 of a tile
};

// One implementation. All give the same bytes.
struct BlockKernel {
  const char* name;  // "avx512vnni", "avx2" or "portable"
  int lanes;         // positions in a vector
  // Products of u8 and s8 are added in pairs that saturate at 16 bits: positive and negative
  // weights that share a 16-bit sum (bytes 0 and 1, bytes 2 and 3 of all blocks of a group) may add
  // up to kMost16BitWeight each, no more.
  bool adds_in_16_bits;
  // Rows first_row to last_row - 1, both multiples of 4. Reads and writes whole vectors.
  void (*run)(const BlockTask& task, const uint8_t* source, uint8_t* destination, int first_row,
              int last_row);
};
inline constexpr int kMost16BitWeight = 128;  // * 255 < 2^15

const BlockKernel& PortableBlockKernel();
// Null where the compiler or the CPU does not have the instructions.
const BlockKernel* Avx2BlockKernel();
const BlockKernel* Avx512VnniBlockKernel();
// The fastest that this CPU has.
const BlockKernel& BestBlockKernel();

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_ENGINE_BLOCK_KERNEL_H_
