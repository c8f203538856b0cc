#include "core/compression/calibration.h"

#include <gtest/gtest.h>

#include "tests/core/compression/test_data.h"

namespace cytopress {
namespace {

std::map<std::string, float> Calibrate(v1::RangeMethod method, double percentile = 100) {
  v1::QuantizeOptions options;
  options.set_calibration_images(64);
  options.set_activation_range(method);
  options.set_activation_percentile(percentile);
  return CalibrateActivations(SmallNetwork(), SpotDataset(), options, 1);
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

}  // namespace
}  // namespace cytopress
