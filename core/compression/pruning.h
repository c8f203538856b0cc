// Which weights are removed, and keeping them removed.
#ifndef CYTOPRESS_CORE_COMPRESSION_PRUNING_H_
#define CYTOPRESS_CORE_COMPRESSION_PRUNING_H_

#include <torch/torch.h>

#include <map>
#include <string>

#include "absl/status/status.h"
#include "core/compression/torch_network.h"

namespace cytopress {

// By weight tensor name: 1 where a weight stays, 0 where it is removed; float, shaped as the
// weight.
using Masks = std::map<std::string, torch::Tensor>;

// Removes the share `sparsity` (in [0, 1)) of all prunable weights (core/artifact IsPrunable) with
// the smallest magnitudes, by one threshold over the whole network (Han et al., "Learning both
// Weights and Connections", 2015; global as in Blalock et al., "What is the State of Neural Network
// Pruning?", 2020). Exactly round(sparsity * count) weights go; among equals the earlier layers'
// first. Computes the masks only; ApplyMasks changes the network.
Masks GlobalMagnitudeMasks(const TorchNetwork& network, double sparsity);

// Zeroes every masked weight, in place.
void ApplyMasks(const Masks& masks, const TorchNetwork& network);

// INTERNAL, naming the tensor, if a masked weight is not exactly zero.
absl::Status CheckMasks(const Masks& masks, const TorchNetwork& network);

// Zero share of the prunable weights.
double Sparsity(const TorchNetwork& network);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_COMPRESSION_PRUNING_H_
