#include "tests/core/kernels/reference.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace cytopress {
namespace {

std::vector<float> Convolve(const Network& network, const Layer& layer, const TensorMap& tensors,
                            const std::vector<float>& input, const std::vector<float>* residual) {
  const std::vector<double> sums = ReferenceConvolve<double>(
      ShapeOf(network, layer), input.data(), tensors.at(layer.name + ".weight").values);
  const ChannelAffine affine = FoldBatchNorm(layer, tensors).value();
  std::vector<float> output(sums.size());
  for (size_t i = 0; i < sums.size(); ++i) {
    const size_t channel = i % layer.out_channels;
    double value = affine.scale[channel] * sums[i] + affine.bias[channel];
    if (residual != nullptr) value += (*residual)[i];
    if (layer.relu) value = std::max(value, 0.0);
    output[i] = static_cast<float>(value);
  }
  return output;
}

std::vector<float> MaxPool(const Layer& in, const Layer& layer, const std::vector<float>& input) {
  std::vector<float> output(size_t(layer.out_height) * layer.out_width * layer.out_channels,
                            std::numeric_limits<float>::lowest());
  for (size_t i = 0; i < output.size(); ++i) {
    const int c = static_cast<int>(i) % layer.out_channels;
    const int ox = static_cast<int>(i) / layer.out_channels % layer.out_width;
    const int oy = static_cast<int>(i) / layer.out_channels / layer.out_width;
    for (int tap = 0; tap < layer.kernel * layer.kernel; ++tap) {
      const int y = oy * layer.stride - layer.padding + tap / layer.kernel;
      const int x = ox * layer.stride - layer.padding + tap % layer.kernel;
      if (y < 0 || y >= in.out_height || x < 0 || x >= in.out_width) continue;
      output[i] = std::max(output[i], input[(y * in.out_width + x) * layer.out_channels + c]);
    }
  }
  return output;
}

std::vector<float> Average(const std::vector<float>& input, int channels) {
  std::vector<double> sums(channels, 0.0);
  for (size_t i = 0; i < input.size(); ++i) sums[i % channels] += input[i];
  std::vector<float> output;
  for (double sum : sums) output.push_back(static_cast<float>(sum * channels / input.size()));
  return output;
}

}  // namespace

Convolution ShapeOf(const Network& network, const Layer& layer) {
  const Layer& input = network.layers[layer.input];
  Convolution shape;
  shape.in_channels = layer.in_channels;
  shape.in_height = layer.op == Op::kLinear ? 1 : input.out_height;
  shape.in_width = layer.op == Op::kLinear ? 1 : input.out_width;
  shape.out_channels = layer.out_channels;
  shape.out_height = layer.op == Op::kLinear ? 1 : layer.out_height;
  shape.out_width = layer.op == Op::kLinear ? 1 : layer.out_width;
  shape.kernel_height = shape.kernel_width = layer.kernel;
  shape.stride = layer.stride;
  shape.pad_top = shape.pad_left = layer.padding;
  return shape;
}

std::vector<std::vector<float>> ReferenceForward(const Network& network, const TensorMap& tensors,
                                                 const std::vector<float>& input) {
  std::vector<std::vector<float>> outputs;
  for (const Layer& layer : network.layers) {
    switch (layer.op) {
      case Op::kInput:
        outputs.push_back(input);
        break;
      case Op::kConv:
      case Op::kLinear:
        outputs.push_back(Convolve(network, layer, tensors, outputs[layer.input],
                                   layer.residual >= 0 ? &outputs[layer.residual] : nullptr));
        break;
      case Op::kMaxPool:
        outputs.push_back(MaxPool(network.layers[layer.input], layer, outputs[layer.input]));
        break;
      case Op::kGlobalAvgPool:
        outputs.push_back(Average(outputs[layer.input], layer.out_channels));
        break;
    }
  }
  return outputs;
}

std::vector<float> ReferenceSoftmax(const std::vector<float>& logits) {
  const float largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (float logit : logits) sum += std::exp(double{logit} - largest);
  std::vector<float> probabilities;
  for (float logit : logits) {
    probabilities.push_back(static_cast<float>(std::exp(double{logit} - largest) / sum));
  }
  return probabilities;
}

}  // namespace cytopress
