// One convolution as the engines compute it: with its batch norm, residual and ReLU folded in
// and nothing left to compute that cannot change the result.
#ifndef CYTOPRESS_CORE_KERNELS_CONVOLUTION_H_
#define CYTOPRESS_CORE_KERNELS_CONVOLUTION_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace cytopress {

// How a value between two layers is stored.
enum class DataType { kUint8, kInt8, kBfloat16, kFloat32 };

size_t DataTypeBytes(DataType type);

// destination = store(relu(multiplier[o] * sum(weight * source) + bias[o]
//                          + residual_multiplier * residual))
// where `store` rounds to the nearest even integer and saturates for integer destinations, and the
// residual lies in the destination's memory before it is overwritten. Activations are NHWC.
struct Convolution {
  int in_channels = 0;
  int in_height = 0;
  int in_width = 0;
  int out_channels = 0;
  int out_height = 0;
  int out_width = 0;
  int kernel_height = 1;
  int kernel_width = 1;
  int stride = 1;
  int pad_top = 0;  // what the windows need below and to the right follows from the sizes
  int pad_left = 0;

  DataType source = DataType::kFloat32;
  DataType destination = DataType::kFloat32;
  bool relu = false;
  bool adds_residual = false;
  DataType residual = DataType::kFloat32;
  float residual_multiplier = 1;  // 1 for kBfloat16 and kFloat32

  // [out, in, kernel_height, kernel_width]; one of the two is filled: integers for integer sources.
  std::vector<int8_t> integer_weights;
  std::vector<float> float_weights;
  // One an output channel; empty (= 1) for float weights. Not so near to 0 that the bias divided by
  // it, as oneDNN 2.x has it, is more than a float holds.
  std::vector<float> multiplier;
  std::vector<float> bias;  // one an output channel, in units of the destination

  int pad_bottom() const;
  int pad_right() const;
  // Whether images are independent rows of a matrix product: 1x1, stride 1, no padding.
  bool is_pointwise() const;
};

// Leaves out the kernel's taps that meet only padding (a 3x3 kernel on a 2x2 map with stride 2 is a
// 2x2 kernel), and turns a kernel that covers its whole input into a 1x1 one over in_channels x
// height x width channels, which batches as a matrix product. Same results.
void Simplify(Convolution& convolution);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_KERNELS_CONVOLUTION_H_
