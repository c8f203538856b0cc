#include "core/compression/temperature.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace cytopress {
namespace {

using ::testing::ElementsAre;

// Labels drawn from the probabilities that `logits` stand for.
std::vector<int> Draw(const torch::Tensor& logits) {
  const torch::Tensor drawn = logits.softmax(1).multinomial(1).to(torch::kInt32).flatten();
  const int* labels = drawn.data_ptr<int>();
  return std::vector<int>(labels, labels + drawn.numel());
}

TEST(TemperatureTest, IsFoundAgain) {
  torch::manual_seed(3);
  const torch::Tensor honest = torch::randn({20000, 5}) * 2;
  const std::vector<int> labels = Draw(honest);
  for (double temperature : {0.5, 1.0, 4.0}) {
    EXPECT_NEAR(*FitTemperature(honest * temperature, labels) / temperature, 1, 0.03);
  }
}

TEST(TemperatureTest, IsWhereTheLikelihoodIsLargest) {
  torch::manual_seed(4);
  const torch::Tensor logits = torch::randn({500, 3});
  std::vector<int> labels = Draw(logits * 3);
  const torch::Tensor truth =
      torch::tensor(std::vector<int64_t>(labels.begin(), labels.end())).unsqueeze(1);
  const auto loss = [&](double temperature) {
    return -(logits / temperature).log_softmax(1).gather(1, truth).mean().item<double>();
  };
  const double found = *FitTemperature(logits, labels);
  EXPECT_LT(loss(found), loss(found * 1.1));
  EXPECT_LT(loss(found), loss(found / 1.1));
}

TEST(TemperatureTest, IsBoundedAndNoneWhereAllIsRight) {
  const torch::Tensor logits = torch::tensor({{2.0f, 0.0f}, {0.0f, 1.0f}});
  EXPECT_EQ(FitTemperature(logits, {0, 1}), std::nullopt);
  EXPECT_NEAR(*FitTemperature(logits, {1, 0}), 20, 1e-6);
}

// Right 99 times of 100, which only 1/4595 of the temperature would say.
TEST(TemperatureTest, IsBoundedBelow) {
  const torch::Tensor logits = torch::tensor({0.001f, 0.0f}).repeat({100, 1});
  std::vector<int> labels(100, 0);
  labels[7] = 1;
  EXPECT_NEAR(*FitTemperature(logits, labels), 0.05, 1e-6);
}

TEST(TemperatureTest, DividesScalesBiasAndRange) {
  Artifact artifact;
  StoredTensor& weight = artifact.tensors["fc.weight"];
  weight.encoding = Encoding::kInt8;
  weight.shape = {2, 2};
  weight.integers = {1, -2, 3, 4};
  weight.scales = {0.5f, 2.0f};
  StoredTensor& bias = artifact.tensors["fc.bias"];
  bias.shape = {2};
  bias.floats = {1.0f, -3.0f};
  artifact.activation_ranges = {{"fc", 8.0f}, {"conv1", 3.0f}};
  DivideLogits(0.5, &artifact);
  EXPECT_THAT(weight.scales, ElementsAre(1.0f, 4.0f));
  EXPECT_THAT(weight.integers, ElementsAre(1, -2, 3, 4));
  EXPECT_THAT(bias.floats, ElementsAre(2.0f, -6.0f));
  EXPECT_EQ(artifact.activation_ranges.at("fc"), 16.0f);
  EXPECT_EQ(artifact.activation_ranges.at("conv1"), 3.0f);
}

TEST(TemperatureTest, DividesWeightsThatAreNoIntegers) {
  for (const Encoding encoding : {Encoding::kFloat16, Encoding::kFloat32}) {
    Artifact artifact;
    StoredTensor& weight = artifact.tensors["fc.weight"];
    weight.encoding = encoding;
    weight.shape = {2, 1};
    weight.floats = {3.0f, -1.5f};
    StoredTensor& bias = artifact.tensors["fc.bias"];
    bias.shape = {2};
    bias.floats = {1.0f, -3.0f};
    DivideLogits(0.5, &artifact);
    EXPECT_THAT(weight.floats, ElementsAre(6.0f, -3.0f));
    EXPECT_THAT(bias.floats, ElementsAre(2.0f, -6.0f));
  }
}

}  // namespace
}  // namespace cytopress
