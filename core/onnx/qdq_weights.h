// A convolution's integers as ONNX multiplies them.
#ifndef CYTOPRESS_CORE_ONNX_QDQ_WEIGHTS_H_
#define CYTOPRESS_CORE_ONNX_QDQ_WEIGHTS_H_

#include <cstdint>
#include <vector>

#include "core/artifact/artifact.h"
#include "core/network/network.h"

namespace cytopress {

// One output channel o computes scales[o] * sum(weights * input) + bias_scales[o] * bias[o], where
// bias_scales[o] = scales[o] * input_step, as ONNX wants of an integer bias.
struct QdqWeights {
  std::vector<int8_t> weights;
  std::vector<float> scales;
  std::vector<int32_t> bias;
  std::vector<float> bias_scales;
};

// The stored integers and scales as they are, but for a channel whose scale is so small against its
// bias that the bias would not fit 32 bits (its weights hardly count then), or negative: its
// integers are rounded anew to a scale that is neither.
// REQUIRES: `tensor` holds integers; affine fits its channels; the steps are positive.
QdqWeights MakeQdqWeights(const StoredTensor& tensor, const ChannelAffine& affine, float input_step,
                          float output_step);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_ONNX_QDQ_WEIGHTS_H_
