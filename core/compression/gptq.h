// Rounding whose errors compensate each other.
#ifndef CYTOPRESS_CORE_COMPRESSION_GPTQ_H_
#define CYTOPRESS_CORE_COMPRESSION_GPTQ_H_

#include <functional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/compression/torch_network.h"
#include "core/compression/weight_rounding.h"
#include "core/dataset/dataset.h"

namespace cytopress {

// Rounds weight by weight and lets the weights that are still to come make up for each error, as
// far as the layer's inputs on the calibration images allow: the Hessian of the layer's squared
// output error says how much (Frantar et al., "GPTQ: Accurate Post-Training Quantization for
// Generative Pre-trained Transformers", 2023; with the order by the Hessian's diagonal, largest
// first). It is computed as LDLQ, which is shown to be the same and needs no inverse (Chee et al.,
// "QuIP: 2-Bit Quantization of Large Language Models With Guarantees", 2023). Weights that are zero
// now stay zero, and the others make up for what compensation would have put there (Frantar and
// Alistarh, "SparseGPT", 2023).
//
// Layers are rounded in the network's order, each on the inputs that the rounded layers before it
// give. Leaves the rounded values in the network. `images` training images are used; memory holds
// all their activations of two layers, and four times the squared fan-in of the widest layer in
// doubles. `progress` gets the share of the layers that is done, before each; its error ends the
// rounding.
absl::StatusOr<IntegerWeights> RoundWithGptq(const TorchNetwork& network, const Dataset& dataset,
                                             const v1::QuantizeOptions& options,
                                             const WeightGrids& grids, uint64_t seed,
                                             const std::function<absl::Status(double)>& progress);

// One weight matrix [out, in] given the Gram matrix [in, in] of its inputs; returns the rounded
// values, multiples of the steps [out, in] or [out, 1] within +-levels. Zeros of `weight` stay.
torch::Tensor GptqRound(const torch::Tensor& weight, const torch::Tensor& gram,
                        const torch::Tensor& steps, int levels);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_COMPRESSION_GPTQ_H_
