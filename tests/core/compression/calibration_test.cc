#include "core/compression/calibration.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <random>

#include "core/compression/batch_loader.h"
#include "tests/core/compression/test_data.h"

namespace cytopress {
namespace {

std::map<std::string, float> Calibrate(v1::RangeMethod method, double percentile = 100,
                                       const Dataset& dataset = SpotDataset(), int images = 64) {
  v1::QuantizeOptions options;
  options.set_calibration_images(images);
  options.set_activation_range(method);
  options.set_activation_percentile(percentile);
  return CalibrateActivations(SmallNetwork(), dataset, options, 1);
}

// Of the outputs of all layers for the images that Calibrate looks at, in one batch.
std::map<std::string, torch::Tensor> Magnitudes(bool with_relu = true,
                                                const Dataset& dataset = SpotDataset(),
                                                int images = 64) {
  const TorchNetwork network = SmallNetwork();
  torch::NoGradGuard no_grad;
  const BatchLoader loader(dataset, dataset.train, images, /*seed=*/1, /*max_images=*/images);
  std::map<std::string, torch::Tensor> outputs;
  TorchNetwork::Hooks hooks;
  hooks.after = [&](const Layer& layer, const torch::Tensor& output) {
    const bool wanted = with_relu || (layer.op == Op::kConv && !layer.relu);
    if (wanted) outputs[layer.name] = output.abs();
  };
  network.Forward(loader.EvaluationBatch(0).images, TorchNetwork::Mode::kEvaluate, hooks);
  return outputs;
}

TEST(CalibrateActivationsTest, CoversTheWantedShareOfEveryLayer) {
  const auto full = Calibrate(v1::RANGE_METHOD_MIN_MAX);
  const auto most = Calibrate(v1::RANGE_METHOD_PERCENTILE, 90);
  EXPECT_EQ(full, Calibrate(v1::RANGE_METHOD_PERCENTILE, 100));
  EXPECT_EQ(full.size(), SmallNetwork().network().layers.size());
  EXPECT_FLOAT_EQ(full.at("input"), 1.0f);
  for (const auto& [layer, range] : most) {
    EXPECT_GT(range, 0) << layer;
    EXPECT_LE(range, full.at(layer)) << layer;
  }
  EXPECT_LT(most.at("conv1"), full.at("conv1"));
  // Whatever is not mostly zero has the share itself.
  int exact = 0;
  for (const auto& [layer, output] : Magnitudes()) {
    if (layer == "input") continue;  // its range follows from the preprocessing
    const auto share = output.le(most.at(layer)).to(torch::kFloat32).mean().item<double>();
    EXPECT_GT(share, 0.899) << layer;
    if (output.eq(0).to(torch::kFloat32).mean().item<double>() > 0.85) continue;
    EXPECT_LT(share, 0.91) << layer;
    ++exact;
  }
  EXPECT_GT(exact, 0);
}

// Images of the mean's gray, which give next to nothing, are all of the first batch and of the
// last: a range of either alone would be far too small.
TEST(CalibrateActivationsTest, AllBatchesCount) {
  Dataset dataset = SpotDataset();
  dataset.train = DrawSpots(192, 1);  // three batches
  const auto batch = static_cast<std::ptrdiff_t>(dataset.train.pixels.size() / 3);
  std::fill_n(dataset.train.pixels.begin(), batch, 127);
  std::fill_n(dataset.train.pixels.end() - batch, batch, 127);
  const auto full = Calibrate(v1::RANGE_METHOD_MIN_MAX, 100, dataset, 192);
  const auto most = Calibrate(v1::RANGE_METHOD_PERCENTILE, 90, dataset, 192);
  for (const auto& [layer, output] : Magnitudes(/*with_relu=*/true, dataset, 192)) {
    if (layer == "input") continue;  // its range follows from the preprocessing
    const auto largest = output.max().item<float>();
    EXPECT_NEAR(full.at(layer), largest, 1e-4 * largest) << layer;
    const auto share = output.le(most.at(layer)).to(torch::kFloat32).mean().item<double>();
    EXPECT_GE(share, 0.899) << layer;
  }
}

// From the darkest or the brightest pixel of some channel.
TEST(CalibrateActivationsTest, TheInputsRangeIsThatOfTheChannelThatReachesFurthest) {
  Dataset dataset = SpotDataset();
  dataset.preprocessing.mean = {0.2f, 0.5f, 0.9f};
  dataset.preprocessing.stddev = {0.5f, 0.5f, 0.25f};
  EXPECT_FLOAT_EQ(Calibrate(v1::RANGE_METHOD_MIN_MAX, 100, dataset).at("input"), 3.6f);
  dataset.preprocessing.mean = {0.1f, 0.5f, 0.5f};
  dataset.preprocessing.stddev = {0.25f, 0.5f, 0.5f};
  EXPECT_FLOAT_EQ(Calibrate(v1::RANGE_METHOD_MIN_MAX, 100, dataset).at("input"), 3.6f);
}

// The clipping of least error for a long tail lies between a low percentile and the largest value.
TEST(CalibrateActivationsTest, MseClipsTheTail) {
  const auto full = Calibrate(v1::RANGE_METHOD_MIN_MAX);
  const auto half = Calibrate(v1::RANGE_METHOD_PERCENTILE, 50);
  int clipped = 0;
  for (const auto& [layer, range] : Calibrate(v1::RANGE_METHOD_MSE)) {
    EXPECT_LE(range, full.at(layer)) << layer;
    EXPECT_GE(range, half.at(layer)) << layer;
    clipped += range < full.at(layer);
  }
  EXPECT_GT(clipped, 0);
}

// FP32 would round the sum, which is odd, even where several threads share the counting.
TEST(CountMagnitudesTest, CountsEveryValueOfALargeBatch) {
  constexpr int64_t kValues = (1 << 23) + 1;
  const torch::Tensor outputs =
      torch::tensor({0.9f, -0.9f, 0.9f}).view({3, 1}).expand({3, kValues});
  const torch::Tensor counts = CountMagnitudes(outputs, 1);
  EXPECT_EQ(counts[static_cast<int64_t>(0.9 * 4096)].item<double>(), 3.0 * kValues);
  EXPECT_EQ(counts.sum().item<double>(), 3.0 * kValues);
}

// Rounding to fewer steps costs more and clipping the same: it pays sooner.
TEST(RangeOfLeastErrorTest, ClipsMoreWhereStepsAreFew) {
  std::vector<double> counts(1000, 0);
  counts[100] = 1e5;  // at a tenth of the largest
  counts[999] = 1;
  const float few = RangeOfLeastError(counts, 1, 4), many = RangeOfLeastError(counts, 1, 255);
  EXPECT_LT(few, many);
}

// Values as a pruned network's ReLU leaves them: the error that is really made, by brute force.
TEST(RangeOfLeastErrorTest, ZerosCostNothing) {
  constexpr int kBins = 4096, kSteps = 255, kClippings = 64;
  std::mt19937_64 random(1);
  std::normal_distribution<double> normal;
  std::vector<double> values;
  for (int i = 0; i < 10000; ++i) values.push_back(std::abs(normal(random)));
  const double largest = *std::max_element(values.begin(), values.end());
  std::vector<double> counts(kBins, 0);
  counts[0] = 490000;  // 98 %
  for (const double value : values) ++counts[std::min<int>(value / largest * kBins, kBins - 1)];
  const auto error = [&](double range) {
    double sum = 0;
    for (const double value : values) {
      const double step = range / kSteps;
      sum += std::pow(value - std::min(std::round(value / step), double{kSteps}) * step, 2);
    }
    return sum;
  };
  double least = error(largest);
  for (int i = 1; i < kClippings; ++i) least = std::min(least, error(largest * i / kClippings));
  EXPECT_LT(error(RangeOfLeastError(counts, static_cast<float>(largest), kSteps)), 1.05 * least);
}

// The shortcuts have no ReLU.
TEST(CalibrateActivationsTest, MseCountsTheStepsOfEitherSign) {
  const std::map<std::string, torch::Tensor> outputs = Magnitudes(/*with_relu=*/false);
  const auto ranges = Calibrate(v1::RANGE_METHOD_MSE);
  ASSERT_EQ(outputs.size(), 3u);
  int different = 0;
  for (const auto& [layer, output] : outputs) {
    const auto largest = output.max().item<float>();
    const torch::Tensor bins = output.histc(4096, 0, largest);
    const std::vector<double> counts(bins.data_ptr<float>(), bins.data_ptr<float>() + 4096);
    EXPECT_FLOAT_EQ(ranges.at(layer), RangeOfLeastError(counts, largest, 127)) << layer;
    different += RangeOfLeastError(counts, largest, 255) != ranges.at(layer);
  }
  EXPECT_GT(different, 0);
}

}  // namespace
}  // namespace cytopress
