#include "core/compression/weight_rounding.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>

namespace cytopress {
namespace {

constexpr int kClippings = 64;
constexpr int kSmallestClipping = 20;  // of kClippings

Tensor ToPlain(const torch::Tensor& tensor) {
  const torch::Tensor plain = tensor.detach().to(torch::kCPU, torch::kFloat32).contiguous();
  Tensor value;
  value.shape = plain.sizes().vec();
  value.values.assign(plain.data_ptr<float>(), plain.data_ptr<float>() + plain.numel());
  return value;
}

double SquaredError(const float* values, int64_t count, float scale, int levels) {
  const float steps = 1 / scale;
  const auto bound = static_cast<float>(levels);
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) {
    const float rounded = std::clamp(std::nearbyint(values[i] * steps), -bound, bound) * scale;
    sum += static_cast<double>((values[i] - rounded) * (values[i] - rounded));
  }
  return sum;
}

float LargestMagnitude(const float* values, int64_t count) {
  float largest = 0;
  for (int64_t i = 0; i < count; ++i) largest = std::max(largest, std::abs(values[i]));
  return largest;
}

float MagnitudePercentile(const float* values, int64_t count, double percentile) {
  std::vector<float> magnitudes;
  for (int64_t i = 0; i < count; ++i) {
    if (values[i] != 0) magnitudes.push_back(std::abs(values[i]));
  }
  if (magnitudes.empty()) return 0;
  const auto rank =
      static_cast<int64_t>(std::ceil(percentile / 100 * static_cast<double>(magnitudes.size())));
  const auto nth = magnitudes.begin() + std::max<int64_t>(rank - 1, 0);
  std::nth_element(magnitudes.begin(), nth, magnitudes.end());
  return *nth;
}

float ScaleOfLeastError(const float* values, int64_t count, float largest, int levels) {
  float best_scale = largest / static_cast<float>(levels);
  double best_error = SquaredError(values, count, best_scale, levels);
  for (int clipping = kSmallestClipping; clipping < kClippings; ++clipping) {
    const float scale =
        largest * static_cast<float>(clipping) / kClippings / static_cast<float>(levels);
    const double error = SquaredError(values, count, scale, levels);
    if (error < best_error) {
      best_error = error;
      best_scale = scale;
    }
  }
  return best_scale;
}

// Calls `visit(name, weight, format)` for every weight.
template <typename Visit>
void ForEachWeight(const TorchNetwork& network, const v1::QuantizeOptions& options,
                   const Visit& visit) {
  for (const Layer& layer : network.network().layers) {
    if (layer.weight_count() == 0) continue;
    const std::string name = layer.name + ".weight";
    visit(name, network.tensors().at(name), FormatOf(network.network(), layer, options));
  }
}

}  // namespace

IntegerFormat FormatOf(const Network& network, const Layer& layer,
                       const v1::QuantizeOptions& options) {
  const auto first = std::find_if(network.layers.begin(), network.layers.end(),
                                  [](const Layer& l) { return l.weight_count() > 0; });
  const bool sensitive = layer.op == Op::kLinear || layer.name == first->name;
  const auto own = options.layer_weights().find(layer.name);
  const auto type = own == options.layer_weights().end() ? options.weights() : own->second;
  if (type == v1::WEIGHT_TYPE_INT4 && !sensitive) return {Encoding::kInt4, 7};
  return {Encoding::kInt8, options.reduced_range() ? 64 : 127};
}

std::vector<float> ChannelScales(const Tensor& weight, int levels,
                                 const v1::QuantizeOptions& options) {
  const int64_t channels = weight.shape[0];
  const int64_t row = static_cast<int64_t>(weight.values.size()) / channels;
  std::vector<float> scales(channels, 1.0f);
  for (int64_t channel = 0; channel < channels; ++channel) {
    const float* values = &weight.values[channel * row];
    const float largest = LargestMagnitude(values, row);
    if (!(largest > 0)) continue;  // all zero: any scale will do
    switch (options.weight_range()) {
      case v1::RANGE_METHOD_PERCENTILE:
        scales[channel] = MagnitudePercentile(values, row, options.weight_percentile()) /
                          static_cast<float>(levels);
        break;
      case v1::RANGE_METHOD_MSE:
        scales[channel] = ScaleOfLeastError(values, row, largest, levels);
        break;
      default:
        scales[channel] = largest / static_cast<float>(levels);
    }
    if (!std::isnormal(scales[channel])) scales[channel] = 1;  // all but zero
  }
  return scales;
}

WeightScales FindWeightScales(const TorchNetwork& network, const v1::QuantizeOptions& options) {
  WeightScales scales;
  ForEachWeight(
      network, options,
      [&](const std::string& name, const torch::Tensor& weight, const IntegerFormat& format) {
        scales[name] = ChannelScales(ToPlain(weight), format.levels, options);
      });
  return scales;
}

StoredTensor RoundWeight(const Tensor& weight, const IntegerFormat& format,
                         const std::vector<float>& scales) {
  StoredTensor stored;
  stored.encoding = format.encoding;
  stored.shape = weight.shape;
  stored.scales = scales;
  stored.integers.resize(weight.values.size());
  const size_t row = weight.values.size() / scales.size();
  const auto bound = static_cast<float>(format.levels);
  for (size_t i = 0; i < weight.values.size(); ++i) {
    stored.integers[i] = static_cast<int8_t>(
        std::clamp(std::nearbyint(weight.values[i] / scales[i / row]), -bound, bound));
  }
  return stored;
}

IntegerWeights RoundToNearest(const TorchNetwork& network, const v1::QuantizeOptions& options,
                              const WeightScales& scales) {
  IntegerWeights integers;
  ForEachWeight(
      network, options,
      [&](const std::string& name, const torch::Tensor& weight, const IntegerFormat& format) {
        integers[name] = RoundWeight(ToPlain(weight), format, scales.at(name));
      });
  return integers;
}

void AssignIntegers(const IntegerWeights& integers, const TorchNetwork& network) {
  torch::NoGradGuard no_grad;
  for (const auto& [name, stored] : integers) {
    Tensor values = Dequantize(stored);
    torch::Tensor weight = network.tensors().at(name);
    weight.copy_(torch::from_blob(values.values.data(), values.shape, torch::kFloat32));
  }
}

TorchNetwork::Hooks RoundingHooks(const TorchNetwork& network, const v1::QuantizeOptions& options,
                                  const WeightScales& scales) {
  struct Grid {
    torch::Tensor scale, zero;
    int levels = 0;
  };
  auto grids = std::make_shared<std::map<std::string, Grid>>();
  ForEachWeight(
      network, options,
      [&](const std::string& name, const torch::Tensor& weight, const IntegerFormat& format) {
        const torch::Tensor scale = torch::tensor(scales.at(name)).to(weight.device());
        (*grids)[name] = {scale, torch::zeros_like(scale, torch::kInt32), format.levels};
      });
  TorchNetwork::Hooks hooks;
  hooks.weight = [grids](const std::string& name, const torch::Tensor& weight) {
    const Grid& grid = grids->at(name);
    return at::fake_quantize_per_channel_affine(weight, grid.scale, grid.zero, /*axis=*/0,
                                                -grid.levels, grid.levels);
  };
  return hooks;
}

}  // namespace cytopress
