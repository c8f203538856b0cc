// Temperature scaling: calibrates a network's confidences by one number.
#ifndef CYTOPRESS_CORE_COMPRESSION_TEMPERATURE_H_
#define CYTOPRESS_CORE_COMPRESSION_TEMPERATURE_H_

#include <optional>

#include "absl/types/span.h"
#include "core/artifact/artifact.h"
#include "core/compression/torch_network.h"

namespace cytopress {

// Temperature scaling (Guo et al., "On Calibration of Modern Neural Networks", 2017): the
// temperature T with the least negative log-likelihood of softmax(logits / T). Below 1 for networks
// that are surer than they say, as label smoothing makes them. `logits` is float [images, classes]
// on the CPU. Between 1/20 and 20; nothing where every image is right, which the least temperature
// would be best for, however few they are. REQUIRES: one label an image, at least one image.
std::optional<double> FitTemperature(const torch::Tensor& logits, absl::Span<const int> labels);

// Divides what the classifier "fc" puts out by `temperature`: its scales (or floating-point
// weights), its bias and its range. No answer changes, only how sure it is. REQUIRES: temperature >
// 0; the artifact has its tensors.
void DivideLogits(double temperature, Artifact* artifact);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_COMPRESSION_TEMPERATURE_H_
