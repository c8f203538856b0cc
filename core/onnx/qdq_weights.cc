#include "core/onnx/qdq_weights.h"

#include <algorithm>
#include <cmath>

#include "core/artifact/activation_grid.h"

namespace cytopress {
namespace {

constexpr float kLargestBias = 1 << 30;

}  // namespace

QdqWeights MakeQdqWeights(const StoredTensor& tensor, const ChannelAffine& affine, float input_step,
                          float output_step) {
  QdqWeights result;
  const size_t channels = affine.scale.size();
  const size_t row = tensor.integers.size() / channels;
  result.weights = tensor.integers;
  for (size_t o = 0; o < channels; ++o) {
    const float stored = tensor.scales[o] * affine.scale[o];
    const float scale =
        std::max({std::abs(stored), std::abs(affine.bias[o]) / (input_step * kLargestBias),
                  kSmallestProduct * output_step / input_step});
    if (scale != stored) {
      for (size_t i = o * row; i < (o + 1) * row; ++i) {
        const float value = static_cast<float>(tensor.integers[i]) * stored / scale;
        result.weights[i] = static_cast<int8_t>(std::clamp(std::nearbyint(value), -127.0f, 127.0f));
      }
    }
    result.scales.push_back(scale);
    result.bias_scales.push_back(scale * input_step);
    result.bias.push_back(
        static_cast<int32_t>(std::llround(double{affine.bias[o]} / result.bias_scales[o])));
  }
  return result;
}

}  // namespace cytopress
