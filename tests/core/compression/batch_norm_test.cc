#include "core/compression/batch_norm.h"

#include <gtest/gtest.h>

#include "core/compression/batch_loader.h"
#include "tests/core/compression/test_data.h"

namespace cytopress {
namespace {

struct Statistics {
  torch::Tensor mean, variance;  // by channel; of what there is, not of what it was drawn from
};

// Of the first convolution's outputs for all training images at once.
Statistics StatisticsOfTheStem(const TorchNetwork& network, const Dataset& dataset) {
  const BatchLoader loader(dataset, dataset.train, static_cast<int>(dataset.train.size()), 1);
  const torch::Tensor outputs =
      at::conv2d(loader.EvaluationBatch(0).images, network.tensors().at("conv1.weight"), {}, 2, 1)
          .to(torch::kFloat64);
  const torch::Tensor mean = outputs.mean({0, 2, 3});
  return {mean, outputs.square().mean({0, 2, 3}) - mean.square()};
}

double LargestMagnitude(const torch::Tensor& tensor) { return tensor.abs().max().item<double>(); }

// The first batch norm's statistics follow from the data and the first convolution alone.
TEST(ReestimateBatchNormTest, MeasuresWhatFlowsThroughTheNetworkNow) {
  torch::NoGradGuard no_grad;
  Dataset dataset = SpotDataset();
  dataset.train = DrawSpots(128, 5);  // one batch
  const TorchNetwork network = SmallNetwork();
  torch::Tensor mean = network.tensors().at("bn1.running_mean");
  torch::Tensor variance = network.tensors().at("bn1.running_var");
  mean.fill_(123);
  variance.fill_(456);
  ReestimateBatchNorm(network, dataset, 1);

  torch::Tensor pixels =
      torch::from_blob(dataset.train.pixels.data(), {128, 16, 16, 3}, torch::kUInt8)
          .to(torch::kFloat32)
          .permute({0, 3, 1, 2});
  const torch::Tensor images =
      (pixels / 255 - dataset.preprocessing.mean[0]) / dataset.preprocessing.stddev[0];
  const torch::Tensor outputs = at::conv2d(images, network.tensors().at("conv1.weight"), {}, 2, 1);
  EXPECT_LT((mean - outputs.mean({0, 2, 3})).abs().max().item<float>(), 1e-3);
  const torch::Tensor expected = outputs.var({0, 2, 3});
  EXPECT_LT(((variance - expected) / expected).abs().max().item<float>(), 1e-3);
}

TEST(ReestimateBatchNormTest, AveragesOverAllBatchesAndLeavesTheWeightsAlone) {
  torch::NoGradGuard no_grad;
  const Dataset dataset = SpotDataset();  // two batches
  const TorchNetwork network = SmallNetwork(), untouched = SmallNetwork();
  ReestimateBatchNorm(network, dataset, 1);
  const torch::Tensor first = network.tensors().at("layer2.0.bn1.running_mean").clone();
  ReestimateBatchNorm(network, dataset, 1);
  // The start does not matter, only the data.
  EXPECT_TRUE(first.equal(network.tensors().at("layer2.0.bn1.running_mean")));
  for (const auto& [name, tensor] : network.Parameters()) {
    EXPECT_TRUE(tensor.equal(untouched.tensors().at(name))) << name;
  }
  const Statistics expected = StatisticsOfTheStem(network, dataset);
  EXPECT_LT(LargestMagnitude(network.tensors().at("bn1.running_mean") - expected.mean), 1e-4);
  // Each batch's own, around its own mean.
  EXPECT_LT(LargestMagnitude(network.tensors().at("bn1.running_var") / expected.variance - 1),
            0.01);
}

// As Import leaves a folded model: identities, biases of any size, activations of any size.
TEST(UnfoldBatchNormTest, AnswersAsBeforeAndInTrainingToo) {
  torch::NoGradGuard no_grad;
  at::manual_seed(1);
  Dataset dataset = SpotDataset();
  dataset.train = DrawSpots(128, 5);  // one batch
  const TorchNetwork network = SmallNetwork();
  for (const auto& [name, tensor] : network.tensors()) {
    torch::Tensor values = tensor;
    if (name.find("bn") == std::string::npos) continue;
    if (name.find(".bias") != std::string::npos) values.copy_(torch::randn_like(values));
    if (name.find(".weight") != std::string::npos) values.fill_(1);
  }
  BatchLoader loader(dataset, dataset.train, 128, 1);
  const torch::Tensor images = loader.EvaluationBatch(0).images;
  const torch::Tensor before = network.Forward(images, TorchNetwork::Mode::kEvaluate);
  const torch::Tensor broken = network.Forward(images, TorchNetwork::Mode::kTrain, [] {
    TorchNetwork::Hooks keep;
    keep.batch_norm_momentum = 0;
    return keep;
  }());
  UnfoldBatchNorm(network, dataset, 1);
  const double size = before.abs().max().item<double>();
  EXPECT_GT((broken - before).abs().max().item<double>(), 0.1 * size);
  EXPECT_LT(
      (network.Forward(images, TorchNetwork::Mode::kEvaluate) - before).abs().max().item<double>(),
      1e-3 * size);
  EXPECT_LT(
      (network.Forward(images, TorchNetwork::Mode::kTrain) - before).abs().max().item<double>(),
      1e-2 * size);
}

TEST(UnfoldBatchNormTest, MeasuresAllBatches) {
  torch::NoGradGuard no_grad;
  const Dataset dataset = SpotDataset();  // two batches
  const TorchNetwork network = SmallNetwork("resnet20");
  UnfoldBatchNorm(network, dataset, 1);
  const Statistics expected = StatisticsOfTheStem(network, dataset);
  EXPECT_LT(LargestMagnitude(network.tensors().at("bn1.running_mean") - expected.mean), 1e-4);
  EXPECT_LT(LargestMagnitude(network.tensors().at("bn1.running_var") / expected.variance - 1),
            1e-3);
}

}  // namespace
}  // namespace cytopress
