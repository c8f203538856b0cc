// What becomes of a row's sums, whichever kernel has computed them. The words are block_kernel.h's,
// and so is the rule: no inline function here.
#ifndef CYTOPRESS_CORE_KERNELS_ROW_OUTPUTS_H_
#define CYTOPRESS_CORE_KERNELS_ROW_OUTPUTS_H_

#include <cstdint>

namespace cytopress {

// The bits of 2^23 as FP32, plus a small integer, are those of 2^23 + that integer: adding makes a
// float of it, which spares the conversion. Residuals, which are never negative, are added to 2^23,
// sums to 1.5 * 2^23, from which one may go either way.
inline constexpr int32_t kSumBits = 0x4b400000;
inline constexpr int32_t kSumBase = 3 << 22;
inline constexpr int32_t kResidualBits = 0x4b000000;
inline constexpr int32_t kResidualBase = 1 << 23;
// A residual is added in so many parts of its step, of which FP32 may lose one half.
inline constexpr int kResidualParts = 64;

// What becomes of the sums of all output channels, one row each:
//   stored = round(clamp(multiplier * s + (residual_multiplier * r + bias), low, high)) + zero
// where r is kResidualBase and kResidualParts times the byte that the destination held, and s is
// the sum, which starts at `initial`. Rounds to the nearest even integer; a product and the
// addition to it are rounded to FP32 once (std::fma).
struct RowOutputs {
  const int32_t* initial;  // one a row, as the following two
  const float* multiplier;
  const float* bias;
  bool adds_residual;
  float residual_multiplier;
  float low;
  float high;
  int32_t zero;
  // The integer sum is biased: it starts at kSumBits more, so that its bits are an FP32 number,
  // which is s; no conversion is needed. Clamping is left to packing and to adding the zero, which
  // both saturate: low + zero is 0, high + zero is 255, and what is rounded fits 32 bits. REQUIRES:
  // the sum is between -2^22 and 2^22. What FP32 loses is about the value of one unit of the sum,
  // and that is at most 1/16 of a step of the destination.
  bool sums_are_floats;
};

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_KERNELS_ROW_OUTPUTS_H_
