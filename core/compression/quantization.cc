#include "core/compression/quantization.h"

#include <algorithm>
#include <cmath>

#include "core/base/status_macros.h"
#include "core/compression/batch_loader.h"

namespace cytopress {
namespace {

constexpr int kHistogramBins = 4096;
constexpr int kCalibrationBatch = 64;

StoredTensor StoreFloats(const Tensor& tensor, Encoding encoding) {
  StoredTensor stored;
  stored.encoding = encoding;
  stored.shape = tensor.shape;
  stored.floats = tensor.values;
  return stored;
}

// Multiplies the scales by the batch norm's, moving signs into the integers. A channel that its
// batch norm silences keeps no weights.
void FoldScales(const std::vector<float>& batch_norm_scale, StoredTensor& weight) {
  const int64_t row = weight.count() / weight.shape[0];
  for (int64_t channel = 0; channel < weight.shape[0]; ++channel) {
    float& scale = weight.scales[channel];
    scale *= batch_norm_scale[channel];
    int8_t* integers = &weight.integers[channel * row];
    if (scale < 0) {
      scale = -scale;
      std::transform(integers, integers + row, integers, [](int8_t q) { return -q; });
    }
    if (!std::isnormal(scale)) {
      scale = 1;
      std::fill_n(integers, row, 0);
    }
  }
}

absl::Status EncodeFolded(const Network& network, const TensorMap& tensors, Encoding encoding,
                          std::map<std::string, StoredTensor>& stored) {
  bool first = true;
  for (const Layer& layer : network.layers) {
    if (layer.weight_count() == 0) continue;
    const bool sensitive = first || layer.op == Op::kLinear;
    first = false;
    StoredTensor weight =
        QuantizeWeight(tensors.at(layer.name + ".weight"), sensitive ? Encoding::kInt8 : encoding);
    CYTOPRESS_ASSIGN_OR_RETURN(const ChannelAffine affine, FoldBatchNorm(layer, tensors));
    FoldScales(affine.scale, weight);
    stored[layer.name + ".weight"] = std::move(weight);
    stored[layer.name + ".bias"] =
        StoreFloats({{layer.out_channels}, affine.bias}, Encoding::kFloat16);
  }
  return absl::OkStatus();
}

// What the observer of a forward pass sees of one layer.
struct Histogram {
  float largest = 0;
  torch::Tensor bins;  // counts of |output| over [0, largest]
};

float Quantile(const Histogram& histogram, double percentile) {
  if (!(histogram.largest > 0)) return 1;
  if (percentile >= 100) return histogram.largest;
  const float* counts = histogram.bins.data_ptr<float>();
  double total = 0;
  for (int i = 0; i < kHistogramBins; ++i) total += counts[i];
  double below = 0;
  for (int i = 0; i < kHistogramBins; ++i) {
    below += counts[i];
    if (below >= total * percentile / 100) {
      return histogram.largest * static_cast<float>(i + 1) / kHistogramBins;
    }
  }
  return histogram.largest;
}

float LargestInput(const Preprocessing& preprocessing) {
  float largest = 0;
  for (size_t c = 0; c < preprocessing.mean.size(); ++c) {
    const float mean = preprocessing.mean[c], stddev = preprocessing.stddev[c];
    largest = std::max({largest, std::abs(mean / stddev), std::abs((1 - mean) / stddev)});
  }
  return largest;
}

void ForwardAll(const TorchNetwork& network, const BatchLoader& loader,
                const TorchNetwork::LayerObserver& observer) {
  for (int64_t step = 0; step < loader.evaluation_steps(); ++step) {
    network.Forward(loader.EvaluationBatch(step).images.to(network.device()),
                    TorchNetwork::Mode::kEvaluate, observer);
  }
}

}  // namespace

StoredTensor QuantizeWeight(const Tensor& weight, Encoding encoding) {
  const float levels = encoding == Encoding::kInt4 ? 7 : 127;
  StoredTensor stored;
  stored.encoding = encoding;
  stored.shape = weight.shape;
  stored.integers.resize(weight.values.size());
  const int64_t channels = weight.shape[0];
  const int64_t row = static_cast<int64_t>(weight.values.size()) / channels;
  stored.scales.resize(channels);
  for (int64_t channel = 0; channel < channels; ++channel) {
    const float* values = &weight.values[channel * row];
    float largest = 0;
    for (int64_t i = 0; i < row; ++i) largest = std::max(largest, std::abs(values[i]));
    const float scale = largest > 0 ? largest / levels : 1;
    stored.scales[channel] = scale;
    for (int64_t i = 0; i < row; ++i) {
      stored.integers[channel * row + i] =
          static_cast<int8_t>(std::clamp(std::nearbyint(values[i] / scale), -levels, levels));
    }
  }
  return stored;
}

absl::StatusOr<std::map<std::string, StoredTensor>> EncodeTensors(const Network& network,
                                                                  const TensorMap& tensors,
                                                                  v1::WeightType weights) {
  std::map<std::string, StoredTensor> stored;
  switch (weights) {
    case v1::WEIGHT_TYPE_INT8:
      CYTOPRESS_RETURN_IF_ERROR(EncodeFolded(network, tensors, Encoding::kInt8, stored));
      return stored;
    case v1::WEIGHT_TYPE_INT4:
      CYTOPRESS_RETURN_IF_ERROR(EncodeFolded(network, tensors, Encoding::kInt4, stored));
      return stored;
    default:
      for (const auto& [name, tensor] : tensors) {
        const bool half = tensor.shape.size() > 1 && weights != v1::WEIGHT_TYPE_FP32;
        stored[name] = StoreFloats(tensor, half ? Encoding::kFloat16 : Encoding::kFloat32);
      }
      return stored;
  }
}

TensorMap DecodeTensors(const std::map<std::string, StoredTensor>& tensors) {
  TensorMap decoded;
  for (const auto& [name, tensor] : tensors) decoded[name] = Dequantize(tensor);
  return decoded;
}

absl::StatusOr<std::map<std::string, float>> CalibrateActivations(const TorchNetwork& network,
                                                                  const Dataset& dataset,
                                                                  int images, double percentile,
                                                                  uint64_t seed) {
  torch::NoGradGuard no_grad;
  const BatchLoader loader(dataset, dataset.train, kCalibrationBatch, seed, images);
  std::map<std::string, Histogram> histograms;
  ForwardAll(network, loader, [&](const Layer& layer, const torch::Tensor& output) {
    Histogram& histogram = histograms[layer.name];
    histogram.largest = std::max(histogram.largest, output.abs().max().item<float>());
  });
  ForwardAll(network, loader, [&](const Layer& layer, const torch::Tensor& output) {
    Histogram& histogram = histograms[layer.name];
    if (!(histogram.largest > 0)) return;
    const torch::Tensor bins =
        output.abs().to(torch::kCPU).histc(kHistogramBins, 0, histogram.largest);
    histogram.bins = histogram.bins.defined() ? histogram.bins + bins : bins;
  });
  std::map<std::string, float> ranges;
  for (const auto& [name, histogram] : histograms) ranges[name] = Quantile(histogram, percentile);
  ranges["input"] = LargestInput(dataset.preprocessing);
  return ranges;
}

}  // namespace cytopress
