#include <gtest/gtest.h>

#include <vector>

#include "core/evaluation/evaluation.h"

namespace cytopress {
namespace {

// Published values of the Wilson score interval without continuity correction (Newcombe, "Two-sided
// confidence intervals for the single proportion", 1998, table I).
TEST(WilsonIntervalTest, PublishedValues) {
  const Interval common = WilsonInterval(81, 263);
  EXPECT_NEAR(common.low, 0.2553, 5e-5);
  EXPECT_NEAR(common.high, 0.3662, 5e-5);
  const Interval few = WilsonInterval(15, 148);
  EXPECT_NEAR(few.low, 0.0624, 5e-5);
  EXPECT_NEAR(few.high, 0.1605, 5e-5);
  const Interval none = WilsonInterval(0, 20);
  EXPECT_EQ(none.low, 0);
  EXPECT_NEAR(none.high, 0.1611, 5e-5);
  const Interval one = WilsonInterval(1, 29);
  EXPECT_NEAR(one.low, 0.0061, 5e-5);
  EXPECT_NEAR(one.high, 0.1718, 5e-5);
}

TEST(WilsonIntervalTest, AllAndNothing) {
  const Interval all = WilsonInterval(20, 20);
  EXPECT_EQ(all.high, 1);
  EXPECT_NEAR(all.low, 1 - 0.1611, 5e-5);
  const Interval nothing = WilsonInterval(0, 0);
  EXPECT_EQ(nothing.low, 0);
  EXPECT_EQ(nothing.high, 1);
}

// `first` images that only the first gets right, `second` that only the second does, `both` right.
McNemar Compare(int first, int second, int both) {
  std::vector<bool> a(first, true), b(first, false);
  a.insert(a.end(), second, false);
  b.insert(b.end(), second, true);
  a.insert(a.end(), both, true);
  b.insert(b.end(), both, true);
  return CompareByMcNemar(a, b);
}

TEST(McNemarTest, ExactBinomialByHand) {
  const McNemar result = Compare(8, 1, 5);
  EXPECT_EQ(result.only_first_right, 8);
  EXPECT_EQ(result.only_second_right, 1);
  EXPECT_NEAR(result.p_value, 2.0 * (1 + 9) / 512, 1e-12);
  EXPECT_NEAR(Compare(1, 8, 5).p_value, 2.0 * (1 + 9) / 512, 1e-12);
  EXPECT_NEAR(Compare(0, 6, 0).p_value, 2.0 / 64, 1e-12);
}

TEST(McNemarTest, NoDifference) {
  EXPECT_EQ(Compare(0, 0, 10).p_value, 1);
  EXPECT_EQ(Compare(4, 4, 10).p_value, 1);
  EXPECT_EQ(Compare(0, 1, 10).p_value, 1);
}

TEST(McNemarTest, ManyPairsStayFinite) {
  // The normal approximation with continuity correction: z = (|1550 - 1450| - 1) / sqrt(3000).
  EXPECT_NEAR(Compare(1550, 1450, 0).p_value, 0.0707, 5e-4);
  EXPECT_LT(Compare(3000, 1000, 0).p_value, 1e-200);
}

}  // namespace
}  // namespace cytopress
