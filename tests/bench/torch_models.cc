#include "tests/bench/torch_models.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/script.h>

#include <map>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "core/base/status_macros.h"
#include "core/compression/torch_network.h"
#include "tests/core/engine/random_artifact.h"

namespace cytopress {
namespace {

TorchModel Eager(std::shared_ptr<TorchNetwork> network) {
  return [network](const torch::Tensor& images) {
    return network->Forward(images, TorchNetwork::Mode::kEvaluate).softmax(1);
  };
}

std::string Attribute(const std::string& tensor) {
  return absl::StrReplaceAll(tensor, {{".", "_"}});
}

// The network as the body of a TorchScript method.
std::string Script(const Network& network) {
  std::string code = "def forward(self, v0):\n";
  for (size_t i = 1; i < network.layers.size(); ++i) {
    const Layer& layer = network.layers[i];
    const std::string name = Attribute(layer.name), norm = Attribute(layer.batch_norm);
    std::string value;
    switch (layer.op) {
      case Op::kInput:
        break;
      case Op::kConv:
        value = absl::StrFormat(
            "torch.batch_norm(torch.conv2d(v%d, self.%s_weight, None, [%d, %d], [%d, %d]), "
            "self.%s_weight, self.%s_bias, self.%s_running_mean, self.%s_running_var, False, 0.1, "
            "%g, True)",
            layer.input, name, layer.stride, layer.stride, layer.padding, layer.padding, norm, norm,
            norm, norm, kBatchNormEpsilon);
        break;
      case Op::kMaxPool:
        value = absl::StrFormat("torch.max_pool2d(v%d, [%d, %d], [%d, %d], [%d, %d])", layer.input,
                                layer.kernel, layer.kernel, layer.stride, layer.stride,
                                layer.padding, layer.padding);
        break;
      case Op::kGlobalAvgPool:
        value = absl::StrFormat("torch.mean(v%d, [2, 3])", layer.input);
        break;
      case Op::kLinear:
        value = absl::StrFormat("torch.softmax(torch.linear(v%d, self.%s_weight, self.%s_bias), 1)",
                                layer.input, name, name);
        break;
    }
    if (layer.residual >= 0) value = absl::StrFormat("torch.add(%s, v%d)", value, layer.residual);
    if (layer.relu) value = absl::StrFormat("torch.relu(%s)", value);
    absl::StrAppendFormat(&code, "    v%d = %s\n", i, value);
  }
  return absl::StrCat(code, "    return v", network.layers.size() - 1, "\n");
}

TorchModel Frozen(const TorchNetwork& network) {
  torch::jit::Module module("network");
  for (const auto& [name, tensor] : network.tensors()) {
    module.register_buffer(Attribute(name), tensor.detach());
  }
  module.register_attribute("training", c10::BoolType::get(), false);
  module.define(Script(network.network()));
  torch::jit::Module constant = torch::jit::freeze(module);
  const auto frozen =
      std::make_shared<torch::jit::Module>(torch::jit::optimize_for_inference(constant));
  return [frozen](const torch::Tensor& images) { return frozen->forward({images}).toTensor(); };
}

c10::IValue Call(const char* name, const char* overload, torch::jit::Stack arguments) {
  c10::Dispatcher::singleton().findSchemaOrThrow(name, overload).callBoxed(&arguments);
  return arguments.back();
}

// LibTorch's quantized operators know values in [0, 255] only: signed ones lie around 128.
struct Quantum {
  double step = 1;
  int64_t zero = 0;
};

class Quantized {
 public:
  Quantized(const Artifact& artifact, Network network) : network_(std::move(network)) {
    const TensorMap values = DequantizeAll(artifact);
    const auto tensor = [&](const std::string& name) {
      const Tensor& value = values.at(name);
      return torch::tensor(value.values).view(value.shape);
    };
    for (const Layer& layer : network_.layers) {
      const auto range = artifact.activation_ranges.find(layer.name);
      Quantum quantum;
      if (range != artifact.activation_ranges.end()) {
        quantum =
            layer.relu ? Quantum{range->second / 255.0, 0} : Quantum{range->second / 127.0, 128};
      }
      quanta_.push_back(quantum);
      packed_.emplace_back();
      if (layer.op == Op::kLinear) {
        weight_ = tensor(layer.name + ".weight");
        bias_ = tensor(layer.name + ".bias");
      }
      if (layer.op != Op::kConv) continue;
      const torch::Tensor weight = at::quantize_per_channel(
          tensor(layer.name + ".weight"),
          torch::tensor(artifact.tensors.at(layer.name + ".weight").scales).to(torch::kFloat64),
          torch::zeros({layer.out_channels}, torch::kInt64), 0, torch::kQInt8);
      const std::vector<int64_t> stride = {layer.stride, layer.stride};
      const std::vector<int64_t> padding = {layer.padding, layer.padding};
      packed_.back() = Call("quantized::conv2d_prepack", "",
                            {weight, tensor(layer.name + ".bias"), stride, padding,
                             std::vector<int64_t>{1, 1}, int64_t{1}});
    }
    for (size_t i = 0; i < network_.layers.size(); ++i) {
      if (network_.layers[i].op == Op::kMaxPool) quanta_[i] = quanta_[network_.layers[i].input];
    }
  }

