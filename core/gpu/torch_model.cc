#include "core/gpu/torch_model.h"

#include <torch/torch.h>

namespace cytopress {
namespace {

torch::Tensor Copy(const std::vector<float>& values, const std::vector<int64_t>& shape) {
  return torch::from_blob(const_cast<float*>(values.data()), shape, torch::kFloat32).clone();
}

}  // namespace

TorchModel::TorchModel(const DenseModel& model, torch::Device device, torch::ScalarType type)
    : type_(type) {
  const torch::NoGradGuard no_grad;
  const std::vector<Layer>& layers = model.network.layers;
  for (size_t i = 0; i < layers.size(); ++i) {
    Step& step = steps_.emplace_back();
    step.layer = layers[i];
    step.unread = !model.unread.empty() && model.unread[i];
    if (layers[i].op != Op::kConv || step.unread) continue;
    const Convolution& c = model.convolutions[i];
    step.covers_input = c.in_channels != layers[layers[i].input].out_channels;
    step.adds_residual = c.adds_residual;
    step.layer.relu = c.relu;
    step.layer.stride = c.stride;
    step.weight =
        Copy(c.float_weights, {c.out_channels, c.in_channels, c.kernel_height, c.kernel_width})
            .to(device, type)
            .contiguous(at::MemoryFormat::ChannelsLast);
    step.bias = Copy(c.bias, {c.out_channels}).to(device, type);
    if (c.pad_top == c.pad_bottom() && c.pad_left == c.pad_right()) {
      step.padding = {c.pad_top, c.pad_left};
    } else {
      step.padding = {0, 0};
      step.extra_padding = {c.pad_left, c.pad_right(), c.pad_top, c.pad_bottom()};
    }
  }
  // Whoever reads an output last lets it go, so that a pass holds the maps of a few layers at a
  // time.
  std::vector<size_t> last_reader(layers.size());
  for (size_t i = 0; i < layers.size(); ++i) {
    if (steps_[i].unread) continue;
    if (layers[i].input >= 0) last_reader[layers[i].input] = i;
    if (steps_[i].adds_residual) last_reader[layers[i].residual] = i;
  }
  for (size_t i = 0; i + 1 < layers.size(); ++i) steps_[last_reader[i]].last_reads.push_back(i);
  // The table is linear in the pixel's value.
  std::vector<float> shift, scale;
  for (size_t first = 0; first < model.float_input.size(); first += 256) {
    shift.push_back(model.float_input[first]);
    scale.push_back((model.float_input[first + 255] - model.float_input[first]) / 255);
  }
  const std::vector<int64_t> shape = {1, static_cast<int64_t>(scale.size()), 1, 1};
  input_shift_ = Copy(shift, shape).to(device);
  input_scale_ = Copy(scale, shape).to(device);
  const Classifier& classifier = model.classifier;
  classifier_weight_ = Copy(classifier.weights(), {classifier.features(), classifier.stride()})
                           .narrow(1, 0, classifier.classes())
                           .to(device)
                           .contiguous();
  classifier_bias_ = Copy(classifier.bias(), {classifier.classes()}).to(device);
}

torch::Tensor TorchModel::Convolve(const Step& step, const torch::Tensor& input) const {
  torch::Tensor x = input;
  if (step.covers_input) {
    // Its input channels are the map's pixels one after the other, each with all channels.
    x = x.permute({0, 2, 3, 1}).reshape({x.size(0), step.weight.size(1), 1, 1});
  } else if (!step.extra_padding.empty()) {
    x = at::constant_pad_nd(x, step.extra_padding);
  }
  return at::conv2d(x, step.weight, step.bias, step.layer.stride, step.padding);
}

torch::Tensor TorchModel::Classify(const torch::Tensor& pixels) const {
  const torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> outputs(steps_.size());
  for (size_t i = 0; i < steps_.size(); ++i) {
    const Step& step = steps_[i];
    const Layer& layer = step.layer;
    if (step.unread) continue;
    torch::Tensor& y = outputs[i];
    switch (layer.op) {
      case Op::kInput:
        // [batch, height, width, channels] is what channels_last means.
        y = pixels.permute({0, 3, 1, 2}).to(torch::kFloat32).mul_(input_scale_).add_(input_shift_);
        y = y.to(type_);
        break;
      case Op::kConv:
        y = Convolve(step, outputs[layer.input]);
        if (step.adds_residual) y = y.add_(outputs[layer.residual]);
        if (layer.relu) y = y.relu_();
        break;
      case Op::kMaxPool:
        y = at::max_pool2d(outputs[layer.input], layer.kernel, layer.stride, layer.padding);
        break;
      case Op::kGlobalAvgPool:
        y = outputs[layer.input].to(torch::kFloat32).mean({2, 3});
        break;
      case Op::kLinear:
        y = at::addmm(classifier_bias_, outputs[layer.input], classifier_weight_).softmax(1);
        break;
    }
    for (const size_t read : step.last_reads) outputs[read].reset();
  }
  return outputs.back();
}

}  // namespace cytopress
