// How much the training loss depends on each weight.
#ifndef CYTOPRESS_CORE_COMPRESSION_FISHER_H_
#define CYTOPRESS_CORE_COMPRESSION_FISHER_H_

#include <torch/torch.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/compression/torch_network.h"
#include "core/dataset/dataset.h"

namespace cytopress {

// The diagonal of the empirical Fisher information F, by weight tensor name, shaped as the weight
// of a convolution and on its device. A change d of a trained weight adds about F * d^2 / 2 to the
// training loss (Hassibi and Stork, "Second Order Derivatives for Network Pruning", 1993; Theis et
// al., "Faster Gaze Prediction with Dense Networks and Fisher Pruning", 2018).
using FisherDiagonal = std::map<std::string, torch::Tensor>;

// By one backward pass over up to `images` training images, without augmentation and by running
// batch-norm statistics. The network is left as it was. `progress` gets the share that is done,
// before each batch; its error ends the measurement.
absl::StatusOr<FisherDiagonal> MeasureFisher(TorchNetwork& network, const Dataset& dataset,
                                             int64_t images, uint64_t seed,
                                             const std::function<absl::Status(double)>& progress);

// After a backward pass of the mean loss of `images` images: makes the tensors of `fisher`, one for
// every convolution, in place the moving averages of themselves, by the share `decay`, and of what
// the gradients say.
void FollowFisher(const TorchNetwork& network, int64_t images, double decay,
                  const FisherDiagonal& fisher);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_COMPRESSION_FISHER_H_
