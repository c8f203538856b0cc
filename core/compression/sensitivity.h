// What each layer can spare.
#ifndef CYTOPRESS_CORE_COMPRESSION_SENSITIVITY_H_
#define CYTOPRESS_CORE_COMPRESSION_SENSITIVITY_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/compression/allocation.h"
#include "core/compression/torch_network.h"
#include "core/dataset/dataset.h"
#include "cytopress/v1/recipe.pb.h"

namespace cytopress {

struct LayerSensitivity {
  std::string layer;
  std::vector<LayerChoice> choices;  // every sparsity of a fixed grid as INT8 and as INT4
};

// The choices of every prunable layer, in the network's order. The loss of a choice is half the sum
// of F * d^2 over the layer's weights: d is the change of a weight that is pruned by magnitude or
// rounded, and F what MeasureFisher (fisher.h) finds over `images` training images. Bytes are the
// entropy of the integers, less what zstd saves where whole blocks are zero. Work is the number of
// blocks (block_kernel.h) that are not zero times that of output positions, at most that
// of a quarter of the layer's blocks: from about there on the engine multiplies all of them.
// What is pruned and rounded, and how, are the recipe's prune.pattern and quantize; its
// layer_weights and sparsities do not count. The network is left as it was.
// `progress` gets the share of the work that is done, before each batch and layer; its error ends
// the measurement. REQUIRES: the pattern is not TWO_OF_FOUR, which has one sparsity.
absl::StatusOr<std::vector<LayerSensitivity>> MeasureSensitivity(
    TorchNetwork& network, const Dataset& dataset, const v1::Recipe& recipe, int64_t images,
    const std::function<absl::Status(double)>& progress);

// Of a file with integer weights, what the choices have no part in: the layers that are not
// prunable, all biases, and the table of tensors. An estimate, rather too low.
double FixedBytes(const Network& network);

// What hardly a file goes below: FixedBytes, and the bytes that say which weights are left at the
// highest sparsity.
double LeastBytes(const Network& network, const v1::PruneOptions& options);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_COMPRESSION_SENSITIVITY_H_
