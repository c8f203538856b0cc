#include "core/evaluation/evaluation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace cytopress {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Four images, three classes.
const std::vector<float> kScores = {
    0.7f, 0.2f, 0.1f,  // 0, right
    0.1f, 0.6f, 0.3f,  // 1, right
    0.5f, 0.4f, 0.1f,  // 1, taken for 0
    0.2f, 0.2f, 0.6f,  // 2, right
};
const std::vector<int> kLabels = {0, 1, 1, 2};

TEST(EvaluationTest, ByHand) {
  const absl::StatusOr<Evaluation> evaluation = Evaluate(kScores, kLabels, 3);
  ASSERT_TRUE(evaluation.ok()) << evaluation.status();
  EXPECT_EQ(evaluation->images, 4);
  EXPECT_DOUBLE_EQ(evaluation->accuracy, 0.75);
  EXPECT_THAT(evaluation->confusion, ElementsAre(1, 0, 0, 1, 1, 0, 0, 0, 1));
  EXPECT_THAT(evaluation->class_recall, ElementsAre(1, 0.5, 1));
  EXPECT_NEAR(evaluation->accuracy_interval.low, 0.3006, 5e-5);
  EXPECT_NEAR(evaluation->accuracy_interval.high, 0.9544, 5e-5);
  // Every class separates: 0.7 > 0.5; 0.6 and 0.4 > 0.2; 0.6 > 0.3.
  EXPECT_DOUBLE_EQ(evaluation->auc, 1);
}

TEST(EvaluationTest, AucIsTheMeanOverClasses) {
  // Class 0: 0.5 against 0.6 and 0.4, one half. Class 1: 0.4 and 0.6 against 0.5, one half. Class 2
  // has no image and is left out.
  const std::vector<float> scores = {0.5f, 0.5f, 0.0f, 0.6f, 0.4f, 0.0f, 0.4f, 0.6f, 0.0f};
  EXPECT_DOUBLE_EQ(Evaluate(scores, std::vector<int>{0, 1, 1}, 3)->auc, 0.5);
  // Class 0: 0.9 beats 0.6 and 0.4, one. Class 1: 0.4 beats 0.1, 0.05 does not, one half.
  const std::vector<float> better = {0.9f, 0.1f, 0.0f, 0.6f, 0.4f, 0.0f, 0.4f, 0.05f, 0.55f};
  EXPECT_DOUBLE_EQ(Evaluate(better, std::vector<int>{0, 1, 1}, 3)->auc, (1.0 + 0.5) / 2);
}

TEST(EvaluationTest, ClassesWithoutImages) {
  const absl::StatusOr<Evaluation> evaluation = Evaluate(kScores, std::vector<int>{0, 0, 0, 0}, 3);
  ASSERT_TRUE(evaluation.ok());
  EXPECT_DOUBLE_EQ(evaluation->class_recall[0], 0.5);
  EXPECT_TRUE(std::isnan(evaluation->class_recall[1]));
  EXPECT_TRUE(std::isnan(evaluation->auc));
}

TEST(EvaluationTest, TheFirstOfEqualScoresIsThePrediction) {
  const std::vector<float> scores = {0.5f, 0.5f};
  EXPECT_DOUBLE_EQ(Evaluate(scores, std::vector<int>{0}, 2)->accuracy, 1);
  EXPECT_DOUBLE_EQ(Evaluate(scores, std::vector<int>{1}, 2)->accuracy, 0);
}

TEST(EvaluationTest, CalibrationError) {
  // Bin (0.6, 0.667]: two images, confidence 0.65, one right: |0.5 - 0.65|. Bin (0.933, 1]: two
  // images, confidence 1, both right: 0.
  const std::vector<float> scores = {0.65f, 0.35f, 0.65f, 0.35f, 1, 0, 1, 0};
  const absl::StatusOr<Evaluation> evaluation = Evaluate(scores, std::vector<int>{0, 1, 0, 0}, 2);
  EXPECT_NEAR(evaluation->expected_calibration_error, 0.5 * 0.15, 1e-6);
}

TEST(EvaluationTest, CalibrationBinsDoNotCancel) {
  // Under- and overconfident images of different bins add up: (0.3 + 0.8) / 2.
  const std::vector<float> scores = {0.7f, 0.3f, 0.8f, 0.2f};
  const absl::StatusOr<Evaluation> evaluation = Evaluate(scores, std::vector<int>{0, 1}, 2);
  EXPECT_NEAR(evaluation->expected_calibration_error, 0.55, 1e-6);
}

struct BadInput {
  std::vector<float> scores;
  std::vector<int> labels;
  int classes;
  std::string message;
};

TEST(EvaluationTest, BadInputIsNamed) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<BadInput> inputs = {
      {{}, {}, 2, "labels"},
      {{0.5f, 0.5f, 0.5f}, {0, 1}, 2, "3 values"},
      {{0.5f, 0.5f}, {2}, 2, "labels[0]: 2"},
      {{0.5f, 0.5f}, {-1}, 2, "labels[0]: -1"},
      {{0.5f, nan}, {0}, 2, "class 1 of image 0"},
      {{0.5f, 0.5f}, {0}, 0, "classes: 0"},
      {{0.5f, 0.5f}, {0}, 1 << 30, "classes"},
  };
  for (const BadInput& input : inputs) {
    const absl::Status status = Evaluate(input.scores, input.labels, input.classes).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr(input.message));
  }
}

}  // namespace
}  // namespace cytopress
