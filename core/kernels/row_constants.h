// What becomes of a convolution's sums, alike for all kernels that compute them on block maps.
#ifndef CYTOPRESS_CORE_KERNELS_ROW_CONSTANTS_H_
#define CYTOPRESS_CORE_KERNELS_ROW_CONSTANTS_H_

#include <cstdint>
#include <vector>

#include "core/kernels/convolution.h"
#include "core/kernels/row_outputs.h"

namespace cytopress {

// Signed maps are stored with this added, since the kernels multiply unsigned inputs.
inline constexpr int kSignedZero = 128;

inline int ZeroOf(DataType type) { return type == DataType::kInt8 ? kSignedZero : 0; }

// Immutable. Its answers depend on nothing but the convolution, so that kernels which sum up in
// different ways give the same bytes.
class RowConstants {
 public:
  // REQUIRES: integer weights.
  explicit RowConstants(const Convolution& convolution);

  // Where the sum of a row starts whose weights add up to `weights`: what the inputs' zero adds to
  // it comes off.
  int32_t Initial(int32_t weights) const {
    return (sums_are_floats_ ? kSumBits : 0) - zero_ * weights;
  }
  int64_t bytes() const;

  // All but `initial`. Valid as long as this object, which is that of `convolution`.
  RowOutputs View(const Convolution& convolution) const;

 private:
  void SetBias(const Convolution& convolution);

  int zero_;  // of the source's values
  std::vector<float> multiplier_;
  std::vector<float> bias_;
  bool sums_are_floats_ = false;
};

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_KERNELS_ROW_CONSTANTS_H_
