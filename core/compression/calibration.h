// The ranges of what flows between the layers.
#ifndef CYTOPRESS_CORE_COMPRESSION_CALIBRATION_H_
#define CYTOPRESS_CORE_COMPRESSION_CALIBRATION_H_

#include <map>
#include <string>
#include <vector>

#include "core/compression/torch_network.h"
#include "core/dataset/dataset.h"
#include "cytopress/v1/recipe.pb.h"

namespace cytopress {

// By layer name, the magnitude that the layer's output is quantized to, from
// `options.calibration_images()` training images by `options.activation_range()`: MIN_MAX the
// largest, PERCENTILE the one below which activation_percentile of all magnitudes lie, MSE the one
// by RangeOfLeastError, with the steps that the engine stores the output in: 255 after a ReLU, 127
// of either sign otherwise. "input" is the normalized image's largest possible
// magnitude. A layer that is always zero has the range 1.
std::map<std::string, float> CalibrateActivations(const TorchNetwork& network,
                                                  const Dataset& dataset,
                                                  const v1::QuantizeOptions& options,
                                                  uint64_t seed);

// How many magnitudes of `outputs` [image, ...] lie in each of 4096 even bins over [0, largest], in
// FP64. Exact for images of up to 2^24 values. REQUIRES: FP32; largest > 0.
torch::Tensor CountMagnitudes(const torch::Tensor& outputs, float largest);

// Of 64 even clippings of `largest` the one with the smallest expected squared error of rounding to
// so many `steps` from zero and of clipping (as TensorRT's and ONNX Runtime's calibrators search
// it). `counts` are of magnitudes, in even bins over [0, largest]; those of the first are taken for
// zeros, which have no error and of which there are many after a ReLU. REQUIRES: largest > 0.
float RangeOfLeastError(const std::vector<double>& counts, float largest, int steps);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_COMPRESSION_CALIBRATION_H_
