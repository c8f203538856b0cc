#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <utility>
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

TEST(PairedDifferenceTest, IsNewcombesInterval) {
  // An example of his: 20, 12, 2 and 16 of 50.
  const Interval interval = PairedDifferenceInterval({20, 12, 2, 16});
  EXPECT_NEAR(interval.low, 0.0562, 5e-5);
  EXPECT_NEAR(interval.high, 0.3292, 5e-5);
}

TEST(PairedDifferenceTest, TurnsRoundWithTheModels) {
  const Interval interval = PairedDifferenceInterval({93, 5, 2, 0});
  const Interval turned = PairedDifferenceInterval({93, 2, 5, 0});
  EXPECT_NEAR(interval.low, -turned.high, 1e-12);
  EXPECT_NEAR(interval.high, -turned.low, 1e-12);
}

TEST(PairedDifferenceTest, IsTheNormalApproximationsForManyImages) {
  const Interval interval = PairedDifferenceInterval({33010, 220, 130, 850});
  const double n = 34210, lost = 90 / n, half = 1.96 * std::sqrt(350 - 90 * 90 / n) / n;
  EXPECT_NEAR(interval.low, lost - half, 1e-4);
  EXPECT_NEAR(interval.high, lost + half, 1e-4);
}

TEST(PairedDifferenceTest, WithoutADifferenceThereMayStillBeOne) {
  const Interval interval = PairedDifferenceInterval({100, 0, 0, 0});
  EXPECT_NEAR(interval.high, 0.037, 5e-4);
  EXPECT_NEAR(interval.low, -0.037, 5e-4);
  EXPECT_EQ(PairedDifferenceInterval({}).low, -1);
  EXPECT_EQ(PairedDifferenceInterval({}).high, 1);
}

TEST(PairedDifferenceTest, HoldsTheTruthInNineteenOfTwentyDraws) {
  constexpr int kDraws = 2000;
  std::mt19937 random(11);
  int held = 0;
  for (int draw = 0; draw < kDraws; ++draw) {
    PairedCounts counts;
    for (int image = 0; image < 100; ++image) {
      const auto percent = static_cast<int>(random() % 100);
      ++(percent < 80   ? counts.both_right
         : percent < 90 ? counts.only_first_right
         : percent < 95 ? counts.only_second_right
                        : counts.none_right);
    }
    const Interval interval = PairedDifferenceInterval(counts);
    held += interval.low <= 0.05 && 0.05 <= interval.high;
  }
  EXPECT_GT(held, 0.93 * kDraws);
  EXPECT_LT(held, 0.985 * kDraws);
}

// Scores of two classes whose AUC is well under 1.
std::pair<std::vector<float>, std::vector<int>> NoisyScores(int images) {
  std::pair<std::vector<float>, std::vector<int>> data;
  std::mt19937 random(3);
  for (int i = 0; i < images; ++i) {
    const int label = i % 2;
    const float score =
        0.25f * static_cast<float>(label) + 0.75f * static_cast<float>(random() % 1000) / 1000.0f;
    data.first.insert(data.first.end(), {1 - score, score});
    data.second.push_back(label);
  }
  return data;
}

TEST(BootstrapAucTest, HoldsTheAucAndNarrowsWithMoreImages) {
  double width_before = 1;
  for (const int images : {50, 500, 5000}) {
    const auto [scores, labels] = NoisyScores(images);
    const Interval interval = BootstrapAuc(scores, labels, 2, /*seed=*/1);
    const double auc = Evaluate(scores, labels, 2)->auc;
    EXPECT_LT(interval.low, auc);
    EXPECT_GT(interval.high, auc);
    EXPECT_LT(interval.high - interval.low, width_before / 2);
    width_before = interval.high - interval.low;
  }
}

