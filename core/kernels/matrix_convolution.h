// One convolution by the matrix kernel, zeros and all, laid out for one batch size.
#ifndef CYTOPRESS_CORE_KERNELS_MATRIX_CONVOLUTION_H_
#define CYTOPRESS_CORE_KERNELS_MATRIX_CONVOLUTION_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/kernels/block_inputs.h"
#include "core/kernels/block_kernel.h"
#include "core/kernels/block_map.h"
#include "core/kernels/convolution.h"
#include "core/kernels/matrix_task.h"
#include "core/kernels/matrix_weights.h"

namespace cytopress {

// Gives the same bytes as BlockConvolution. Thread-compatible.
class MatrixConvolution {
 public:
  // `weights` are those of `convolution`. All must outlive the object, which reads nothing of the
  // convolution's own weights; `source` and `map` are copied. REQUIRES: kernel.run_matrix.
  MatrixConvolution(const Convolution& convolution, const MatrixWeights& weights,
                    const BlockMap& source, const BlockMap& map, const BlockKernel& kernel);

  // Bytes of working memory.
  size_t scratch_bytes() const { return inputs_.scratch_bytes(); }
  // From one map into the other, on so many OpenMP threads. A residual lies in the destination.
  void Run(const uint8_t* source, uint8_t* scratch, uint8_t* destination, int threads) const;

 private:
  // Positions that are alike: only the taps in the map are steps of theirs.
  struct Part {
    std::vector<MatrixStep> steps;
    std::vector<int32_t> initial;
    std::vector<MatrixVector> vectors;
    MatrixTask task;
  };
  // No positions: all, in one tile.
  Part MakePart(const Convolution& convolution, const MatrixWeights& weights, const BlockMap& map,
                const AlikePositions& alike) const;

  const BlockKernel& kernel_;
  const BlockInputs inputs_;
  const int rows_;
  std::vector<Part> parts_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_KERNELS_MATRIX_CONVOLUTION_H_
