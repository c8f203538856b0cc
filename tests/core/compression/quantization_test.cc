#include "core/compression/quantization.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/compression/pruning.h"
#include "tests/core/compression/test_data.h"

namespace cytopress {
namespace {

TEST(QuantizeWeightTest, IsWithinHalfAStepPerChannel) {
  const Tensor weight = {{2, 3}, {0.5f, -1.27f, 0.004f, 10.0f, -70.0f, 0.0f}};
  for (const auto& [encoding, levels] : {std::pair{Encoding::kInt8, 127}, {Encoding::kInt4, 7}}) {
    const StoredTensor stored = QuantizeWeight(weight, encoding);
    EXPECT_FLOAT_EQ(stored.scales[0], 1.27f / levels);
    EXPECT_FLOAT_EQ(stored.scales[1], 70.0f / levels);
    EXPECT_EQ(stored.integers[1], -levels);
    EXPECT_EQ(stored.integers[5], 0);
    const Tensor back = Dequantize(stored);
    for (int i = 0; i < 6; ++i) {
      EXPECT_LE(std::abs(back.values[i] - weight.values[i]), stored.scales[i / 3] * 0.5001f);
    }
  }
}

TEST(QuantizeWeightTest, AnEmptyChannelStaysEmpty) {
  const StoredTensor stored = QuantizeWeight({{1, 2}, {0, 0}}, Encoding::kInt8);
  EXPECT_GT(stored.scales[0], 0);
  EXPECT_EQ(stored.integers, (std::vector<int8_t>{0, 0}));
}

// Folding must keep the function: signs of the batch norm move into the integers.
TEST(EncodeTensorsTest, FoldedIntegersComputeWhatTheNetworkComputes) {
  torch::NoGradGuard no_grad;
  const TorchNetwork network = SmallNetwork();
  for (const auto& [name, tensor] : network.tensors()) {
    torch::Tensor target = tensor;
    if (name.find("running_var") != std::string::npos) {
      target.uniform_(0.5, 1.5);
    } else if (tensor.dim() == 1) {
      target.uniform_(-1, 1);
    }
  }
  const auto stored = *EncodeTensors(network.network(), network.Export(), v1::WEIGHT_TYPE_INT8);
  EXPECT_EQ(stored.count("bn1.weight"), 0u);
  for (const auto& [name, tensor] : stored) {
    for (float scale : tensor.scales) EXPECT_GT(scale, 0) << name;
  }
  TorchNetwork folded = SmallNetwork("resnet18", 99);
  ASSERT_TRUE(folded.Import(DecodeTensors(stored)).ok());
  const torch::Tensor input = torch::randn({4, 3, 16, 16});
  const torch::Tensor want = network.Forward(input, TorchNetwork::Mode::kEvaluate);
  const torch::Tensor got = folded.Forward(input, TorchNetwork::Mode::kEvaluate);
  EXPECT_LT((want - got).norm().item<float>(), 0.05 * want.norm().item<float>());
}

TEST(EncodeTensorsTest, Int4KeepsTheSensitiveLayersAtInt8AndThePrunedWeightsAtZero) {
  const TorchNetwork network = SmallNetwork();
  const Masks masks = GlobalMagnitudeMasks(network, 0.8);
  ApplyMasks(masks, network);
  const auto stored = *EncodeTensors(network.network(), network.Export(), v1::WEIGHT_TYPE_INT4);
  EXPECT_EQ(stored.at("conv1.weight").encoding, Encoding::kInt8);
  EXPECT_EQ(stored.at("fc.weight").encoding, Encoding::kInt8);
  EXPECT_EQ(stored.at("layer1.0.conv1.weight").encoding, Encoding::kInt4);
  TorchNetwork decoded = SmallNetwork();
  ASSERT_TRUE(decoded.Import(DecodeTensors(stored)).ok());
  EXPECT_TRUE(CheckMasks(masks, decoded).ok());
}

TEST(CalibrateActivationsTest, CoversTheWantedShareOfEveryLayer) {
  torch::NoGradGuard no_grad;
  const Dataset dataset = SpotDataset();
  const TorchNetwork network = SmallNetwork();
  const auto full = *CalibrateActivations(network, dataset, 64, 100, 1);
  const auto most = *CalibrateActivations(network, dataset, 64, 90, 1);
  EXPECT_EQ(full.size(), network.network().layers.size());
  EXPECT_FLOAT_EQ(full.at("input"), 1.0f);
  for (const auto& [layer, range] : most) {
    EXPECT_GT(range, 0) << layer;
    EXPECT_LE(range, full.at(layer)) << layer;
  }
  EXPECT_LT(most.at("conv1"), full.at("conv1"));
}

}  // namespace
}  // namespace cytopress
