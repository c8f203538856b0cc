// Plain loops that compute what the engines compute, to compare them with.
#ifndef CYTOPRESS_TESTS_CORE_KERNELS_REFERENCE_H_
#define CYTOPRESS_TESTS_CORE_KERNELS_REFERENCE_H_

#include <cstdint>
#include <vector>

#include "core/kernels/convolution.h"
#include "core/network/network.h"

namespace cytopress {

// The sums of products of one image: input and result NHWC, weights [out, in, height, width]. Only
// the sizes of `shape` are read. `Sum` is the type to add in.
template <typename Sum, typename Value, typename Weight>
std::vector<Sum> ReferenceConvolve(const Convolution& shape, const Value* input,
                                   const std::vector<Weight>& weights) {
  const int64_t taps = int64_t{shape.kernel_height} * shape.kernel_width;
  const int64_t row = shape.in_channels * taps;
  // [in, tap, out]: the inner loop then runs over neighbours.
  std::vector<Sum> by_input(weights.size());
  for (int64_t o = 0; o < shape.out_channels; ++o) {
    for (int64_t i = 0; i < row; ++i) by_input[i * shape.out_channels + o] = weights[o * row + i];
  }
  std::vector<Sum> output(size_t(shape.out_height) * shape.out_width * shape.out_channels, Sum{0});
  for (int oy = 0; oy < shape.out_height; ++oy) {
    for (int ox = 0; ox < shape.out_width; ++ox) {
      Sum* sums = &output[(int64_t{oy} * shape.out_width + ox) * shape.out_channels];
      for (int ky = 0; ky < shape.kernel_height; ++ky) {
        for (int kx = 0; kx < shape.kernel_width; ++kx) {
          const int y = oy * shape.stride - shape.pad_top + ky;
          const int x = ox * shape.stride - shape.pad_left + kx;
          if (y < 0 || y >= shape.in_height || x < 0 || x >= shape.in_width) continue;
          const Value* values = input + (int64_t{y} * shape.in_width + x) * shape.in_channels;
          for (int i = 0; i < shape.in_channels; ++i) {
            const Sum value = values[i];
            if (value == Sum{0}) continue;
            const Sum* weight =
                &by_input[(i * taps + ky * shape.kernel_width + kx) * shape.out_channels];
            for (int o = 0; o < shape.out_channels; ++o) sums[o] += value * weight[o];
          }
        }
      }
    }
  }
  return output;
}

// The sizes of a convolution of `network`.
Convolution ShapeOf(const Network& network, const Layer& layer);

// Every layer's output for one image, NHWC: `input` is normalized [height, width, channels]; batch
// norm, residual and ReLU included; the last holds the logits. Sums in double.
std::vector<std::vector<float>> ReferenceForward(const Network& network, const TensorMap& tensors,
                                                 const std::vector<float>& input);

std::vector<float> ReferenceSoftmax(const std::vector<float>& logits);

}  // namespace cytopress

#endif  // CYTOPRESS_TESTS_CORE_KERNELS_REFERENCE_H_
