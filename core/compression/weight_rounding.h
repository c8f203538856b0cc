// Weights to integers: the scale of every output channel, and rounding to the nearest.
#ifndef CYTOPRESS_CORE_COMPRESSION_WEIGHT_ROUNDING_H_
#define CYTOPRESS_CORE_COMPRESSION_WEIGHT_ROUNDING_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "core/artifact/artifact.h"
#include "core/compression/torch_network.h"
#include "cytopress/v1/recipe.pb.h"

namespace cytopress {

// Integers are symmetric about zero, in [-levels, levels], with one scale an output channel
// (dimension 0), so that zero stays zero and pruned weights stay pruned (Krishnamoorthi,
// "Quantizing deep convolutional networks", 2018).
struct IntegerFormat {
  Encoding encoding = Encoding::kInt8;
  int levels = 127;        // INT8: 127, or 64 with reduced_range; INT4: 7
  int64_t group_size = 0;  // INT4: see StoredTensor; 0 = no groups
  // The 16 levels of RANGE_METHOD_ASYMMETRIC, which no multiples of a scale are: as INT8, to within
  // 1/254 of the largest.
  bool asymmetric = false;
};

// The format of a layer's weight. The stem and the classifier are INT8 in INT4 models too, where
// they cost few bytes and most accuracy, unless options.layer_weights() names them. REQUIRES:
// options.weights() is INT8 or INT4.
IntegerFormat FormatOf(const Network& network, const Layer& layer,
                       const v1::QuantizeOptions& options);

// INVALID_ARGUMENT, naming the field, if options.layer_weights() has a layer that the network
// lacks.
absl::Status CheckLayers(const Network& network, const v1::QuantizeOptions& options);

// Each value as the nearest of 16 levels from its channel's (dimension 0) least to its largest.
// Zero is moved to a level, as Jacob et al. ("Quantization and Training of Neural Networks", 2018)
// warn.
Tensor OnAsymmetricLevels(const Tensor& weight);

// What one weight tensor's values are rounded to: multiples of its channel's scale, or with groups,
// of the scale times the group's multiplier.
struct WeightGrid {
  std::vector<float> scales;  // one an output channel, positive
  int64_t group_size = 0;
  std::vector<uint8_t> multipliers;  // as StoredTensor's
};

// By weight tensor name.
using WeightGrids = std::map<std::string, WeightGrid>;

// The grid of one weight by QuantizeOptions.weight_range: MIN_MAX from the largest magnitude,
// PERCENTILE from that percentile of the magnitudes that are not zero, MSE from the clipping, among
// 1/64 steps of the largest magnitude from 20/64 on, with the smallest sum of squared rounding
// errors. With per_tensor_scales the whole tensor is asked, after each channel was multiplied by
// its `fold` (empty: all 1), so that all channels share a scale once their batch norm is folded in,
// as integer arithmetic has it (Jacob et al., 2018); with groups each of them is, and the channel's
// scale lets the coarsest have the largest multiplier.
WeightGrid FindGrid(const Tensor& weight, const IntegerFormat& format,
                    const v1::QuantizeOptions& options, const std::vector<float>& fold = {});

// The step of every value, float [out, values of a channel], or [out, 1] without groups.
torch::Tensor StepsOf(const WeightGrid& grid, const std::vector<int64_t>& shape);

// Of a layer's weight, with the batch norm that the layer has now. REQUIRES: it has a weight.
WeightGrid FindLayerGrid(const TorchNetwork& network, const Layer& layer,
                         const v1::QuantizeOptions& options);

// Of every weight in the network.
WeightGrids FindWeightGrids(const TorchNetwork& network, const v1::QuantizeOptions& options);

// To the nearest integer, clipped to the levels.
StoredTensor RoundWeight(const Tensor& weight, const IntegerFormat& format, const WeightGrid& grid);

// Integers by weight tensor name; batch norms are not folded in.
using IntegerWeights = std::map<std::string, StoredTensor>;

IntegerWeights RoundToNearest(const TorchNetwork& network, const v1::QuantizeOptions& options,
                              const WeightGrids& grids);

// Puts what the integers stand for into the network.
void AssignIntegers(const IntegerWeights& integers, const TorchNetwork& network);

// Computes with rounded weights and lets gradients pass as if they were not (the straight-through
// estimator of Bengio et al., 2013, as in Jacob et al., "Quantization and Training of Neural
// Networks", 2018), on scales that stay as they are; clipped weights get no gradient.
TorchNetwork::Hooks FakeQuantizationHooks(const TorchNetwork& network,
                                          const v1::QuantizeOptions& options,
                                          const WeightGrids& grids);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_COMPRESSION_WEIGHT_ROUNDING_H_
