#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "core/evaluation/evaluation.h"

namespace cytopress {
namespace {

// The definition: the share of (positive, negative) pairs in which the positive scores higher, ties
// counting half.
double AucByPairs(const std::vector<float>& scores, const std::vector<bool>& positive) {
  double wins = 0;
  int64_t pairs = 0;
  for (size_t i = 0; i < scores.size(); ++i) {
    for (size_t j = 0; j < scores.size(); ++j) {
      if (!positive[i] || positive[j]) continue;
      ++pairs;
      wins += scores[i] > scores[j] ? 1 : scores[i] == scores[j] ? 0.5 : 0;
    }
  }
  return wins / static_cast<double>(pairs);
}

TEST(BinaryAucTest, ByHand) {
  // Of the four pairs, three are in order.
  EXPECT_DOUBLE_EQ(BinaryAuc({0.1f, 0.4f, 0.35f, 0.8f}, {false, false, true, true}), 0.75);
  EXPECT_DOUBLE_EQ(BinaryAuc({0.1f, 0.2f, 0.3f, 0.4f}, {false, false, true, true}), 1);
  EXPECT_DOUBLE_EQ(BinaryAuc({0.4f, 0.3f, 0.2f, 0.1f}, {false, false, true, true}), 0);
}

TEST(BinaryAucTest, TiesCountHalf) {
  EXPECT_DOUBLE_EQ(BinaryAuc({0.5f, 0.5f, 0.5f}, {true, false, true}), 0.5);
  // Pairs: (0.5, 0.5) half, (0.5, 0.2) one, (0.9, 0.5) one, (0.9, 0.2) one.
  EXPECT_DOUBLE_EQ(BinaryAuc({0.5f, 0.5f, 0.9f, 0.2f}, {true, false, true, false}), 3.5 / 4);
}

TEST(BinaryAucTest, NeedsBothKinds) {
  EXPECT_TRUE(std::isnan(BinaryAuc({0.5f, 0.6f}, {true, true})));
  EXPECT_TRUE(std::isnan(BinaryAuc({0.5f, 0.6f}, {false, false})));
  EXPECT_TRUE(std::isnan(BinaryAuc({}, {})));
}

TEST(BinaryAucTest, EqualsCountingPairs) {
  std::mt19937 random(3);
  for (int round = 0; round < 50; ++round) {
    const unsigned levels = 1 + random() % 40;  // few levels make many ties
    std::vector<float> scores;
    std::vector<bool> positive = {true, false};
    while (positive.size() < 200) positive.push_back(random() % 5 == 0);
    for (size_t i = 0; i < positive.size(); ++i) {
      scores.push_back(static_cast<float>(random() % levels) + (positive[i] ? 0.5f : 0.0f));
      if (levels % 2 == 0) scores.back() = std::floor(scores.back());
    }
    EXPECT_NEAR(BinaryAuc(scores, positive), AucByPairs(scores, positive), 1e-12);
  }
}

}  // namespace
}  // namespace cytopress
