// Stochastic gradient descent with Nesterov momentum (Sutskever et al., "On the importance of
// initialization and momentum in deep learning", 2013; in the form LibTorch's torch::optim::SGD has
// it), whose momentum is a table of named tensors that a checkpoint can hold.
#ifndef CYTOPRESS_CORE_COMPRESSION_SGD_H_
#define CYTOPRESS_CORE_COMPRESSION_SGD_H_

#include <torch/torch.h>

#include <string>
#include <utility>
#include <vector>

#include "core/compression/checkpoint.h"

namespace cytopress {

struct SgdOptions {
  double momentum = 0.9;
  double weight_decay = 0;  // on tensors of two or more dimensions: not on batch norms and biases
};

// Thread-compatible.
class NesterovSgd {
 public:
  NesterovSgd(std::vector<std::pair<std::string, torch::Tensor>> parameters,
              const SgdOptions& options);

  void ZeroGradients();
  void Step(double learning_rate);

  // One momentum tensor a parameter, by its name; zeros at first.
  const TensorTable& momentum() const { return momentum_by_name_; }

 private:
  const SgdOptions options_;
  std::vector<torch::Tensor> parameters_;  // those that decay first
  size_t decaying_ = 0;
  std::vector<torch::Tensor> momentum_;
  TensorTable momentum_by_name_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_COMPRESSION_SGD_H_
