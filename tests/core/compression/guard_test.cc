#include "core/compression/guard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cytopress {
namespace {

using ::testing::HasSubstr;

const std::vector<std::string> kNames = {"basophil", "eosinophil"};

Score With(double accuracy, double answer_share) {
  Score score;
  score.accuracy = accuracy;
  score.answer = 1;
  score.answer_share = answer_share;
  return score;
}

TEST(ScoreOfTest, FindsTheMostFrequentAnswer) {
  Evaluation evaluation;
  evaluation.accuracy = 0.75;
  evaluation.confusion = {1, 1, 0, 2};  // four images, three answered with class 1
  const Score score = ScoreOf(evaluation);
  EXPECT_EQ(score.answer, 1);
  EXPECT_DOUBLE_EQ(score.answer_share, 0.75);
  EXPECT_DOUBLE_EQ(score.accuracy, 0.75);
}

TEST(FindCollapseTest, SeesOneAnswerForEverything) {
  const auto finding = FindCollapse(With(0.18, 1.0), With(0.97, 0.2), 0, kNames);
  ASSERT_TRUE(finding);
  EXPECT_THAT(*finding, HasSubstr("100 % of the answers are 'eosinophil'"));
  EXPECT_THAT(*finding, HasSubstr("0.7900 below"));
}

TEST(FindCollapseTest, ADenseModelWithTheSameHabitIsNoCollapse) {
  EXPECT_FALSE(FindCollapse(With(0.88, 0.9), With(0.9, 0.88), 0, kNames));
}

TEST(FindCollapseTest, ComparesTheLossWithTheTolerance) {
  EXPECT_FALSE(FindCollapse(With(0.95, 0.2), With(0.97, 0.2), 0.03, kNames));
  EXPECT_FALSE(FindCollapse(With(0.50, 0.2), With(0.97, 0.2), 0, kNames));
  const auto finding = FindCollapse(With(0.93, 0.2), With(0.97, 0.2), 0.03, kNames);
  ASSERT_TRUE(finding);
  EXPECT_THAT(*finding, HasSubstr("recipe.max_accuracy_drop is 0.03"));
}

TEST(FindCollapseTest, ABadDenseModelIsNoMeasureOfTheAnswers) {
  EXPECT_FALSE(FindCollapse(With(0.1, 1.0), With(0.4, 0.3), 0, kNames));
}

TEST(FindCollapseTest, TheToleranceCountsForABadDenseModelToo) {
  EXPECT_FALSE(FindCollapse(With(0.35, 0.3), With(0.4, 0.3), 0.1, kNames));
  const auto finding = FindCollapse(With(0.1, 1.0), With(0.4, 0.3), 0.1, kNames);
  ASSERT_TRUE(finding);
  EXPECT_THAT(*finding, HasSubstr("lost too much"));
}

}  // namespace
}  // namespace cytopress
