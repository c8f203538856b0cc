// What a kernel with matrices multiplies. The words are block_kernel.h's, and so is the rule: no
// inline function here.
#ifndef CYTOPRESS_CORE_KERNELS_MATRIX_TASK_H_
#define CYTOPRESS_CORE_KERNELS_MATRIX_TASK_H_

#include <cstdint>

#include "core/kernels/row_outputs.h"

namespace cytopress {

// All weights of a convolution, multiplied with tiles of 16 rows (of output channels) and tiles of
// 16 positions. A step is a tap and up to 16 blocks of neighbouring channels.
inline constexpr int kTileRows = 16;
inline constexpr int kTileRowBytes = 64;  // of a row's weights for a step
inline constexpr int kTileBytes = kTileRows * kTileRowBytes;
inline constexpr int kPairRows = 2 * kTileRows;  // which are computed together

struct MatrixStep {
  int64_t weights;  // bytes from the first step of two tiles of rows
  int64_t inputs;   // bytes from a vector's source to the first block of its first position
};

// Positions that fill a vector, as offsets in bytes from the start of the source (of a window's
// first input) and of the destination (of output channels 0 to 3).
struct MatrixVector {
  int64_t source;
  int64_t destination;
};

struct MatrixTask {
  RowOutputs outputs;
  int rows;
  // [rows / 32, rounded up][step][2 tiles][16 rows][64 bytes], of which a step uses 4 * blocks.
  const int8_t* weights;
  int64_t pair_bytes;  // from two tiles of rows to the next two
  const MatrixStep* steps;
  int step_count;
  int blocks;             // of a step
  int64_t source_stride;  // bytes from 4 channels of the source to the next 4
  const MatrixVector* vectors;
  int vector_count;
  int64_t channel_stride;  // the same of the destination
};

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_KERNELS_MATRIX_TASK_H_
