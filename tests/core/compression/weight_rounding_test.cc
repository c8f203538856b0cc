#include "core/compression/weight_rounding.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/compression/pruning.h"
#include "tests/core/compression/test_data.h"

namespace cytopress {
namespace {

v1::QuantizeOptions Options(v1::WeightType weights, v1::RangeMethod range) {
  v1::QuantizeOptions options;
  options.set_weights(weights);
  options.set_weight_range(range);
  options.set_weight_percentile(99);
  return options;
}

TEST(RoundWeightTest, IsWithinHalfAStepPerChannel) {
  const Tensor weight = {{2, 3}, {0.5f, -1.27f, 0.004f, 10.0f, -70.0f, 0.0f}};
  for (const IntegerFormat format : {IntegerFormat{Encoding::kInt8, 127}, {Encoding::kInt4, 7}}) {
    const auto scales = ChannelScales(weight, format.levels, Options({}, v1::RANGE_METHOD_MIN_MAX));
    const StoredTensor stored = RoundWeight(weight, format, scales);
    EXPECT_FLOAT_EQ(stored.scales[0], 1.27f / format.levels);
    EXPECT_FLOAT_EQ(stored.scales[1], 70.0f / format.levels);
    EXPECT_EQ(stored.integers[1], -format.levels);
    EXPECT_EQ(stored.integers[5], 0);
    const Tensor back = Dequantize(stored);
    for (int i = 0; i < 6; ++i) {
      EXPECT_LE(std::abs(back.values[i] - weight.values[i]), stored.scales[i / 3] * 0.5001f);
    }
  }
}

TEST(RoundWeightTest, AnEmptyChannelStaysEmpty) {
  const Tensor weight = {{1, 2}, {0, 0}};
  for (const auto range :
       {v1::RANGE_METHOD_MIN_MAX, v1::RANGE_METHOD_PERCENTILE, v1::RANGE_METHOD_MSE}) {
    const auto scales = ChannelScales(weight, 127, Options({}, range));
    EXPECT_GT(scales[0], 0);
    EXPECT_EQ(RoundWeight(weight, {}, scales).integers, (std::vector<int8_t>{0, 0}));
  }
}

// One channel of a bell curve and an outlier.
Tensor BellWithOutlier() {
  Tensor weight = {{1, 1001}, {}};
  const torch::Tensor bell = torch::randn({1000}, at::detail::createCPUGenerator(1));
  weight.values.assign(bell.data_ptr<float>(), bell.data_ptr<float>() + 1000);
  weight.values.push_back(20);
  return weight;
}

double SquaredError(const Tensor& weight, const StoredTensor& stored) {
  const Tensor back = Dequantize(stored);
  double sum = 0;
  for (size_t i = 0; i < weight.values.size(); ++i) {
    sum += std::pow(back.values[i] - weight.values[i], 2);
  }
  return sum;
}

TEST(ChannelScalesTest, MseClipsWhereTheErrorIsSmallest) {
  const Tensor weight = BellWithOutlier();
  const auto scales = ChannelScales(weight, 7, Options({}, v1::RANGE_METHOD_MSE));
  const double error = SquaredError(weight, RoundWeight(weight, {Encoding::kInt4, 7}, scales));
  for (float factor : {0.9f, 0.95f, 1.05f, 1.1f, 20 / (7 * scales[0])}) {
    const auto other = RoundWeight(weight, {Encoding::kInt4, 7}, {scales[0] * factor});
    EXPECT_LE(error, SquaredError(weight, other) * 1.02) << factor;
  }
  EXPECT_LT(scales[0] * 7, 20) << "the outlier is clipped";
}

TEST(ChannelScalesTest, PercentileLeavesOutTheOutlierAndTheZeros) {
  Tensor weight = BellWithOutlier();
  const auto scales = ChannelScales(weight, 7, Options({}, v1::RANGE_METHOD_PERCENTILE));
  EXPECT_GT(scales[0] * 7, 2);
  EXPECT_LT(scales[0] * 7, 4);
  weight.values.resize(4001, 0.0f);  // pruned
  weight.shape[1] = 4001;
  EXPECT_EQ(ChannelScales(weight, 7, Options({}, v1::RANGE_METHOD_PERCENTILE)), scales);
}

TEST(FormatTest, TheStemAndTheClassifierStayAtInt8) {
  const TorchNetwork network = SmallNetwork();
  v1::QuantizeOptions options = Options(v1::WEIGHT_TYPE_INT4, v1::RANGE_METHOD_MIN_MAX);
  options.set_reduced_range(true);
  for (const Layer& layer : network.network().layers) {
    if (layer.weight_count() == 0) continue;
    const IntegerFormat format = FormatOf(network.network(), layer, options);
    const bool sensitive = layer.name == "conv1" || layer.name == "fc";
    EXPECT_EQ(format.encoding, sensitive ? Encoding::kInt8 : Encoding::kInt4) << layer.name;
    EXPECT_EQ(format.levels, sensitive ? 64 : 7) << layer.name;
  }
}

TEST(FormatTest, ALayerMayHaveATypeOfItsOwn) {
  const TorchNetwork network = SmallNetwork();
  v1::QuantizeOptions options = Options(v1::WEIGHT_TYPE_INT4, v1::RANGE_METHOD_MIN_MAX);
  (*options.mutable_layer_weights())["layer1.0.conv1"] = v1::WEIGHT_TYPE_INT8;
  for (const Layer& layer : network.network().layers) {
    if (layer.name.rfind("layer1.0.conv", 0) != 0) continue;
    EXPECT_EQ(FormatOf(network.network(), layer, options).encoding,
              layer.name == "layer1.0.conv1" ? Encoding::kInt8 : Encoding::kInt4);
  }
}

// What training sees is what will be stored.
TEST(RoundingHooksTest, ComputeWithTheRoundedWeightsAndPassGradients) {
  const TorchNetwork network = SmallNetwork();
  const v1::QuantizeOptions options = Options(v1::WEIGHT_TYPE_INT4, v1::RANGE_METHOD_MSE);
  const WeightScales scales = FindWeightScales(network, options);
  const torch::Tensor input = torch::randn({4, 3, 16, 16});
  const torch::Tensor hooked = network.Forward(input, TorchNetwork::Mode::kEvaluate,
                                               RoundingHooks(network, options, scales));
  hooked.sum().backward();
  // The residual branches start at zero, so only what all images pass has a gradient yet.
  EXPECT_GT(network.tensors().at("conv1.weight").grad().abs().sum().item<float>(), 0);
  AssignIntegers(RoundToNearest(network, options, scales), network);
  const torch::Tensor stored = network.Forward(input, TorchNetwork::Mode::kEvaluate);
  EXPECT_LT((hooked - stored).abs().max().item<float>(), 1e-3);
}

}  // namespace
}  // namespace cytopress
