// Which network of core/network a PyTorch model's weights belong to.
#ifndef CYTOPRESS_CORE_SAFETENSORS_STATE_DICT_H_
#define CYTOPRESS_CORE_SAFETENSORS_STATE_DICT_H_

#include <optional>

#include "absl/status/statusor.h"
#include "core/network/network.h"

namespace cytopress {

struct RecognizedNetwork {
  NetworkSpec spec;  // without the size of its input, which the weights do not tell
  TensorMap tensors;
};

// Takes the names of torchvision's ResNets, and those of MedMNIST's ("shortcut" for "downsample",
// "linear" for "fc"), with or without a prefix such as "module."; a classifier that is the only
// linear layer of a Sequential ("fc.1"); tensors beside the network's own prefix are left out.
// `stem` must be given where the first convolution is 3x3, whose stride the weights do not tell.
// INVALID_ARGUMENT names the first tensors that are missing, too many or of another shape, and the
// prefixes of two networks.
absl::StatusOr<RecognizedNetwork> RecognizeNetwork(TensorMap tensors, std::optional<Stem> stem);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_SAFETENSORS_STATE_DICT_H_
