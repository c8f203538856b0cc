#include "core/compression/batch_norm.h"

#include <map>
#include <string>

#include "core/compression/batch_loader.h"

namespace cytopress {
namespace {

constexpr int kBatch = 128;

// Sums over all positions of all images of a batch norm's input, by channel.
struct Moments {
  torch::Tensor sum, squares;
  int64_t count = 0;

  void Add(const torch::Tensor& input) {
    const torch::Tensor values = input.to(torch::kFloat64);
    const torch::Tensor s = values.sum({0, 2, 3}), q = values.square().sum({0, 2, 3});
    sum = count == 0 ? s : sum + s;
    squares = count == 0 ? q : squares + q;
    count += input.size(0) * input.size(2) * input.size(3);
  }
  torch::Tensor Mean() const { return sum / count; }
  torch::Tensor Variance() const { return (squares / count - Mean().square()).clamp_min(0); }
};

}  // namespace

void ReestimateBatchNorm(const TorchNetwork& network, const Dataset& dataset, uint64_t seed,
                         int64_t images) {
  torch::NoGradGuard no_grad;
  BatchLoader loader(dataset, dataset.train, kBatch, seed, images);
  // Shuffled, since a data set in the order of its classes has no typical batch.
  loader.StartEpoch(0);
  TorchNetwork::Hooks hooks;
  for (int64_t step = 0; step < loader.steps(); ++step) {
    // The momentum that makes the running statistics the mean of all batches so far.
    hooks.batch_norm_momentum = 1.0 / static_cast<double>(step + 1);
    network.Forward(loader.TrainBatch(step, Augmentation::None()).images.to(network.device()),
                    TorchNetwork::Mode::kTrain, hooks);
  }
}

void UnfoldBatchNorm(const TorchNetwork& network, const Dataset& dataset, uint64_t seed,
                     int64_t images) {
  torch::NoGradGuard no_grad;
  BatchLoader loader(dataset, dataset.train, kBatch, seed, images);
  loader.StartEpoch(0);
  std::map<std::string, Moments> moments;  // by batch norm
  TorchNetwork::Hooks hooks;
  hooks.before = [&](const Layer& layer, const torch::Tensor& input) {
    if (layer.op != Op::kConv) return;
    moments[layer.batch_norm].Add(at::conv2d(input, network.tensors().at(layer.name + ".weight"),
                                             {}, layer.stride, layer.padding));
  };
  for (int64_t step = 0; step < loader.steps(); ++step) {
    network.Forward(loader.TrainBatch(step, Augmentation::None()).images.to(network.device()),
                    TorchNetwork::Mode::kEvaluate, hooks);
  }
  for (const auto& [norm, measured] : moments) {
    const auto tensor = [&, name = norm](const char* part) -> torch::Tensor {
      return network.tensors().at(name + part);
    };
    // scale * (x - mean) / sqrt(variance + epsilon) + bias, before and after.
    const torch::Tensor slope =
        tensor(".weight") / (tensor(".running_var") + kBatchNormEpsilon).sqrt();
    tensor(".bias").add_(slope * (measured.Mean() - tensor(".running_mean")));
    tensor(".weight").copy_(slope * (measured.Variance() + kBatchNormEpsilon).sqrt());
    tensor(".running_mean").copy_(measured.Mean());
    tensor(".running_var").copy_(measured.Variance());
  }
}

}  // namespace cytopress
