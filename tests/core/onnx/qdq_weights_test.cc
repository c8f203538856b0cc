#include "core/onnx/qdq_weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace cytopress {
namespace {

using ::testing::ElementsAre;

constexpr float kInputStep = 0.5f;
constexpr float kOutputStep = 0.25f;

StoredTensor Tensor(std::vector<int8_t> integers, std::vector<float> scales) {
  StoredTensor tensor;
  tensor.encoding = Encoding::kInt8;
  tensor.shape = {static_cast<int64_t>(scales.size()),
                  static_cast<int64_t>(integers.size() / scales.size()), 1, 1};
  tensor.integers = std::move(integers);
  tensor.scales = std::move(scales);
  return tensor;
}

TEST(IntegerWeightsTest, KeepsWhatIsStored) {
  const QdqWeights weights = MakeQdqWeights(Tensor({1, -127, 5, 127}, {0.5f, 0.125f}),
                                            {{1, 1}, {3, -0.7f}}, kInputStep, kOutputStep);
  EXPECT_THAT(weights.weights, ElementsAre(1, -127, 5, 127));
  EXPECT_THAT(weights.scales, ElementsAre(0.5f, 0.125f));
  EXPECT_THAT(weights.bias_scales, ElementsAre(0.25f, 0.0625f));
  EXPECT_THAT(weights.bias, ElementsAre(12, -11));
}

TEST(IntegerWeightsTest, FoldsANegativeBatchNorm) {
  const QdqWeights weights =
      MakeQdqWeights(Tensor({1, -127}, {0.5f}), {{-2}, {1}}, kInputStep, kOutputStep);
  EXPECT_THAT(weights.weights, ElementsAre(-1, 127));
  EXPECT_THAT(weights.scales, ElementsAre(1.0f));
}

TEST(IntegerWeightsTest, AChannelWithoutWeightsKeepsItsBias) {
  for (const float scale : {0.0f, 1e-30f}) {
    for (const float bias : {0.0f, 3.0f, -1e4f}) {
      const QdqWeights weights =
          MakeQdqWeights(Tensor({100, -3}, {scale}), {{1}, {bias}}, kInputStep, kOutputStep);
      EXPECT_THAT(weights.weights, ElementsAre(0, 0)) << scale << " " << bias;
      EXPECT_TRUE(std::isnormal(weights.scales[0])) << scale << " " << bias;
      EXPECT_NEAR(weights.bias[0] * weights.bias_scales[0], bias, 1e-6f * std::abs(bias));
    }
  }
}

// 64 * 1e-9 is what the weight is worth, 2^30 * scale * input_step what the bias needs.
TEST(IntegerWeightsTest, RoundsTinyWeightsToAScaleThatHoldsTheBias) {
  const QdqWeights weights =
      MakeQdqWeights(Tensor({64, -100}, {1e-9f}), {{1}, {16}}, kInputStep, kOutputStep);
  EXPECT_NEAR(weights.bias[0] * weights.bias_scales[0], 16, 1e-5);
  EXPECT_NEAR(weights.weights[0] * weights.scales[0], 64e-9, weights.scales[0] / 2);
  EXPECT_NEAR(weights.weights[1] * weights.scales[0], -100e-9, weights.scales[0] / 2);
}

}  // namespace
}  // namespace cytopress
