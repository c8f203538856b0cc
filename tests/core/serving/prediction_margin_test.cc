#include "core/serving/prediction_margin.h"

#include <gtest/gtest.h>

#include <random>

namespace cytopress {
namespace {

TEST(PredictionMarginTest, SettlesWhereTheWantedShareIsLate) {
  // Of times around the predicted one with a spread of 25 %, 0.2 % are longer than 1.72 of it.
  std::mt19937 random(1);
  std::normal_distribution<double> actual(1, 0.25);
  PredictionMargin margin;
  int late = 0;
  double sum = 0;
  constexpr int kWarmUp = 50000;
  constexpr int kCount = 200000;
  for (int i = 0; i < kWarmUp + kCount; ++i) {
    const bool is_late = actual(random) > margin.value();
    margin.Note(is_late);
    if (i < kWarmUp) continue;
    late += is_late;
    sum += margin.value();
  }
  EXPECT_NEAR(static_cast<double>(late) / kCount, PredictionMargin::kLateShare, 0.0003);
  EXPECT_NEAR(sum / kCount, 1.72, 0.04);
}

TEST(PredictionMarginTest, KeepsWithinItsBounds) {
  PredictionMargin margin;
  EXPECT_EQ(margin.value(), PredictionMargin::kLeast);
  margin.Note(false);
  EXPECT_EQ(margin.value(), PredictionMargin::kLeast);
  for (int i = 0; i < 1000; ++i) margin.Note(true);
  EXPECT_EQ(margin.value(), PredictionMargin::kMost);
}

}  // namespace
}  // namespace cytopress
