#include "core/compression/torch_network.h"

#include <cmath>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/compression/gemm_convolution.h"

namespace cytopress {
namespace {

bool IsStatistic(const std::string& name) { return absl::StrContains(name, ".running_"); }

// The convolution that ends a residual branch adds the identity: its batch norm starts at zero.
float InitialGamma(const Layer& layer) { return layer.residual >= 0 ? 0.0f : 1.0f; }

}  // namespace

TorchNetwork::TorchNetwork(Network network, torch::Device device, uint64_t seed)
    : network_(std::move(network)), device_(device) {
  torch::NoGradGuard no_grad;
  auto generator = at::detail::createCPUGenerator(seed);
  auto add = [&](const std::string& name, torch::Tensor tensor) {
    tensor = tensor.to(device_);
    if (tensor.dim() == 4) tensor = tensor.contiguous(at::MemoryFormat::ChannelsLast);
    tensors_[name] = tensor.set_requires_grad(!IsStatistic(name));
  };
  for (const Layer& layer : network_.layers) {
    if (layer.op == Op::kConv) {
      const double fan_out = double(layer.out_channels) * layer.kernel * layer.kernel;
      add(layer.name + ".weight",
          torch::empty({layer.out_channels, layer.in_channels, layer.kernel, layer.kernel})
              .normal_(0, std::sqrt(2.0 / fan_out), generator));
      add(layer.batch_norm + ".weight", torch::full({layer.out_channels}, InitialGamma(layer)));
      add(layer.batch_norm + ".bias", torch::zeros({layer.out_channels}));
      add(layer.batch_norm + ".running_mean", torch::zeros({layer.out_channels}));
      add(layer.batch_norm + ".running_var", torch::ones({layer.out_channels}));
    } else if (layer.op == Op::kLinear) {
      const double bound = 1.0 / std::sqrt(double(layer.in_channels));
      add(layer.name + ".weight",
          torch::empty({layer.out_channels, layer.in_channels}).uniform_(-bound, bound, generator));
      add(layer.name + ".bias", torch::zeros({layer.out_channels}));
    }
  }
}

torch::Tensor TorchNetwork::Weight(const Layer& layer, const Hooks& hooks) const {
  const std::string name = layer.name + ".weight";
  const torch::Tensor& weight = tensors_.at(name);
  return hooks.weight ? hooks.weight(name, weight) : weight;
}

torch::Tensor TorchNetwork::Convolve(const Layer& layer, const torch::Tensor& input, Mode mode,
                                     const Hooks& hooks) const {
  const torch::Tensor weight = Weight(layer, hooks);
  const torch::Tensor y = PrefersGemm(input, weight, layer.stride, layer.padding)
                              ? GemmConvolution(input, weight, layer.stride, layer.padding)
                              : at::conv2d(input, weight, {}, layer.stride, layer.padding);
  const std::string& norm = layer.batch_norm;
  return at::batch_norm(y, tensors_.at(norm + ".weight"), tensors_.at(norm + ".bias"),
                        tensors_.at(norm + ".running_mean"), tensors_.at(norm + ".running_var"),
                        mode == Mode::kTrain, hooks.batch_norm_momentum, kBatchNormEpsilon,
                        /*cudnn_enabled=*/true);
}

torch::Tensor TorchNetwork::Forward(const torch::Tensor& input, Mode mode) const {
  return Forward(input, mode, Hooks());
}

torch::Tensor TorchNetwork::Forward(const torch::Tensor& input, Mode mode,
                                    const Hooks& hooks) const {
  std::vector<torch::Tensor> outputs(network_.layers.size());
  // Outputs are dropped after their last use, which halves the memory of an evaluation.
  std::vector<size_t> last_use(network_.layers.size(), 0);
  for (size_t i = 0; i < network_.layers.size(); ++i) {
    const Layer& layer = network_.layers[i];
    if (layer.input >= 0) last_use[layer.input] = i;
    if (layer.residual >= 0) last_use[layer.residual] = i;
  }
  for (size_t i = 0; i < network_.layers.size(); ++i) {
    const Layer& layer = network_.layers[i];
    torch::Tensor& y = outputs[i];
    if (hooks.before && layer.weight_count() > 0) hooks.before(layer, outputs[layer.input]);
    switch (layer.op) {
      case Op::kInput:
        y = input;
        break;
      case Op::kConv:
        y = Convolve(layer, outputs[layer.input], mode, hooks);
        break;
      case Op::kMaxPool:
        y = at::max_pool2d(outputs[layer.input], layer.kernel, layer.stride, layer.padding);
        break;
      case Op::kGlobalAvgPool:
        y = outputs[layer.input].mean({2, 3});
        break;
      case Op::kLinear:
        y = at::linear(outputs[layer.input], Weight(layer, hooks),
                       tensors_.at(layer.name + ".bias"));
        break;
    }
    if (layer.residual >= 0) y = y.add_(outputs[layer.residual]);
    if (layer.relu) y = y.relu_();
    if (hooks.after) hooks.after(layer, y);
    for (int used : {layer.input, layer.residual}) {
      if (used >= 0 && last_use[used] == i) outputs[used].reset();
    }
  }
  return outputs.back();
}

std::vector<std::pair<std::string, torch::Tensor>> TorchNetwork::Parameters() const {
  std::vector<std::pair<std::string, torch::Tensor>> parameters;
  for (const auto& [name, tensor] : tensors_) {
    if (!IsStatistic(name)) parameters.emplace_back(name, tensor);
  }
  return parameters;
}

int64_t TorchNetwork::dense_bytes() const {
  int64_t parameters = 0;
  for (const auto& [name, tensor] : Parameters()) parameters += tensor.numel();
  return parameters * static_cast<int64_t>(sizeof(float));
}

TensorMap TorchNetwork::Export() const {
  TensorMap values;
  for (const auto& [name, tensor] : tensors_) {
    const torch::Tensor plain = tensor.detach().to(torch::kCPU, torch::kFloat32).contiguous();
    Tensor& value = values[name];
    value.shape = plain.sizes().vec();
    value.values.assign(plain.data_ptr<float>(), plain.data_ptr<float>() + plain.numel());
  }
  return values;
}

absl::Status TorchNetwork::Import(const TensorMap& values) {
  torch::NoGradGuard no_grad;
  TensorMap unfolded = values;
  for (const Layer& layer : network_.layers) {
    const auto folded = values.find(layer.name + ".bias");
    if (layer.op != Op::kConv || folded == values.end()) continue;
    const std::vector<int64_t> shape = {layer.out_channels};
    const size_t channels = layer.out_channels;
    unfolded[layer.batch_norm + ".weight"] = {
        shape, std::vector<float>(channels, std::sqrt(1 + kBatchNormEpsilon))};
    unfolded[layer.batch_norm + ".bias"] = folded->second;
    unfolded[layer.batch_norm + ".running_mean"] = {shape, std::vector<float>(channels, 0.0f)};
    unfolded[layer.batch_norm + ".running_var"] = {shape, std::vector<float>(channels, 1.0f)};
  }
  for (const auto& [name, tensor] : tensors_) {
    const auto it = unfolded.find(name);
    if (it == unfolded.end()) {
      return absl::InvalidArgumentError(absl::StrCat("the base model lacks the tensor ", name));
    }
    if (it->second.shape != tensor.sizes().vec()) {
      return absl::InvalidArgumentError(
          absl::StrCat("the base model's tensor ", name, " has the shape [",
                       absl::StrJoin(it->second.shape, ", "), "]; the network needs [",
                       absl::StrJoin(tensor.sizes().vec(), ", "), "]"));
    }
    tensor.copy_(torch::from_blob(const_cast<float*>(it->second.values.data()), it->second.shape,
                                  torch::kFloat32));
  }
  return absl::OkStatus();
}

}  // namespace cytopress
