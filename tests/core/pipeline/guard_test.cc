#include "core/pipeline/guard.h"

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
  ASSERT_EQ(score.by_class.size(), 2u);
  EXPECT_EQ(score.by_class[0].right, 1);
  EXPECT_EQ(score.by_class[0].images, 2);
  EXPECT_EQ(score.by_class[1].right, 2);
  EXPECT_EQ(score.by_class[1].images, 2);
}

TEST(ScoreOfTest, AStoredEvaluationWithoutAConfusionMatrixSaysNothingOfClasses) {
  v1::Evaluation evaluation;
  evaluation.set_accuracy(0.75);
  EXPECT_TRUE(ScoreOf(evaluation).by_class.empty());
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

const std::vector<std::string> kThree = {"basophil", "eosinophil", "platelet"};

// Of 1,000 images, `rare` are basophils, and all others are right. No answer is given to most.
Score WithRare(int64_t rare, int64_t rare_right) {
  v1::Evaluation evaluation;
  evaluation.set_accuracy(static_cast<double>(1000 - rare + rare_right) / 1000);
  const std::vector<int64_t> confusion = {rare_right, rare - rare_right, 0, 0, 500, 0, 0,
                                          0,          500 - rare};
  for (const int64_t count : confusion) evaluation.add_confusion(count);
  return ScoreOf(evaluation);
}

TEST(FindCollapseTest, ARareClassIsLostWhateverTheAccuracySays) {
  const auto finding = FindCollapse(WithRare(30, 6), WithRare(30, 24), 0.02, kThree);
  ASSERT_TRUE(finding);
  EXPECT_EQ(finding->verdict, v1::GUARD_VERDICT_LOST_TOO_MUCH);
  EXPECT_EQ(finding->text,
            "class 'basophil' is lost: 6 of 30 right on the validation split, 24 by the dense "
            "model");
  EXPECT_TRUE(FindCollapse(WithRare(15, 0), WithRare(15, 14), 0.02, kThree));
  EXPECT_FALSE(FindCollapse(WithRare(30, 6), WithRare(30, 24), 0, kThree)) << "losses are allowed";
}

TEST(FindCollapseTest, AClassIsLostBeyondChanceOnly) {
  EXPECT_TRUE(FindCollapse(WithRare(5, 0), WithRare(5, 5), 0.5, kThree));
  EXPECT_FALSE(FindCollapse(WithRare(5, 1), WithRare(5, 5), 0.5, kThree));
  EXPECT_FALSE(FindCollapse(WithRare(4, 0), WithRare(4, 4), 0.5, kThree));  // however sure
  EXPECT_TRUE(FindCollapse(WithRare(200, 69), WithRare(200, 130), 0.5, kThree));
  EXPECT_FALSE(FindCollapse(WithRare(200, 70), WithRare(200, 130), 0.5, kThree)) << "just 0.3";
}

TEST(FindCollapseTest, OnlyAClassThatTheDenseModelKnowsCanBeLost) {
  EXPECT_TRUE(FindCollapse(WithRare(100, 0), WithRare(100, 50), 0.5, kThree));
  EXPECT_FALSE(FindCollapse(WithRare(100, 0), WithRare(100, 49), 0.5, kThree));
  Score chance = WithRare(100, 90);
  chance.accuracy = 0.49;
  EXPECT_FALSE(FindCollapse(WithRare(100, 0), chance, 0.5, kThree));
  Score unknown = WithRare(100, 90);
  unknown.by_class.clear();
  EXPECT_FALSE(FindCollapse(WithRare(100, 0), unknown, 0.5, kThree)) << "of an earlier release";
}

TEST(FindCollapseTest, OfLostClassesThatWithTheLargestLossIsNamed) {
  Score dense, score;
  dense.accuracy = score.accuracy = 0.9;
  dense.by_class = {{0, 0}, {95, 100}, {48, 50}, {19, 20}};
  score.by_class = {{0, 0}, {60, 100}, {2, 50}, {3, 20}};
  const auto finding = FindCollapse(score, dense, 0.02, {"none", "some", "most", "less"});
  ASSERT_TRUE(finding);
  EXPECT_THAT(finding->text, HasSubstr("'most' is lost: 2 of 50 right"));
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
