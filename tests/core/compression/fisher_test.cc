#include "core/compression/fisher.h"

#include <gtest/gtest.h>

#include <string>

#include "core/compression/augmentation.h"
#include "core/compression/batch_loader.h"
#include "tests/core/compression/test_data.h"

namespace cytopress {
namespace {

constexpr uint64_t kSeed = 1;
constexpr char kWeight[] = "layer2.0.conv2.weight";

absl::Status GoOn(double) { return absl::OkStatus(); }

class FisherTest : public testing::Test {
 protected:
  FisherTest() : dataset_(SpotDataset()), network_(SmallNetwork("resnet20")) {
    // Fresh residual branches are switched off: their weights would not matter.
    torch::NoGradGuard no_grad;
    for (const auto& [name, tensor] : network_.tensors()) {
      torch::Tensor gamma = tensor;
      if (gamma.dim() == 1 && name.find("bn2.weight") != std::string::npos) gamma.fill_(1);
    }
  }

  // Of the mean loss over the batch.
  torch::Tensor Gradient(const Batch& batch, const std::string& name) {
    const torch::Tensor logits = network_.Forward(batch.images, TorchNetwork::Mode::kEvaluate);
    const torch::Tensor parameter = network_.tensors().at(name);
    return torch::autograd::grad({at::cross_entropy_loss(logits, batch.labels)}, {parameter})[0];
  }

  const Dataset dataset_;
  TorchNetwork network_;
};

// By hand: the gradients of three batches of eight, the last filled with the first images again.
TEST_F(FisherTest, IsTheMeanSquareOfGradients) {
  const auto fisher = MeasureFisher(network_, dataset_, /*images=*/20, kSeed, GoOn);
  ASSERT_TRUE(fisher.ok()) << fisher.status();
  BatchLoader loader(dataset_, dataset_.train, 8, kSeed, /*max_images=*/20);
  loader.StartEpoch(0);
  torch::Tensor expected = torch::zeros_like(network_.tensors().at(kWeight));
  for (int64_t step = 0; step < loader.steps(); ++step) {
    const Batch batch = loader.TrainBatch(step, Augmentation::None());
    expected = expected + Gradient(batch, kWeight).square() *
                              static_cast<double>(batch.labels.size(0)) /
                              static_cast<double>(loader.steps());
  }
  EXPECT_GT(expected.max().item<double>(), 0);
  EXPECT_TRUE(at::allclose(fisher->at(kWeight), expected, 1e-4, 1e-12));
  EXPECT_EQ(fisher->count("fc.weight"), 0u);
  EXPECT_EQ(fisher->count("conv1.weight"), 1u);
}

// Outputs that are multiplied by zero.
TEST_F(FisherTest, WeightsOfIgnoredOutputsHaveNone) {
  {
    torch::NoGradGuard no_grad;
    torch::Tensor gamma = network_.tensors().at("layer2.0.bn2.weight");
    gamma.narrow(0, 0, 8).zero_();
  }
  const auto fisher = MeasureFisher(network_, dataset_, /*images=*/64, kSeed, GoOn);
  ASSERT_TRUE(fisher.ok()) << fisher.status();
  const torch::Tensor& weight = fisher->at(kWeight);
  EXPECT_EQ(weight.narrow(0, 0, 8).max().item<double>(), 0);
  EXPECT_GT(weight.narrow(0, 8, 24).max().item<double>(), 0);
}

TEST_F(FisherTest, AMovingAverageForgets) {
  const FisherDiagonal fisher = {{kWeight, torch::ones_like(network_.tensors().at(kWeight))}};
  torch::Tensor parameter = network_.tensors().at(kWeight);
  parameter.mutable_grad() = torch::full_like(parameter, 0.5);
  FollowFisher(network_, /*images=*/12, /*decay=*/0.75, fisher);
  // 0.75 * 1 + 0.25 * 12 * 0.5^2
  EXPECT_TRUE(at::allclose(fisher.at(kWeight), torch::full_like(parameter, 1.5)));
}

TEST_F(FisherTest, LeavesTheNetworkAsItWas) {
  const TensorMap before = network_.Export();
  ASSERT_TRUE(MeasureFisher(network_, dataset_, /*images=*/16, kSeed, GoOn).ok());
  const TensorMap after = network_.Export();
  for (const auto& [name, tensor] : before) EXPECT_EQ(tensor.values, after.at(name).values) << name;
  EXPECT_FALSE(network_.tensors().at("conv1.weight").grad().defined());
}

TEST_F(FisherTest, EndsWithTheErrorOfItsProgress) {
  const auto fisher = MeasureFisher(network_, dataset_, /*images=*/64, kSeed, [](double done) {
    return done > 0.4 ? absl::CancelledError("stopped") : absl::OkStatus();
  });
  EXPECT_TRUE(absl::IsCancelled(fisher.status())) << fisher.status();
  EXPECT_FALSE(network_.tensors().at("conv1.weight").grad().defined());
}

}  // namespace
}  // namespace cytopress
