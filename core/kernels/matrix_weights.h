// A convolution's weights, all of them, as the matrix kernel reads them.
#ifndef CYTOPRESS_CORE_KERNELS_MATRIX_WEIGHTS_H_
#define CYTOPRESS_CORE_KERNELS_MATRIX_WEIGHTS_H_

#include <cstdint>
#include <vector>

#include "core/kernels/convolution.h"
#include "core/kernels/matrix_task.h"
#include "core/kernels/row_constants.h"

namespace cytopress {

// Immutable. A byte a weight, more where the output channels are no multiple of 32 or the source's
// none of 64.
class MatrixWeights {
 public:
  // `source_channels` are WeightReader's. REQUIRES: integer weights, out_channels a multiple of 4.
  MatrixWeights(const Convolution& convolution, int source_channels);

  int taps() const { return taps_; }
  // Each tap takes so many steps of so many blocks of channels, as equal as can be; where that is
  // more than there are, the last step has some of those before it again, with weights of zero.
  int steps() const { return steps_; }
  int blocks() const { return blocks_; }
  int FirstBlock(int step) const;
  // Where its weights lie, as MatrixStep has it.
  int64_t Offset(int tap, int step) const {
    return (int64_t{tap} * steps_ + step) * 2 * kTileBytes;
  }

  const int8_t* data() const { return weights_.data(); }
  int64_t pair_bytes() const { return Offset(taps_, 0); }
  const RowConstants& constants() const { return constants_; }
  // Where the sum of each row starts that has only some of the taps.
  std::vector<int32_t> InitialAt(const std::vector<bool>& used_taps) const;
  int64_t bytes() const;

 private:
  RowConstants constants_;
  int taps_;
  int channel_groups_;
  int steps_;
  int blocks_;
  std::vector<int8_t> weights_;    // as MatrixTask has them
  std::vector<int32_t> tap_sums_;  // [row][tap], of weights
};

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_KERNELS_MATRIX_WEIGHTS_H_
