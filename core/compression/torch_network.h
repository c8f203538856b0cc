// A network of core/network in LibTorch: its parameters as tensors and its forward pass.
#ifndef CYTOPRESS_CORE_COMPRESSION_TORCH_NETWORK_H_
#define CYTOPRESS_CORE_COMPRESSION_TORCH_NETWORK_H_

#include <torch/torch.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "core/network/network.h"

namespace cytopress {

// Thread-compatible. Errors of LibTorch surface as its exceptions; RunPipeline catches them.
class TorchNetwork {
 public:
  // Weights by Kaiming's normal initialization over the fan-out (He et al., 2015), batch norms to
  // the identity except the last of each residual branch, whose scale starts at zero so that every
  // block starts as the identity (Goyal et al., "Accurate, Large Minibatch SGD", 2017).
  TorchNetwork(Network network, torch::Device device, uint64_t seed);

  enum class Mode {
    kTrain,     // batch statistics, running statistics updated
    kEvaluate,  // running statistics
  };
  // What somebody may watch or change while an image passes; every one may be empty.
  struct Hooks {
    // Before a convolution or the classifier is computed, with its input. It may change the weight.
    std::function<void(const Layer&, const torch::Tensor&)> before;
    // After every layer, with its finished output (after residual and ReLU).
    std::function<void(const Layer&, const torch::Tensor&)> after;
    // What is computed with in place of the weight of that name.
    std::function<torch::Tensor(const std::string&, const torch::Tensor&)> weight;
    // How much of the running statistics a batch replaces, in kTrain.
    double batch_norm_momentum = 0.1;
  };

  // input: float [N, C, H, W], normalized, best in channels_last. Returns logits [N, classes].
  torch::Tensor Forward(const torch::Tensor& input, Mode mode) const;
  torch::Tensor Forward(const torch::Tensor& input, Mode mode, const Hooks& hooks) const;

  // Everything that is stored, by torchvision's names: weights, biases, batch-norm parameters and
  // statistics. The tensors are the network's own; changing one in place changes the network.
  const std::map<std::string, torch::Tensor>& tensors() const { return tensors_; }
  // Those of tensors() that are trained.
  std::vector<std::pair<std::string, torch::Tensor>> Parameters() const;

  // Of the parameters in FP32.
  int64_t dense_bytes() const;

  // Copies to and from plain data. Import: INVALID_ARGUMENT names a missing or misshapen tensor. A
  // convolution with a folded batch norm ("<conv>.bias") becomes one with the identity batch norm
  // and that bias.
  TensorMap Export() const;
  absl::Status Import(const TensorMap& values);

  const Network& network() const { return network_; }
  torch::Device device() const { return device_; }

 private:
  torch::Tensor Weight(const Layer& layer, const Hooks& hooks) const;
  torch::Tensor Convolve(const Layer& layer, const torch::Tensor& input, Mode mode,
                         const Hooks& hooks) const;

  Network network_;
  torch::Device device_;
  std::map<std::string, torch::Tensor> tensors_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_COMPRESSION_TORCH_NETWORK_H_