  torch::Tensor operator()(const torch::Tensor& images) const {
    std::vector<torch::Tensor> outputs(network_.layers.size());
    for (size_t i = 0; i < network_.layers.size(); ++i) {
      const Layer& layer = network_.layers[i];
      const Quantum& quantum = quanta_[i];
      switch (layer.op) {
        case Op::kInput:
          outputs[i] = at::quantize_per_tensor(images, quantum.step, quantum.zero, torch::kQUInt8);
          break;
        case Op::kConv:
          outputs[i] = Convolve(layer, i, outputs);
          break;
        case Op::kMaxPool:
          outputs[i] =
              at::max_pool2d(outputs[layer.input], {layer.kernel, layer.kernel},
                             {layer.stride, layer.stride}, {layer.padding, layer.padding}, {1, 1});
          break;
        case Op::kGlobalAvgPool:
          outputs[i] = outputs[layer.input].dequantize().mean({2, 3});
          break;
        case Op::kLinear:
          outputs[i] = at::linear(outputs[layer.input], weight_, bias_).softmax(1);
          break;
      }
    }
    return outputs.back();
  }

 private:
  torch::Tensor Convolve(const Layer& layer, size_t i,
                         const std::vector<torch::Tensor>& outputs) const {
    const Quantum& quantum = quanta_[i];
    if (layer.residual < 0) {
      return Call(layer.relu ? "quantized::conv2d_relu" : "quantized::conv2d", "new",
                  {outputs[layer.input], packed_[i], quantum.step, quantum.zero})
          .toTensor();
    }
    // The ranges are those of sums: a summand, which has a sign, gets the sum's step.
    const torch::Tensor branch =
        Call("quantized::conv2d", "new",
             {outputs[layer.input], packed_[i], quantum.step, int64_t{128}})
            .toTensor();
    return Call(layer.relu ? "quantized::add_relu" : "quantized::add", "",
                {branch, outputs[layer.residual], quantum.step, quantum.zero})
        .toTensor();
  }

  Network network_;
  std::vector<Quantum> quanta_;      // of layers' outputs
  std::vector<c10::IValue> packed_;  // weights of convolutions
  torch::Tensor weight_, bias_;      // of the classifier
};

}  // namespace

const std::vector<std::string>& TorchModelNames() {
  static const auto* const names = new std::vector<std::string>{"eager", "frozen", "quantized"};
  return *names;
}

absl::StatusOr<TorchModel> MakeTorchModel(const std::string& name, const Artifact& artifact) {
  CYTOPRESS_ASSIGN_OR_RETURN(Network plain, BuildNetwork(artifact.network));
  if (name == "quantized") {
    at::globalContext().setQEngine(at::QEngine::ONEDNN);
    return TorchModel(Quantized(artifact, std::move(plain)));
  }
  auto network = std::make_shared<TorchNetwork>(std::move(plain), torch::kCPU, /*seed=*/1);
  CYTOPRESS_RETURN_IF_ERROR(network->Import(DequantizeAll(artifact)));
  if (name == "eager") return Eager(std::move(network));
  if (name == "frozen") return Frozen(*network);
  return absl::InvalidArgumentError(absl::StrCat("LibTorch runs no model '", name, "'"));
}

}  // namespace cytopress
