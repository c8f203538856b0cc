#include "core/compression/sensitivity.h"

#include <gtest/gtest.h>

#include "tests/core/compression/test_data.h"

namespace cytopress {
namespace {

const LayerSensitivity& Find(const std::vector<LayerSensitivity>& layers, const std::string& name) {
  for (const LayerSensitivity& layer : layers) {
    if (layer.layer == name) return layer;
  }
  ADD_FAILURE() << "no layer " << name;
  return layers.front();
}

class SensitivityTest : public testing::Test {
 protected:
  SensitivityTest() : dataset_(SpotDataset()), network_(SmallNetwork()) {
    options_.set_weights(v1::WEIGHT_TYPE_INT4);
    options_.set_weight_range(v1::RANGE_METHOD_MIN_MAX);
    // Fresh residual branches are switched off: their layers would not matter.
    torch::NoGradGuard no_grad;
    for (const auto& [name, tensor] : network_.tensors()) {
      if (tensor.dim() == 1 && name.find("bn2.weight") != std::string::npos) {
        torch::Tensor gamma = tensor;
        gamma.fill_(1);
      }
    }
  }

  std::vector<LayerSensitivity> Measure() {
    return *MeasureSensitivity(network_, dataset_, options_, /*images=*/64, /*seed=*/1,
                               [](double) { return absl::OkStatus(); });
  }

  const Dataset dataset_;
  TorchNetwork network_;
  v1::QuantizeOptions options_;
};

TEST_F(SensitivityTest, LessLeftIsSmallerAndCostsMore) {
  const std::vector<LayerSensitivity> layers = Measure();
  ASSERT_EQ(layers.size(), 19) << "all convolutions but the stem";
  for (const LayerSensitivity& layer : layers) {
    for (size_t i = 1; i < layer.choices.size(); ++i) {
      const LayerChoice &before = layer.choices[i - 1], &now = layer.choices[i];
      if (now.weights != before.weights) {
        EXPECT_LT(now.bytes, layer.choices.front().bytes) << "INT4 is smaller than INT8";
        EXPECT_GT(now.loss, layer.choices.front().loss) << "and rounds more";
        continue;
      }
      EXPECT_LT(now.bytes, before.bytes) << layer.layer;
      EXPECT_GE(now.loss, before.loss * 0.999) << layer.layer;
    }
  }
}

TEST_F(SensitivityTest, ALayerWhoseOutputIsIgnoredCostsNothing) {
  {
    torch::NoGradGuard no_grad;
    torch::Tensor gamma = network_.tensors().at("layer3.0.bn2.weight");
    gamma.zero_();
  }
  const std::vector<LayerSensitivity> layers = Measure();
  EXPECT_EQ(Find(layers, "layer3.0.conv2").choices.back().loss, 0);
  EXPECT_GT(Find(layers, "layer3.1.conv2").choices.back().loss, 0);
}

TEST_F(SensitivityTest, LeavesTheNetworkAsItWas) {
  const TensorMap before = network_.Export();
  Measure();
  const TensorMap after = network_.Export();
  for (const auto& [name, tensor] : before) EXPECT_EQ(tensor.values, after.at(name).values) << name;
  EXPECT_FALSE(network_.tensors().at("conv1.weight").grad().defined());
}

TEST_F(SensitivityTest, EndsWithTheErrorOfItsProgress) {
  // In a batch, and in a layer.
  for (const double end : {0.2, 0.8}) {
    double last = 0;
    const auto layers = MeasureSensitivity(
        network_, dataset_, options_, /*images=*/64, /*seed=*/1, [&](double done) {
          EXPECT_GE(done, last);
          EXPECT_LE(last, end);
          last = done;
          return done > end ? absl::CancelledError("stopped") : absl::OkStatus();
        });
    EXPECT_TRUE(absl::IsCancelled(layers.status())) << layers.status();
    EXPECT_FALSE(network_.tensors().at("conv1.weight").grad().defined());
  }
}

}  // namespace
}  // namespace cytopress
