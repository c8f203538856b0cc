// Weights to fewer bits, and the ranges of what flows between the layers.
#ifndef CYTOPRESS_CORE_COMPRESSION_QUANTIZATION_H_
#define CYTOPRESS_CORE_COMPRESSION_QUANTIZATION_H_

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "core/artifact/artifact.h"
#include "core/compression/torch_network.h"
#include "core/dataset/dataset.h"
#include "cytopress/v1/recipe.pb.h"

namespace cytopress {

// Symmetric, one scale an output channel (dimension 0) by its largest magnitude: INT8 in [-127,
// 127], INT4 in [-7, 7] (Krishnamoorthi, "Quantizing deep convolutional networks", 2018). Zero
// stays zero, so pruned weights stay pruned. REQUIRES: `encoding` is kInt8 or kInt4.
StoredTensor QuantizeWeight(const Tensor& weight, Encoding encoding);

// The stored tensors of a network.
//   FP32, FP16: every tensor in that type, batch norms apart and in FP32.
//   INT8, INT4: batch norms folded into the scales and an FP16 bias; scales are positive; the stem
//   and the classifier are INT8 either way, where they cost few bytes and most accuracy.
absl::StatusOr<std::map<std::string, StoredTensor>> EncodeTensors(const Network& network,
                                                                  const TensorMap& tensors,
                                                                  v1::WeightType weights);

// The FP32 values of stored tensors, for LibTorch.
TensorMap DecodeTensors(const std::map<std::string, StoredTensor>& tensors);

// By layer name, the magnitude below which `percentile` (in (0, 100]) of the absolute values of the
// layer's output lie, over `images` training images; "input" is the normalized image's largest
// possible magnitude. A layer that is always zero has the range 1.
absl::StatusOr<std::map<std::string, float>> CalibrateActivations(const TorchNetwork& network,
                                                                  const Dataset& dataset,
                                                                  int images, double percentile,
                                                                  uint64_t seed);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_COMPRESSION_QUANTIZATION_H_
