// Which weights are removed, and keeping them removed.
#ifndef CYTOPRESS_CORE_COMPRESSION_PRUNING_H_
#define CYTOPRESS_CORE_COMPRESSION_PRUNING_H_

#include <torch/torch.h>

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "core/compression/fisher.h"
#include "core/compression/torch_network.h"
#include "cytopress/v1/recipe.pb.h"

namespace cytopress {

// By weight tensor name: 1 where a weight stays, 0 where it is removed; float, shaped as the
// weight.
using Masks = std::map<std::string, torch::Tensor>;

// Removes the share `sparsity` (in [0, 1)) of all prunable weights (core/artifact IsPrunable) with
// the smallest magnitudes. Computes the masks only; ApplyMasks changes the network.
//
// Methods: GLOBAL_MAGNITUDE by one threshold over the whole network, LAYER_MAGNITUDE by one a layer
// (Han et al., "Learning both Weights and Connections", 2015; both compared in Blalock et al.,
// "What is the State of Neural Network Pruning?", 2020). Those by Fisher information are
// FisherMasks'. REQUIRES: not UsesFisher(options).
//
// Patterns: UNSTRUCTURED; BLOCK4 removes 1x4 blocks along the input channels, what one 8-bit dot
// product instruction takes, by the sum of their magnitudes (Elsen et al., "Fast Sparse ConvNets",
// 2020); TWO_OF_FOUR removes the two smallest of every four neighbouring input channels and ignores
// method and sparsity (Mishra et al., "Accelerating Sparse Deep Neural Networks", 2021).
//
// PruneOptions.layer_sparsity: every layer by its own magnitudes, to its own sparsity in proportion
// to how far `sparsity` is on its way to options.sparsity().
//
// Methods of one threshold also remove what that leaves without a use (dead_channels.h) and keep so
// many more of the other weights.
//
// Unstructured and blocks: round(sparsity * groups) groups go, of the network or of each layer, or
// more where more than that are of no use; among equals the earlier ones first. Layers whose input
// channels are not a multiple of four have a narrower last block.
Masks MagnitudeMasks(const TorchNetwork& network, const v1::PruneOptions& options, double sparsity);

// The same with the method FISHER, by one threshold on what the loss of a weight w adds to the
// training loss, F * w^2 (fisher.h), or COST_AWARE_FISHER, by one on that over the square of what
// the weight costs: its place in the file, and a product at every position of its layer's output,
// where all products of the network cost as much as all places (saliency against latency, as in
// Shen et al., "Structural Pruning via Latency-Saliency Knapsack", 2022; the square was chosen by
// validation accuracy, docs/adr/0020-cost-aware-pruning.md). Blocks go by the sums over their
// weights. Of each weight half of F is its own and half the mean of those of its layer that are
// not zero: that of a single one comes from few images.
//
// `fisher` is of the network as it is, or nearly so. REQUIRES: UsesFisher(options).
Masks FisherMasks(const TorchNetwork& network, const v1::PruneOptions& options, double sparsity,
                  const FisherDiagonal& fisher);

// False where method does not count, too: with layer_sparsity and with TWO_OF_FOUR.
bool UsesFisher(const v1::PruneOptions& options);

// Over how many training images F is measured for FisherMasks.
inline constexpr int64_t kFisherImages = 1024;

// How many neighbouring input channels go or stay together: 4 in BLOCK4, else 1.
int BlockSize(v1::PrunePattern pattern);

// By what magnitudes compare the blocks of a weight [out, in, kh, kw]: the sums of them, float
// [out, blocks, kh, kw], contiguous.
torch::Tensor BlockScores(const torch::Tensor& weight, int block);

// What is removed at options.sparsity(), at the least: each threshold, one for all layers or one a
// layer, rounds to whole groups.
double WantedSparsity(const TorchNetwork& network, const v1::PruneOptions& options);

// INVALID_ARGUMENT, naming the field, if options.layer_sparsity() has a layer that the network
// lacks or never prunes.
absl::Status CheckLayers(const TorchNetwork& network, const v1::PruneOptions& options);

// The sparsity at `step` of `steps` on the way to `target`: s = target * (1 - (1 - t)^3) from 5 %
// of the way on (Zhu and Gupta, "To Prune, or Not to Prune", 2017).
double CubicSparsity(double target, int64_t step, int64_t steps);

// Masks of the prunable weights that are zero now, for the tensors that have any: what an earlier
// job has pruned.
Masks MasksOfZeros(const TorchNetwork& network);

// Zeroes every masked weight, in place.
void ApplyMasks(const Masks& masks, const TorchNetwork& network);

// INTERNAL, naming the tensor, if a masked weight is not exactly zero.
absl::Status CheckMasks(const Masks& masks, const TorchNetwork& network);

// Zero share of the prunable weights.
double Sparsity(const TorchNetwork& network);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_COMPRESSION_PRUNING_H_
