#include "core/jobs/model_names.h"

#include <gtest/gtest.h>

namespace cytopress {
namespace {

TEST(SweepModelName, HasTheSparsityAndTheWeights) {
  EXPECT_EQ(SweepModelName("blood", 0.8, v1::WEIGHT_TYPE_INT4), "blood-s80-int4");
  // A newer program may have more types.
  EXPECT_EQ(SweepModelName("blood", 0.8, static_cast<v1::WeightType>(99)), "blood-s80-unknown");
}

TEST(GoalTryName, IsFoundAgain) {
  EXPECT_EQ(GoalTryName("blood", 2), "blood-try2");
  EXPECT_EQ(GoalTryNumber("blood-try12", "blood"), 12);
  for (const char* other : {"blood", "blood-try", "blood-try0", "blood-trying", "bl-try2"}) {
    EXPECT_FALSE(GoalTryNumber(other, "blood").has_value()) << other;
  }
}

}  // namespace
}  // namespace cytopress
