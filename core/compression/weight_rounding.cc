#include "core/compression/weight_rounding.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <numeric>

#include "absl/strings/str_cat.h"

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

// The step that the range method wants for these values; 0 when they are all but zero.
float StepOf(const float* values, int64_t count, int levels, const v1::QuantizeOptions& options) {
  const float largest = LargestMagnitude(values, count);
  if (!(largest > 0)) return 0;
  float step = largest / static_cast<float>(levels);
  if (options.weight_range() == v1::RANGE_METHOD_PERCENTILE) {
    step = MagnitudePercentile(values, count, options.weight_percentile()) /
           static_cast<float>(levels);
  } else if (options.weight_range() == v1::RANGE_METHOD_MSE) {
    step = ScaleOfLeastError(values, count, largest, levels);
  }
  return std::isnormal(step) ? step : 0;
}

// The multiplier of a group that wants `step`, given its channel's scale.
uint8_t MultiplierOf(const float* values, int64_t count, float step, float scale, int levels,
                     v1::RangeMethod range) {
  const float wanted = step / scale;
  // Covering the largest magnitude must not clip it.
  int best = static_cast<int>(range == v1::RANGE_METHOD_PERCENTILE ? std::nearbyint(wanted)
                                                                   : std::ceil(wanted - 1e-3f));
  best = std::clamp(best, 1, kMostGroupMultiplier);
  if (range != v1::RANGE_METHOD_MSE) return static_cast<uint8_t>(best);
  double best_error = std::numeric_limits<double>::max();
  for (int multiplier = 1; multiplier <= kMostGroupMultiplier; ++multiplier) {
    const double error =
        SquaredError(values, count, scale * static_cast<float>(multiplier), levels);
    if (error < best_error) {
      best_error = error;
      best = multiplier;
    }
  }
  return static_cast<uint8_t>(best);
}

// The scale and the multipliers of one channel.
void AddGroups(const float* values, int64_t count, const IntegerFormat& format,
               const v1::QuantizeOptions& options, WeightGrid& grid) {
  std::vector<float> steps;
  for (int64_t begin = 0; begin < count; begin += format.group_size) {
    const int64_t size = std::min(format.group_size, count - begin);
    steps.push_back(StepOf(values + begin, size, format.levels, options));
  }
  const float coarsest = *std::max_element(steps.begin(), steps.end());
  const float scale = coarsest / kMostGroupMultiplier;
  grid.scales.push_back(std::isnormal(scale) ? scale : 1);
  for (size_t group = 0; group < steps.size(); ++group) {
    const int64_t begin = static_cast<int64_t>(group) * format.group_size;
    const int64_t size = std::min(format.group_size, count - begin);
    grid.multipliers.push_back(MultiplierOf(values + begin, size, steps[group], grid.scales.back(),
                                            format.levels, options.weight_range()));
  }
}

// Calls `visit(layer, name, weight, format)` for every weight.
template <typename Visit>
void ForEachWeight(const TorchNetwork& network, const v1::QuantizeOptions& options,
                   const Visit& visit) {
  for (const Layer& layer : network.network().layers) {
    if (layer.weight_count() == 0) continue;
    const std::string name = layer.name + ".weight";
    visit(layer, name, network.tensors().at(name), FormatOf(network.network(), layer, options));
  }
}

// What is to be rounded to the format's integers.
Tensor ToRound(const torch::Tensor& weight, const IntegerFormat& format) {
  return format.asymmetric ? OnAsymmetricLevels(ToPlain(weight)) : ToPlain(weight);
}

// What a layer's batch norm multiplies each channel by, without its sign, where FindGrid asks for
// it; empty: nothing.
std::vector<float> FoldOf(const TorchNetwork& network, const Layer& layer,
                          const v1::QuantizeOptions& options) {
  if (layer.batch_norm.empty() || !options.per_tensor_scales()) return {};
  const auto& tensors = network.tensors();
  const torch::Tensor factors =
      tensors.at(layer.batch_norm + ".weight").detach().abs() /
      (tensors.at(layer.batch_norm + ".running_var") + kBatchNormEpsilon).sqrt();
  return ToPlain(factors).values;
}

}  // namespace

