#include "core/compression/weight_rounding.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "core/compression/encoding.h"
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

constexpr IntegerFormat kInt4 = {Encoding::kInt4, 7};

WeightGrid OneScale(float scale) {
  WeightGrid grid;
  grid.scales = {scale};
  return grid;
}

TEST(RoundWeightTest, IsWithinHalfAStepPerChannel) {
  const Tensor weight = {{2, 3}, {0.5f, -1.27f, 0.004f, 10.0f, -70.0f, 0.0f}};
  for (const IntegerFormat format : {IntegerFormat{Encoding::kInt8, 127}, {Encoding::kInt4, 7}}) {
    const WeightGrid grid = FindGrid(weight, format, Options({}, v1::RANGE_METHOD_MIN_MAX));
    const StoredTensor stored = RoundWeight(weight, format, grid);
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
    const WeightGrid grid = FindGrid(weight, {}, Options({}, range));
    EXPECT_GT(grid.scales[0], 0);
    EXPECT_EQ(RoundWeight(weight, {}, grid).integers, (std::vector<int8_t>{0, 0}));
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

TEST(FindGridTest, MseClipsWhereTheErrorIsSmallest) {
  const Tensor weight = BellWithOutlier();
  const float scale = FindGrid(weight, kInt4, Options({}, v1::RANGE_METHOD_MSE)).scales[0];
  const double error = SquaredError(weight, RoundWeight(weight, kInt4, OneScale(scale)));
  for (float factor : {0.9f, 0.95f, 1.05f, 1.1f, 20 / (7 * scale)}) {
    const auto other = RoundWeight(weight, kInt4, OneScale(scale * factor));
    EXPECT_LE(error, SquaredError(weight, other) * 1.02) << factor;
  }
  EXPECT_LT(scale * 7, 20) << "the outlier is clipped";
}

TEST(FindGridTest, PercentileLeavesOutTheOutlierAndTheZeros) {
  Tensor weight = BellWithOutlier();
  const auto scales_of = [](const Tensor& values) {
    return FindGrid(values, kInt4, Options({}, v1::RANGE_METHOD_PERCENTILE)).scales;
  };
  const std::vector<float> scales = scales_of(weight);
  EXPECT_GT(scales[0] * 7, 2);
  EXPECT_LT(scales[0] * 7, 4);
  weight.values.resize(4001, 0.0f);  // pruned
  weight.shape[1] = 4001;
  EXPECT_EQ(scales_of(weight), scales);
}

TEST(OnAsymmetricLevelsTest, MovesWhatWasPrunedByHalfAStep) {
  const Tensor weight = {{2, 4}, {-1, 0, 0, 1, 0, 0, 0, 0}};
  const Tensor moved = OnAsymmetricLevels(weight);
  EXPECT_EQ(moved.values[0], -1);
  EXPECT_FLOAT_EQ(moved.values[3], 1);
  EXPECT_NEAR(std::abs(moved.values[1]), 1.0 / 15, 1e-6);
  EXPECT_EQ(moved.values[1], moved.values[2]) << "all with the same sign";
  for (int i = 4; i < 8; ++i) EXPECT_EQ(moved.values[i], 0) << "a channel of zeros has one level";
}

TEST(OnAsymmetricLevelsTest, AreWhatTheRangeMethodStores) {
  const TorchNetwork network = SmallNetwork();
  torch::NoGradGuard no_grad;
  torch::Tensor weight = network.tensors().at("layer1.0.conv1.weight");
  weight.mul_(weight.abs() > weight.abs().median());
  const v1::QuantizeOptions options = Options(v1::WEIGHT_TYPE_INT4, v1::RANGE_METHOD_ASYMMETRIC);
  const IntegerWeights integers =
      RoundToNearest(network, options, FindWeightGrids(network, options));
  const StoredTensor& stored = integers.at("layer1.0.conv1.weight");
  EXPECT_EQ(stored.encoding, Encoding::kInt8);
  const size_t row = stored.integers.size() / stored.scales.size();
  for (size_t channel = 0; channel < stored.scales.size(); ++channel) {
    const auto begin = stored.integers.begin() + static_cast<int64_t>(channel * row);
    EXPECT_LE(std::set<int>(begin, begin + static_cast<int64_t>(row)).size(), 16u);
  }
  const auto zeros = std::count(stored.integers.begin(), stored.integers.end(), 0);
  EXPECT_LT(zeros, static_cast<int64_t>(stored.integers.size()) / 8) << "half were pruned";
}

// Three groups of 8 whose sizes differ by more than one scale of four bits can serve.
Tensor LoudAndQuiet() {
  Tensor weight = {{2, 20}, {}};
  for (int i = 0; i < 40; ++i) {
    const float size = i % 20 < 8 ? 1.0f : i % 20 < 16 ? 0.1f : 0.4f;
    weight.values.push_back(size * std::sin(static_cast<float>(i) + 1));
  }
  return weight;
}

TEST(FindGridTest, GroupsGiveQuietWeightsStepsOfTheirOwn) {
  const Tensor weight = LoudAndQuiet();
  const IntegerFormat grouped = {Encoding::kInt4, 7, 8};
  for (const auto range :
       {v1::RANGE_METHOD_MIN_MAX, v1::RANGE_METHOD_PERCENTILE, v1::RANGE_METHOD_MSE}) {
    const WeightGrid grid = FindGrid(weight, grouped, Options({}, range));
    ASSERT_EQ(grid.multipliers.size(), 6u);
    EXPECT_EQ(grid.multipliers[0], kMostGroupMultiplier);
    EXPECT_LE(grid.multipliers[1], 3);
    const StoredTensor stored = RoundWeight(weight, grouped, grid);
    const StoredTensor plain =
        RoundWeight(weight, kInt4, FindGrid(weight, kInt4, Options({}, range)));
    EXPECT_LT(SquaredError(weight, stored), 0.7 * SquaredError(weight, plain));
    // A value is what the steps say, and its integer fits four bits and the multiplier.
    const torch::Tensor steps = StepsOf(grid, weight.shape).contiguous();
    const Tensor back = Dequantize(stored);
    for (int i = 0; i < 40; ++i) {
      const float step = steps.data_ptr<float>()[i];
      const float integer = back.values[i] / step;
      EXPECT_NEAR(integer, std::nearbyint(integer), 1e-4);
      EXPECT_LE(std::abs(integer), 7.001f);
      if (range == v1::RANGE_METHOD_MIN_MAX) {
        EXPECT_LE(std::abs(back.values[i] - weight.values[i]), 0.505f * step);
      }
    }
  }
}

TEST(FindGridTest, OneScaleATensorRoundsAQuietChannelToNothing) {
  const Tensor weight = {{2, 2}, {7, -3, 0.4f, -0.2f}};
  v1::QuantizeOptions options = Options(v1::WEIGHT_TYPE_INT4, v1::RANGE_METHOD_MIN_MAX);
  EXPECT_EQ(RoundWeight(weight, kInt4, FindGrid(weight, kInt4, options)).integers,
            (std::vector<int8_t>{7, -3, 7, -4}));
  options.set_per_tensor_scales(true);
  const WeightGrid grid = FindGrid(weight, kInt4, options);
  EXPECT_EQ(grid.scales, (std::vector<float>{1, 1}));
  EXPECT_EQ(RoundWeight(weight, kInt4, grid).integers, (std::vector<int8_t>{7, -3, 0, 0}));
  // What counts is what the batch norm makes of the channels.
  const WeightGrid folded = FindGrid(weight, kInt4, options, {0.5f, 40.0f});
  EXPECT_FLOAT_EQ(folded.scales[0], 16.0f / 7 / 0.5f);
  EXPECT_FLOAT_EQ(folded.scales[1], 16.0f / 7 / 40);
}

TEST(FindGridTest, OneScaleATensorOnceTheBatchNormIsFoldedIn) {
  const TorchNetwork network = SmallNetwork();
  torch::NoGradGuard no_grad;
  network.tensors().at("bn1.weight").uniform_(-2, 2);
  network.tensors().at("bn1.running_var").uniform_(0.1, 3);
  v1::QuantizeOptions options = Options(v1::WEIGHT_TYPE_INT8, v1::RANGE_METHOD_MIN_MAX);
  options.set_per_tensor_scales(true);
  const WeightGrids grids = FindWeightGrids(network, options);
  const auto stored =
      EncodeIntegers(network.network(), network.Export(), RoundToNearest(network, options, grids));
  ASSERT_TRUE(stored.ok()) << stored.status();
  const std::vector<float>& scales = stored->at("conv1.weight").scales;
  for (const float scale : scales) EXPECT_NEAR(std::abs(scale / scales[0]), 1, 1e-3);
}

TEST(FindGridTest, GroupsOfNothingStayEmpty) {
  const Tensor weight = {{1, 20}, std::vector<float>(20, 0.0f)};
  const IntegerFormat grouped = {Encoding::kInt4, 7, 8};
  const StoredTensor stored =
      RoundWeight(weight, grouped, FindGrid(weight, grouped, Options({}, v1::RANGE_METHOD_MSE)));
  EXPECT_EQ(stored.integers, std::vector<int8_t>(20, 0));
  EXPECT_GT(stored.scales[0], 0);
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

TEST(FormatTest, TheStemAndTheClassifierMayBeInt4WhereTheyAreNamed) {
  const TorchNetwork network = SmallNetwork();
  v1::QuantizeOptions options = Options(v1::WEIGHT_TYPE_INT4, v1::RANGE_METHOD_MIN_MAX);
  options.set_group_size(64);
  for (const std::string layer : {"conv1", "fc"}) {
    (*options.mutable_layer_weights())[layer] = v1::WEIGHT_TYPE_INT4;
  }
  for (const Layer& layer : network.network().layers) {
    if (layer.weight_count() == 0) continue;
    const IntegerFormat format = FormatOf(network.network(), layer, options);
    EXPECT_EQ(format.encoding, Encoding::kInt4) << layer.name;
    EXPECT_EQ(format.group_size, 64) << layer.name;
  }
}

// What training sees is what will be stored.
class FakeQuantizationHooksTest : public testing::TestWithParam<int> {};

TEST_P(FakeQuantizationHooksTest, ComputeWithTheRoundedWeightsAndPassGradients) {
  const TorchNetwork network = SmallNetwork();
  v1::QuantizeOptions options = Options(v1::WEIGHT_TYPE_INT4, v1::RANGE_METHOD_MSE);
  options.set_group_size(GetParam());
  const WeightGrids grids = FindWeightGrids(network, options);
  const torch::Tensor input = torch::randn({4, 3, 16, 16});
  const torch::Tensor hooked = network.Forward(input, TorchNetwork::Mode::kEvaluate,
                                               FakeQuantizationHooks(network, options, grids));
  hooked.sum().backward();
  // The residual branches start at zero, so only what all images pass has a gradient yet.
  EXPECT_GT(network.tensors().at("conv1.weight").grad().abs().sum().item<float>(), 0);
  AssignIntegers(RoundToNearest(network, options, grids), network);
  const torch::Tensor stored = network.Forward(input, TorchNetwork::Mode::kEvaluate);
  EXPECT_LT((hooked - stored).abs().max().item<float>(), 1e-3);
}

INSTANTIATE_TEST_SUITE_P(GroupSizes, FakeQuantizationHooksTest, testing::Values(0, 32));

TEST(FakeQuantizationGradientTest, OnlyWhatLiesBeyondTheBoundGetsNone) {
  const TorchNetwork network = SmallNetwork();
  const v1::QuantizeOptions options = Options(v1::WEIGHT_TYPE_INT4, v1::RANGE_METHOD_MIN_MAX);
  WeightGrids grids = FindWeightGrids(network, options);
  const std::string name = "layer1.0.conv1.weight";
  std::fill(grids.at(name).scales.begin(), grids.at(name).scales.end(), 0.5f);
  torch::Tensor weight = torch::zeros(network.tensors().at(name).sizes());
  const float values[] = {3.5f, -3.5f, 3.25f, 3.75f, -4.0f};
  for (int i = 0; i < 5; ++i) weight.view({-1})[i] = values[i];
  weight.set_requires_grad(true);
  FakeQuantizationHooks(network, options, grids).weight(name, weight).sum().backward();
  const torch::Tensor gradient = weight.grad().flatten();
  const float wanted[] = {1, 1, 1, 0, 0};
  for (int i = 0; i < 5; ++i) EXPECT_EQ(gradient[i].item<float>(), wanted[i]) << values[i];
}

}  // namespace
}  // namespace cytopress
