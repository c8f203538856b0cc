#include "core/compression/encoding.h"

#include <gtest/gtest.h>

#include "core/artifact/tensor_codec.h"
#include "core/compression/pruning.h"
#include "tests/core/compression/test_data.h"

namespace cytopress {
namespace {

std::map<std::string, StoredTensor> Encode(const TorchNetwork& network, v1::WeightType weights) {
  v1::QuantizeOptions options;
  options.set_weights(weights);
  const IntegerWeights integers =
      RoundToNearest(network, options, FindWeightGrids(network, options));
  return *EncodeIntegers(network.network(), network.Export(), integers);
}

// A masked weight that was negative is -0, which would take a bit to tell from 0.
TEST(EncodeFloatsTest, PrunedWeightsAreZeroWithoutASign) {
  const TorchNetwork network = SmallNetwork();
  v1::PruneOptions options;
  options.set_sparsity(0.9);
  ApplyMasks(MagnitudeMasks(network, options, 0.9), network);
  for (auto weights : {v1::WEIGHT_TYPE_FP16, v1::WEIGHT_TYPE_FP32}) {
    const auto stored = EncodeFloats(network.Export(), weights);
    const StoredTensor& weight = stored.at("layer4.1.conv2.weight");
    const TensorLayout layout = ChooseLayout(weight);
    EXPECT_TRUE(layout.sparse);
    EXPECT_EQ(layout.nonzeros,
              network.tensors().at("layer4.1.conv2.weight").count_nonzero().item<int64_t>());
  }
}

TEST(MeasureBytesTest, PruningSavesOnDiskAndNotBeforeZstd) {
  const TorchNetwork network = SmallNetwork();
  const auto dense = MeasureBytes(EncodeFloats(network.Export(), v1::WEIGHT_TYPE_FP16));
  ASSERT_TRUE(dense.ok()) << dense.status();
  ApplyMasks(MagnitudeMasks(network, {}, 0.9), network);
  const auto pruned = MeasureBytes(EncodeFloats(network.Export(), v1::WEIGHT_TYPE_FP16));
  ASSERT_TRUE(pruned.ok()) << pruned.status();
  EXPECT_NEAR(static_cast<double>(dense->packed), static_cast<double>(network.dense_bytes()) / 2,
              0.01 * network.dense_bytes());
  EXPECT_EQ(pruned->packed, dense->packed);
  EXPECT_GT(dense->disk, 0.8 * dense->packed);
  EXPECT_LT(pruned->disk, 0.2 * dense->disk);
}

// Folding must keep the function: signs of the batch norm move into the integers.
TEST(EncodeIntegersTest, FoldedIntegersComputeWhatTheNetworkComputes) {
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
  const auto stored = Encode(network, v1::WEIGHT_TYPE_INT8);
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

TEST(EncodeIntegersTest, Int4KeepsTheSensitiveLayersAtInt8AndThePrunedWeightsAtZero) {
  const TorchNetwork network = SmallNetwork();
  const Masks masks = MagnitudeMasks(network, {}, 0.8);
  ApplyMasks(masks, network);
  const auto stored = Encode(network, v1::WEIGHT_TYPE_INT4);
  EXPECT_EQ(stored.at("conv1.weight").encoding, Encoding::kInt8);
  EXPECT_EQ(stored.at("fc.weight").encoding, Encoding::kInt8);
  EXPECT_EQ(stored.at("layer1.0.conv1.weight").encoding, Encoding::kInt4);
  TorchNetwork decoded = SmallNetwork();
  ASSERT_TRUE(decoded.Import(DecodeTensors(stored)).ok());
  EXPECT_TRUE(CheckMasks(masks, decoded).ok());
}

}  // namespace
}  // namespace cytopress