IntegerFormat FormatOf(const Network& network, const Layer& layer,
                       const v1::QuantizeOptions& options) {
  const auto first = std::find_if(network.layers.begin(), network.layers.end(),
                                  [](const Layer& l) { return l.weight_count() > 0; });
  const bool sensitive = layer.op == Op::kLinear || layer.name == first->name;
  const auto usual = sensitive ? v1::WEIGHT_TYPE_INT8 : options.weights();
  const auto own = options.layer_weights().find(layer.name);
  const auto type = own == options.layer_weights().end() ? usual : own->second;
  if (type == v1::WEIGHT_TYPE_INT4) {
    if (options.weight_range() == v1::RANGE_METHOD_ASYMMETRIC)
      return {Encoding::kInt8, 127, 0, true};
    return {Encoding::kInt4, 7, options.group_size()};
  }
  return {Encoding::kInt8, options.reduced_range() ? 64 : 127};
}

absl::Status CheckLayers(const Network& network, const v1::QuantizeOptions& options) {
  for (const auto& [name, type] : options.layer_weights()) {
    const auto layer = std::find_if(
        network.layers.begin(), network.layers.end(),
        [name = name](const Layer& l) { return l.name == name && l.weight_count() > 0; });
    if (layer != network.layers.end()) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "recipe.quantize.layer_weights[", name,
        "]: the network has no such layer with weights; names are like layer1.0.conv1"));
  }
  return absl::OkStatus();
}

Tensor OnAsymmetricLevels(const Tensor& weight) {
  constexpr float kSteps = 15;
  Tensor moved = weight;
  const size_t row = weight.values.size() / weight.shape[0];
  for (auto channel = moved.values.begin(); channel != moved.values.end(); channel += row) {
    const auto [least, largest] = std::minmax_element(channel, channel + row);
    const float low = *least, step = (*largest - low) / kSteps;
    if (!(step > 0)) continue;
    std::for_each(channel, channel + row,
                  [&](float& value) { value = low + std::nearbyint((value - low) / step) * step; });
  }
  return moved;
}

WeightGrid FindGrid(const Tensor& weight, const IntegerFormat& format,
                    const v1::QuantizeOptions& options, const std::vector<float>& fold) {
  const int64_t channels = weight.shape[0];
  const int64_t row = static_cast<int64_t>(weight.values.size()) / channels;
  WeightGrid grid;
  grid.group_size = format.group_size;
  if (options.per_tensor_scales()) {
    std::vector<float> folded = weight.values;
    for (size_t i = 0; i < folded.size() && !fold.empty(); ++i) folded[i] *= fold[i / row];
    const float step = StepOf(folded.data(), channels * row, format.levels, options);
    for (int64_t channel = 0; channel < channels; ++channel) {
      const float scale = fold.empty() ? step : step / fold[channel];
      grid.scales.push_back(std::isnormal(scale) ? scale : 1);
    }
    return grid;
  }
  if (format.group_size > 0) {
    for (int64_t channel = 0; channel < channels; ++channel) {
      AddGroups(&weight.values[channel * row], row, format, options, grid);
    }
    return grid;
  }
  grid.scales.resize(channels);
  at::parallel_for(0, channels, /*grain_size=*/1, [&](int64_t first, int64_t last) {
    for (int64_t channel = first; channel < last; ++channel) {
      const float step = StepOf(&weight.values[channel * row], row, format.levels, options);
      grid.scales[channel] = step > 0 ? step : 1;  // all zero: any scale will do
    }
  });
  return grid;
}

torch::Tensor StepsOf(const WeightGrid& grid, const std::vector<int64_t>& shape) {
  const torch::Tensor scales = torch::tensor(grid.scales).unsqueeze(1);
  if (grid.group_size == 0) return scales;
  const int64_t groups = GroupsOfChannel(shape, grid.group_size);
  const torch::Tensor multipliers =
      torch::tensor(std::vector<int>(grid.multipliers.begin(), grid.multipliers.end()))
          .to(torch::kFloat32)
          .view({shape[0], groups});
  const int64_t row =
      std::accumulate(shape.begin() + 1, shape.end(), int64_t{1}, std::multiplies<int64_t>());
  return (scales * multipliers).repeat_interleave(grid.group_size, 1).narrow(1, 0, row);
}

