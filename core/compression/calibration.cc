#include "core/compression/calibration.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "core/artifact/activation_grid.h"
#include "core/compression/batch_loader.h"

namespace cytopress {
namespace {

constexpr int kHistogramBins = 4096;
constexpr int64_t kMostCounted = 1 << 24;  // to which FP32 counts one by one
constexpr int kCalibrationBatch = 64;
// Clippings that MSE compares, as shares of the largest magnitude.
constexpr int kClippings = 64;

// What the observer of a forward pass sees of one layer.
struct Histogram {
  float largest = 0;
  torch::Tensor bins;  // by CountMagnitudes
  bool relu = false;

  std::vector<double> Counts() const {
    const torch::Tensor on_cpu = bins.to(torch::kCPU);
    const double* counts = on_cpu.data_ptr<double>();
    return std::vector<double>(counts, counts + kHistogramBins);
  }
  float UpperEdge(int bin) const { return largest * static_cast<float>(bin + 1) / kHistogramBins; }
};

float Quantile(const Histogram& histogram, double percentile) {
  const std::vector<double> counts = histogram.Counts();
  const double total = std::accumulate(counts.begin(), counts.end(), 0.0);
  double below = 0;
  for (int i = 0; i < kHistogramBins; ++i) {
    below += counts[i];
    if (below >= total * percentile / 100) return histogram.UpperEdge(i);
  }
  return histogram.largest;
}

float RangeOf(const Histogram& histogram, const v1::QuantizeOptions& options) {
  if (!(histogram.largest > 0)) return 1;
  switch (options.activation_range()) {
    case v1::RANGE_METHOD_MIN_MAX:
      return histogram.largest;
    case v1::RANGE_METHOD_MSE:
      return RangeOfLeastError(histogram.Counts(), histogram.largest,
                               ActivationSteps(histogram.relu));
    default:
      return options.activation_percentile() >= 100
                 ? histogram.largest
                 : Quantile(histogram, options.activation_percentile());
  }
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
                const TorchNetwork::Hooks& hooks) {
  for (int64_t step = 0; step < loader.steps(); ++step) {
    network.Forward(loader.EvaluationBatch(step).images.to(network.device()),
                    TorchNetwork::Mode::kEvaluate, hooks);
  }
}

}  // namespace

torch::Tensor CountMagnitudes(const torch::Tensor& outputs, float largest) {
  const int64_t image_values = outputs.numel() / outputs.size(0);
  const int64_t images = std::max<int64_t>(kMostCounted / image_values, 1);
  torch::Tensor counts = torch::zeros({kHistogramBins}, outputs.options().dtype(torch::kFloat64));
  for (const torch::Tensor& part : outputs.split(images)) {
    counts += part.abs().histc(kHistogramBins, 0, largest);
  }
  return counts;
}

float RangeOfLeastError(const std::vector<double>& counts, float largest, int steps) {
  const double width = static_cast<double>(largest) / static_cast<double>(counts.size());
  float best_range = largest;
  double best_error = -1;
  for (int clipping = kClippings; clipping > 0; --clipping) {
    const double range = largest * clipping / double{kClippings};
    const double step = range / steps;
    double error = 0;
    for (size_t i = 1; i < counts.size(); ++i) {
      const double value = (static_cast<double>(i) + 0.5) * width;
      const double clipped = std::max(value - range, 0.0);
      const double rounded = value < step / 2 ? value * value : step * step / 12;
      error += counts[i] * (clipped > 0 ? clipped * clipped : rounded);
    }
    if (best_error < 0 || error < best_error) {
      best_error = error;
      best_range = static_cast<float>(range);
    }
  }
  return best_range;
}

std::map<std::string, float> CalibrateActivations(const TorchNetwork& network,
                                                  const Dataset& dataset,
                                                  const v1::QuantizeOptions& options,
                                                  uint64_t seed) {
  torch::NoGradGuard no_grad;
  const BatchLoader loader(dataset, dataset.train, kCalibrationBatch, seed,
                           options.calibration_images());
  std::map<std::string, Histogram> histograms;
  TorchNetwork::Hooks hooks;
  hooks.after = [&](const Layer& layer, const torch::Tensor& output) {
    Histogram& histogram = histograms[layer.name];
    histogram.relu = layer.relu;
    histogram.largest = std::max(histogram.largest, output.abs().max().item<float>());
  };
  ForwardAll(network, loader, hooks);
  hooks.after = [&](const Layer& layer, const torch::Tensor& output) {
    Histogram& histogram = histograms[layer.name];
    if (!(histogram.largest > 0)) return;
    const torch::Tensor bins = CountMagnitudes(output, histogram.largest);
    histogram.bins = histogram.bins.defined() ? histogram.bins + bins : bins;
  };
  ForwardAll(network, loader, hooks);
  std::map<std::string, float> ranges;
  for (const auto& [name, histogram] : histograms) ranges[name] = RangeOf(histogram, options);
  ranges["input"] = LargestInput(dataset.preprocessing);
  return ranges;
}

}  // namespace cytopress
