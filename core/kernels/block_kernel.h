// Convolution over blocks of weights that are not zero.
//
// The words:
// - Tap: one place of the convolution's window, such as each of the 9 of a 3x3 kernel.
// - Block: the 4 weights of one output channel for 4 consecutive input channels at one tap. Its id
//   says which tap and which channels. The 4 bytes of a map that it meets are its inputs.
// - Row: an output channel, and the blocks that are its weights.
// - Pixel: a y and an x of a map. Position: a pixel of one image of the batch.
// - Lane: one of a vector's 32-bit values. It holds 4 channels of one position, or their sum.
// - Run: positions whose lanes follow each other in memory, as whole vectors.
// - Tile: runs that are computed in one go (BlockTile). Block maps (block_map.h) and AMX
//   (matrix_task.h) have tiles of their own, which are said there.
// - Step: what one turn of a loop adds to a row's sums: `group` blocks, or in a MatrixTask one tap
//   and some of its channels.
// - Alike: rows that have blocks at the same taps and channels, so that they share ids and inputs;
//   or positions (block_inputs.h) whose windows have the same taps within the map.
// - Part: the alike positions of a layer with the blocks at their taps (BlockConvolution::Part).
//
// A map lies in memory as [channels / 4][positions][4]: a vector holds 4 channels of 8 or 16
// positions, and one block of weights, broadcast, is multiplied with several such vectors.
//
// This and what it includes are the only headers that the instruction sets' own files share with
// the rest, so they must define no inline function that the rest may be linked against.
#ifndef CYTOPRESS_CORE_KERNELS_BLOCK_KERNEL_H_
#define CYTOPRESS_CORE_KERNELS_BLOCK_KERNEL_H_

#include <cstdint>

#include "core/kernels/matrix_task.h"
#include "core/kernels/row_outputs.h"

namespace cytopress {

inline constexpr int kBlockChannels = 4;   // of an input; a block has as many bytes
inline constexpr int kAlikeRows = 4;       // that may have blocks of the same inputs
inline constexpr int kMostGroup = 4;       // blocks that are added in 16 bits
inline constexpr int kMostAlikeGroup = 2;  // the same of rows that are alike: 4 spill registers

// The blocks of all output channels, one row each.
struct BlockRows : RowOutputs {
  // The blocks of 4 rows lie interleaved, [step][4 rows][group], from first[row / 4] on, for as
  // many steps as the longest of them needs; row o has blocks that are not zero in its first
  // steps[o].
  const uint32_t* first;
  const uint16_t* steps;
  const uint16_t* ids;    // which 4 inputs: an index into the offsets
  const int8_t* weights;  // 4 a block
  int group;              // blocks that may be added in 16 bits: 1, 2 or 4
  // 4 rows have blocks of the same inputs, [step][group][4 rows], which share an id: theirs are
  // those from first[row / 4] / 4 on.
  bool alike;
};

// Positions that are computed in one go, so that they share the reading of each block: runs of
// consecutive ones, all of the same length.
inline constexpr int kMostBlockRuns = 8;
struct BlockTile {
  int vectors = 0;  // of BlockKernel::lanes positions in a run
  int runs = 0;     // at most MostRuns of the kernel
  // By run, in bytes: to its first position from the start of the source, and from the start of the
  // destination, for output channels 0 to 3.
  int64_t source[kMostBlockRuns] = {};
  int64_t destination[kMostBlockRuns] = {};
};

// The distance_bits that addresses can be scaled by at no cost.
inline constexpr int kAddressBits = 3;

struct BlockTask {
  BlockRows rows;
  // Bytes from a run's source to the inputs of a block, by id. Null: the ids are those distances,
  // in units of 2^distance_bits bytes, which spares a load a block.
  const int32_t* offsets = nullptr;
  int distance_bits = 2;
  // Of the only tile, which has one vector, if there are at most 4, else 0; only with null offsets.
  // Of a single one, with two distance_bits.
  int positions = 0;
  const BlockTile* tiles;
  int tile_count;
  int64_t channel_stride;  // bytes from 4 output channels to the next 4 of a tile
};

// One implementation. All give the same bytes.
struct BlockKernel {
  const char* name;  // "avx512vnni", "avxvnni", "avx2" or "portable"
  int lanes;         // positions in a vector
  int most_vectors;  // in all runs of a tile
  // The same for tiles of rows that are alike, which are computed 4 at once; 0 where they never
  // are.
  int alike_vectors;
  // Products of u8 and s8 are added in pairs that saturate at 16 bits: positive and negative
  // weights that share a 16-bit sum (bytes 0 and 1, bytes 2 and 3 of all blocks of a group) may add
  // up to kMost16BitWeight each, no more.
  bool adds_in_16_bits;
  // Rows first_row to last_row - 1, both multiples of 4. Reads and writes whole vectors.
  void (*run)(const BlockTask& task, const uint8_t* source, uint8_t* destination, int first_row,
              int last_row);
  // The largest of `count` values, byte by byte. `bytes` is a multiple of a vector's, 4 * lanes.
  void (*take_largest)(const uint8_t* const* maps, int count, int64_t bytes, uint8_t* largest);
  // Of `count` positions, a multiple of `lanes`, the i-th has the 4 bytes that are 4 * index[i]
  // from `from`, or `fill` where that is negative; only where it is not need `from` be readable.
  void (*gather)(const uint8_t* from, const int32_t* index, int64_t count, int32_t fill,
                 uint8_t* to);
  // The same for an index[i] that is i or negative, and faster.
  void (*copy)(const uint8_t* from, const int32_t* index, int64_t count, int32_t fill, uint8_t* to);
  // Rows first_row to last_row - 1; first_row is a multiple of kPairRows, last_row as well or the
  // last one. Reads and writes whole vectors. Null where there are no instructions for it.
  void (*run_matrix)(const MatrixTask& task, const uint8_t* source, uint8_t* destination,
                     int first_row, int last_row) = nullptr;
  const char* matrix_name = nullptr;  // "amx"
};
inline constexpr int kMost16BitWeight = 128;  // * 255 < 2^15

// Of so many vectors each, in one tile.
constexpr int MostRuns(int most_vectors, int vectors) {
  if (vectors != 2 && vectors != 4 && vectors != 8) return 1;
  return most_vectors / vectors < kMostBlockRuns ? most_vectors / vectors : kMostBlockRuns;
}

const BlockKernel& PortableBlockKernel();
// Null where the compiler or the CPU does not have the instructions.
const BlockKernel* Avx2BlockKernel();
const BlockKernel* AvxVnniBlockKernel();
const BlockKernel* Avx512VnniBlockKernel();
// That of AVX512-VNNI with matrices by AMX. Null also where Linux does not grant its registers.
const BlockKernel* AmxBlockKernel();
// The fastest that this CPU has and ONEDNN_MAX_CPU_ISA allows.
const BlockKernel& BestBlockKernel();

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_KERNELS_BLOCK_KERNEL_H_