WeightGrid FindLayerGrid(const TorchNetwork& network, const Layer& layer,
                         const v1::QuantizeOptions& options) {
  const IntegerFormat format = FormatOf(network.network(), layer, options);
  return FindGrid(ToRound(network.tensors().at(layer.name + ".weight"), format), format, options,
                  FoldOf(network, layer, options));
}

WeightGrids FindWeightGrids(const TorchNetwork& network, const v1::QuantizeOptions& options) {
  WeightGrids grids;
  for (const Layer& layer : network.network().layers) {
    if (layer.weight_count() == 0) continue;
    grids[layer.name + ".weight"] = FindLayerGrid(network, layer, options);
  }
  return grids;
}

StoredTensor RoundWeight(const Tensor& weight, const IntegerFormat& format,
                         const WeightGrid& grid) {
  StoredTensor stored;
  stored.encoding = format.encoding;
  stored.shape = weight.shape;
  stored.scales = grid.scales;
  stored.group_size = grid.group_size;
  stored.multipliers = grid.multipliers;
  stored.integers.resize(weight.values.size());
  const size_t row = weight.values.size() / grid.scales.size();
  const size_t group_size = grid.group_size > 0 ? static_cast<size_t>(grid.group_size) : row;
  const size_t groups = (row + group_size - 1) / group_size;
  const auto bound = static_cast<float>(format.levels);
  for (size_t i = 0; i < weight.values.size(); ++i) {
    const size_t channel = i / row, group = channel * groups + i % row / group_size;
    const int multiplier = grid.group_size > 0 ? grid.multipliers[group] : 1;
    const float step = grid.scales[channel] * static_cast<float>(multiplier);
    const float rounded = std::clamp(std::nearbyint(weight.values[i] / step), -bound, bound);
    stored.integers[i] = static_cast<int8_t>(static_cast<int>(rounded) * multiplier);
  }
  return stored;
}

IntegerWeights RoundToNearest(const TorchNetwork& network, const v1::QuantizeOptions& options,
                              const WeightGrids& grids) {
  IntegerWeights integers;
  ForEachWeight(network, options,
                [&](const Layer&, const std::string& name, const torch::Tensor& weight,
                    const IntegerFormat& format) {
                  integers[name] = RoundWeight(ToRound(weight, format), format, grids.at(name));
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

TorchNetwork::Hooks FakeQuantizationHooks(const TorchNetwork& network,
                                          const v1::QuantizeOptions& options,
                                          const WeightGrids& grids) {
  struct Rounding {
    torch::Tensor steps;
    int levels = 0;
  };
  auto roundings = std::make_shared<std::map<std::string, Rounding>>();
  ForEachWeight(network, options,
                [&](const Layer&, const std::string& name, const torch::Tensor& weight,
                    const IntegerFormat& format) {
                  torch::Tensor steps = StepsOf(grids.at(name), weight.sizes().vec());
                  std::vector<int64_t> shape = weight.sizes().vec();
                  if (steps.size(1) == 1) std::fill(shape.begin() + 1, shape.end(), 1);
                  (*roundings)[name] = {steps.view(shape).to(weight.device()), format.levels};
                });
  TorchNetwork::Hooks hooks;
  hooks.weight = [roundings](const std::string& name, const torch::Tensor& weight) {
    const Rounding& rounding = roundings->at(name);
    const torch::Tensor bound = rounding.steps * rounding.levels;
    // Passes the whole gradient at the bound, which minimum and maximum would halve.
    const torch::Tensor clipped = at::clamp(weight, -bound, bound);
    torch::NoGradGuard no_grad;
    const torch::Tensor error = (clipped / rounding.steps).round_().mul_(rounding.steps) - clipped;
    at::AutoGradMode with_gradients(true);
    return clipped + error;
  };
  return hooks;
}

}  // namespace cytopress
