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
  evaluation.auc = 0.875;
  evaluation.confusion = {1, 1, 0, 2};  // four images, three answered with class 1
  const Score score = ScoreOf(evaluation);
  EXPECT_EQ(score.answer, 1);
  EXPECT_DOUBLE_EQ(score.answer_share, 0.75);
  EXPECT_DOUBLE_EQ(score.class_share, 0.5);
  EXPECT_DOUBLE_EQ(score.accuracy, 0.75);
  EXPECT_DOUBLE_EQ(score.auc, 0.875);
  EXPECT_EQ(score.missed, -1);
}

TEST(FindCollapseTest, SeesOneAnswerForEverything) {
  const auto finding = FindCollapse(With(0.18, 1.0), With(0.97, 0.2), 0, kNames);
  ASSERT_TRUE(finding);
  EXPECT_EQ(finding->verdict, v1::GUARD_VERDICT_COLLAPSED);
  EXPECT_THAT(finding->text, HasSubstr("100 % of the answers are 'eosinophil'"));
  EXPECT_THAT(finding->text, HasSubstr("0.7900 below"));
}

TEST(FindCollapseTest, HasLimits) {
  EXPECT_TRUE(FindCollapse(With(0.4, 0.70), With(0.50, 0.3), 0, kNames));  // just at both
  EXPECT_FALSE(FindCollapse(With(0.4, 0.69), With(0.50, 0.3), 0, kNames));
  EXPECT_FALSE(FindCollapse(With(0.4, 0.70), With(0.49, 0.3), 0, kNames));
  EXPECT_TRUE(FindCollapse(With(0.4, 0.81), With(0.90, 0.6), 0, kNames));  // 0.2 more than dense
  EXPECT_FALSE(FindCollapse(With(0.4, 0.79), With(0.90, 0.6), 0, kNames));
}

TEST(FindCollapseTest, ADenseModelWithTheSameHabitIsNoCollapse) {
  EXPECT_FALSE(FindCollapse(With(0.88, 0.9), With(0.9, 0.88), 0, kNames));
}

TEST(FindCollapseTest, OneAnswerIsNoticedWhereTheDenseModelAlmostGivesIt) {
  EXPECT_TRUE(FindCollapse(With(0.8, 1.0), With(0.95, 0.84), 0, kNames));
  EXPECT_FALSE(FindCollapse(With(0.8, 0.95), With(0.95, 0.84), 0, kNames));
  EXPECT_FALSE(FindCollapse(With(0.8, 1.0), With(0.8, 1.0), 0, kNames));
}

// Of 100 images, `majority` are of the first class.
Evaluation Dense(int64_t majority, int64_t majority_wrong, int64_t others_right) {
  Evaluation evaluation;
  evaluation.confusion = {majority - majority_wrong, majority_wrong, 100 - majority - others_right,
                          others_right};
  return evaluation;
}

TEST(RemarkOnDenseTest, SeesOneAnswerForEverything) {
  for (const int64_t majority : {50, 80, 98}) {
    const auto remark = RemarkOnDense(ScoreOf(Dense(majority, 0, 0)), kNames);
    ASSERT_TRUE(remark);
    EXPECT_EQ(remark->verdict, v1::GUARD_VERDICT_COLLAPSED);
    EXPECT_EQ(remark->text,
              "collapsed: 100 % of the dense model's answers are 'basophil', and no image of "
              "'eosinophil' is right");
  }
}

TEST(RemarkOnDenseTest, HasLimits) {
  EXPECT_TRUE(RemarkOnDense(ScoreOf(Dense(60, 29, 0)), kNames));  // 71 % of the answers
  EXPECT_FALSE(RemarkOnDense(ScoreOf(Dense(60, 31, 0)), kNames));
  EXPECT_TRUE(RemarkOnDense(ScoreOf(Dense(75, 14, 0)), kNames));  // 11 % more than have that class
  EXPECT_FALSE(RemarkOnDense(ScoreOf(Dense(75, 16, 0)), kNames));
}

TEST(RemarkOnDenseTest, AFrequentClassIsNoCollapse) {
  EXPECT_FALSE(RemarkOnDense(ScoreOf(Dense(80, 0, 1)), kNames));
  EXPECT_FALSE(RemarkOnDense(ScoreOf(Dense(80, 15, 0)), kNames));
  EXPECT_FALSE(RemarkOnDense(ScoreOf(Dense(100, 0, 0)), kNames));  // there is no other class
}

TEST(FindCollapseTest, ComparesTheLossWithTheTolerance) {
  EXPECT_FALSE(FindCollapse(With(0.95, 0.2), With(0.97, 0.2), 0.03, kNames));
  EXPECT_FALSE(FindCollapse(With(0.945, 0.2), With(0.95, 0.2), 0.005, kNames));  // just that
  EXPECT_TRUE(FindCollapse(With(0.9449, 0.2), With(0.95, 0.2), 0.005, kNames));
  EXPECT_FALSE(FindCollapse(With(0.50, 0.2), With(0.97, 0.2), 0, kNames));
  const auto finding = FindCollapse(With(0.93, 0.2), With(0.97, 0.2), 0.03, kNames);
  ASSERT_TRUE(finding);
  EXPECT_EQ(finding->verdict, v1::GUARD_VERDICT_LOST_TOO_MUCH);
  EXPECT_THAT(finding->text, HasSubstr("recipe.max_accuracy_drop is 0.03"));
}

TEST(FindCollapseTest, ABadDenseModelIsNoMeasureOfTheAnswers) {
  EXPECT_FALSE(FindCollapse(With(0.1, 1.0), With(0.4, 0.3), 0, kNames));
}

TEST(FindCollapseTest, TheToleranceCountsForABadDenseModelToo) {
  EXPECT_FALSE(FindCollapse(With(0.35, 0.3), With(0.4, 0.3), 0.1, kNames));
  const auto finding = FindCollapse(With(0.1, 1.0), With(0.4, 0.3), 0.1, kNames);
  ASSERT_TRUE(finding);
  EXPECT_THAT(finding->text, HasSubstr("lost too much"));
}

}  // namespace
}  // namespace cytopress