TEST(BootstrapAucTest, AgreesWithTheNormalApproximation) {
  const auto [scores, labels] = NoisyScores(2000);
  const double auc = Evaluate(scores, labels, 2)->auc;
  // Hanley and McNeil (1982), with 1000 images of each class.
  const double q1 = auc / (2 - auc), q2 = 2 * auc * auc / (1 + auc);
  const double variance = (auc * (1 - auc) + 999 * (q1 - auc * auc) + 999 * (q2 - auc * auc)) / 1e6;
  const Interval interval = BootstrapAuc(scores, labels, 2, /*seed=*/1);
  EXPECT_NEAR(interval.high - interval.low, 2 * 1.96 * std::sqrt(variance), 0.006);
}

TEST(BootstrapAucTest, DependsOnTheSeedAlone) {
  const auto [scores, labels] = NoisyScores(100);
  const Interval first = BootstrapAuc(scores, labels, 2, 7);
  const Interval again = BootstrapAuc(scores, labels, 2, 7);
  EXPECT_EQ(first.low, again.low);
  EXPECT_EQ(first.high, again.high);
  EXPECT_NE(first.low, BootstrapAuc(scores, labels, 2, 8).low);
}

// By its definition: the AUCs of the drawn images, in the order in which they are drawn.
Interval PlainBootstrap(const std::vector<float>& scores, const std::vector<int>& labels,
                        int classes, uint64_t seed, int resamples) {
  std::vector<std::vector<size_t>> images_of(classes);
  for (size_t i = 0; i < labels.size(); ++i) images_of[labels[i]].push_back(i);
  std::mt19937_64 random(seed);
  std::vector<double> aucs;
  for (int resample = 0; resample < resamples; ++resample) {
    std::vector<size_t> drawn;
    for (const std::vector<size_t>& own : images_of) {
      for (size_t i = 0; i < own.size(); ++i) drawn.push_back(own[random() % own.size()]);
    }
    double sum = 0;
    int counted = 0;
    for (int c = 0; c < classes; ++c) {
      std::vector<float> of_class;
      std::vector<bool> positive;
      for (const size_t image : drawn) {
        of_class.push_back(scores[image * classes + c]);
        positive.push_back(labels[image] == c);
      }
      const double auc = BinaryAuc(of_class, positive);
      if (std::isnan(auc)) continue;
      sum += auc;
      ++counted;
    }
    aucs.push_back(sum / counted);
  }
  std::sort(aucs.begin(), aucs.end());
  const size_t tail = aucs.size() / 40;
  return {aucs[tail], aucs[aucs.size() - 1 - tail]};
}

TEST(BootstrapAucTest, IsThatOfTheDrawnImagesToTheLastBit) {
  constexpr int kClasses = 5;
  std::mt19937 random(17);
  for (const int levels : {4, 1 << 20}) {  // with many ties, and with hardly any
    std::vector<float> scores;
    std::vector<int> labels;
    for (int i = 0; i < 203; ++i) {
      labels.push_back(i % 10 == 0 ? 4 : i % 3);  // class 3 has no images
      for (int c = 0; c < kClasses; ++c) {
        const float noise = static_cast<float>(random() % levels) / static_cast<float>(levels);
        scores.push_back(noise + (labels.back() == c ? 0.5f : 0.0f));
      }
    }
    for (const int resamples : {1, 64, 130}) {
      const Interval want = PlainBootstrap(scores, labels, kClasses, 5, resamples);
      const Interval got = BootstrapAuc(scores, labels, kClasses, 5, resamples);
      EXPECT_EQ(got.low, want.low) << levels << " levels, " << resamples << " resamples";
      EXPECT_EQ(got.high, want.high) << levels << " levels, " << resamples << " resamples";
    }
  }
}

TEST(BootstrapAucTest, OneClassHasNone) {
  const std::vector<float> scores = {0.5, 0.5};
  const std::vector<int> labels = {1};
  const Interval interval = BootstrapAuc(scores, labels, 2, 1);
  EXPECT_EQ(interval.low, 0);
  EXPECT_EQ(interval.high, 1);
}

}  // namespace
}  // namespace cytopress
