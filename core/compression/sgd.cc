#include "core/compression/sgd.h"

#include <algorithm>

namespace cytopress {

NesterovSgd::NesterovSgd(std::vector<std::pair<std::string, torch::Tensor>> parameters,
                         const SgdOptions& options)
    : options_(options) {
  const auto first_plain =
      std::stable_partition(parameters.begin(), parameters.end(),
                            [](const auto& named) { return named.second.dim() > 1; });
  decaying_ = first_plain - parameters.begin();
  for (const auto& [name, tensor] : parameters) {
    parameters_.push_back(tensor);
    momentum_.push_back(torch::zeros_like(tensor));
    momentum_by_name_[name] = momentum_.back();
  }
}

void NesterovSgd::ZeroGradients() {
  for (torch::Tensor& parameter : parameters_) parameter.mutable_grad().reset();
}

void NesterovSgd::Step(double learning_rate) {
  torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> gradients;
  for (const torch::Tensor& parameter : parameters_) gradients.push_back(parameter.grad());
  if (options_.weight_decay > 0) {
    const at::TensorList all_gradients(gradients), all_parameters(parameters_);
    at::_foreach_add_(all_gradients.slice(0, decaying_), all_parameters.slice(0, decaying_),
                      options_.weight_decay);
  }
  at::_foreach_mul_(momentum_, options_.momentum);
  at::_foreach_add_(momentum_, gradients, 1);
  at::_foreach_add_(gradients, momentum_, options_.momentum);
  at::_foreach_add_(parameters_, gradients, -learning_rate);
}

}  // namespace cytopress
