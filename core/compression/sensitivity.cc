#include "core/compression/sensitivity.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <map>
#include <numeric>

#include "core/artifact/artifact.h"
#include "core/base/status_macros.h"
#include "core/compression/batch_loader.h"
#include "core/compression/weight_rounding.h"

namespace cytopress {
namespace {

constexpr double kSparsities[] = {0,    0.3, 0.5,  0.6,  0.7,  0.75, 0.8,
                                  0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99};
constexpr int kFisherBatch = 8;
// Of the work, roughly.
constexpr double kFisherShare = 0.5;
constexpr int kIntegers = 256;
// In a file, a little less than in those of deploy/zoo.
constexpr double kBytesOfBias = 1.75;      // 1.8 of 2
constexpr double kBytesOfInt8 = 0.45;      // of a classifier's weights: 0.48 to 0.66
constexpr double kBytesOfTableLines = 80;  // of a layer's weights and biases

// By weight name, contiguous on the CPU.
using Fisher = std::map<std::string, torch::Tensor>;

// The square of a batch's mean gradient, times its size, is a sample of the Fisher information.
absl::StatusOr<Fisher> MeasureFisher(TorchNetwork& network, const Dataset& dataset, int64_t images,
                                     uint64_t seed,
                                     const std::function<absl::Status(double)>& progress) {
  BatchLoader loader(dataset, dataset.train, kFisherBatch, seed, images);
  Fisher sums;
  const int64_t steps = loader.evaluation_steps();
  absl::Status status;
  for (int64_t step = 0; step < steps; ++step) {
    status = progress(static_cast<double>(step) / static_cast<double>(steps));
    if (!status.ok()) break;
    const Batch batch = loader.EvaluationBatch(step);
    const torch::Tensor logits =
        network.Forward(batch.images.to(network.device()), TorchNetwork::Mode::kEvaluate);
    for (const auto& [name, parameter] : network.Parameters()) parameter.mutable_grad().reset();
    at::cross_entropy_loss(logits, batch.labels.to(network.device())).backward();
    torch::NoGradGuard no_grad;
    for (const auto& [name, parameter] : network.Parameters()) {
      if (parameter.dim() != 4) continue;
      torch::Tensor& sum = sums[name];
      if (!sum.defined()) sum = torch::zeros_like(parameter);
      sum.addcmul_(parameter.grad(), parameter.grad(),
                   static_cast<double>(batch.labels.size(0)) / static_cast<double>(steps));
    }
  }
  for (const auto& [name, parameter] : network.Parameters()) parameter.mutable_grad().reset();
  CYTOPRESS_RETURN_IF_ERROR(status);
  for (auto& [name, sum] : sums) sum = sum.to(torch::kCPU).contiguous();
  return sums;
}

double EntropyBytes(const std::array<int64_t, kIntegers>& counts, int64_t total) {
  double bits = 0;
  for (const int64_t count : counts) {
    if (count == 0) continue;
    bits -= static_cast<double>(count) *
            std::log2(static_cast<double>(count) / static_cast<double>(total));
  }
  return bits / 8;
}

// One layer's weights, from the smallest magnitude on.
class LayerCosts {
 public:
  LayerCosts(const Tensor& weight, const float* fisher) : weight_(weight), fisher_(fisher) {
    order_.resize(weight.values.size());
    std::iota(order_.begin(), order_.end(), int64_t{0});
    std::sort(order_.begin(), order_.end(), [&](int64_t a, int64_t b) {
      return std::abs(weight.values[a]) < std::abs(weight.values[b]);
    });
  }

  LayerChoice Cost(double sparsity, const StoredTensor& rounded, v1::WeightType type) const {
    const auto pruned =
        static_cast<size_t>(std::llround(sparsity * static_cast<double>(order_.size())));
    const size_t row = weight_.values.size() / rounded.scales.size();
    std::array<int64_t, kIntegers> counts{};
    double loss = 0;
    for (size_t rank = 0; rank < order_.size(); ++rank) {
      const int64_t i = order_[rank];
      const int integer = rank < pruned ? 0 : rounded.integers[i];
      ++counts[integer + kIntegers / 2];
      const float change =
          weight_.values[i] - static_cast<float>(integer) * rounded.scales[i / row];
      loss += 0.5 * static_cast<double>(fisher_[i]) * static_cast<double>(change * change);
    }
    const auto total = static_cast<int64_t>(order_.size());
    const double scales = static_cast<double>(rounded.scales.size() * sizeof(float));
    return {sparsity, type, EntropyBytes(counts, total) + scales, loss};
  }

 private:
  const Tensor& weight_;
  const float* fisher_;
  std::vector<int64_t> order_;
};

}  // namespace

absl::StatusOr<std::vector<LayerSensitivity>> MeasureSensitivity(
    TorchNetwork& network, const Dataset& dataset, const v1::QuantizeOptions& options,
    int64_t images, uint64_t seed, const std::function<absl::Status(double)>& progress) {
  CYTOPRESS_ASSIGN_OR_RETURN(const Fisher fisher,
                             MeasureFisher(network, dataset, images, seed, [&](double done) {
                               return progress(kFisherShare * done);
                             }));
  const TensorMap weights = network.Export();
  std::vector<LayerSensitivity> layers;
  for (const Layer& layer : network.network().layers) {
    if (!IsPrunable(layer)) continue;
    const double done = static_cast<double>(layers.size()) / static_cast<double>(fisher.size());
    CYTOPRESS_RETURN_IF_ERROR(progress(kFisherShare + (1 - kFisherShare) * done));
    const std::string name = layer.name + ".weight";
    const Tensor& weight = weights.at(name);
    const LayerCosts costs(weight, fisher.at(name).data_ptr<float>());
    LayerSensitivity sensitivity{layer.name, {}};
    for (const auto type : {v1::WEIGHT_TYPE_INT8, v1::WEIGHT_TYPE_INT4}) {
      v1::QuantizeOptions typed = options;
      typed.clear_layer_weights();
      typed.set_weights(type);
      const IntegerFormat format = FormatOf(network.network(), layer, typed);
      const StoredTensor rounded = RoundWeight(weight, format, FindGrid(weight, format, typed));
      for (const double sparsity : kSparsities) {
        sensitivity.choices.push_back(costs.Cost(sparsity, rounded, type));
      }
    }
    layers.push_back(std::move(sensitivity));
  }
  return layers;
}

double FixedBytes(const Network& network) {
  double bytes = 0;
  for (const Layer& layer : network.layers) {
    if (layer.weight_count() == 0) continue;
    bytes += kBytesOfBias * layer.out_channels + kBytesOfTableLines;
    if (IsPrunable(layer)) continue;
    bytes += kBytesOfInt8 * static_cast<double>(layer.weight_count()) +
             static_cast<double>(sizeof(float)) * layer.out_channels;
  }
  return bytes;
}

double LeastBytes(const Network& network, const v1::PruneOptions& options) {
  const int64_t block = options.pattern() == v1::PRUNE_PATTERN_BLOCK4 ? 4 : 1;
  double bytes = FixedBytes(network);
  for (const Layer& layer : network.layers) {
    if (!IsPrunable(layer)) continue;
    const int64_t blocks = layer.weight_count() / block;
    const auto left =
        static_cast<int64_t>((1 - *std::rbegin(kSparsities)) * static_cast<double>(blocks));
    bytes += EntropyBytes({blocks - left, left}, blocks);
  }
  return bytes;
}

}  // namespace cytopress
