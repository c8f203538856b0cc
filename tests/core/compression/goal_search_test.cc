#include "core/compression/goal_search.h"

#include <gtest/gtest.h>

namespace cytopress {
namespace {

constexpr double kDense = 96e6;

v1::Goal DefaultGoal() {
  v1::Goal goal;
  goal.set_max_accuracy_drop(0.005);
  goal.set_max_tries(20);
  return goal;
}

// Plays a search against a network that is accurate from `needed` bytes on.
std::vector<GoalTry> Play(const v1::Goal& goal, double needed, double ms_per_megabyte = 0) {
  std::vector<GoalTry> tries;
  while (const auto budget = NextBudget(goal, kDense, tries)) {
    tries.push_back({*budget, *budget >= needed, *budget * 1.01, *budget / 1e6 * ms_per_megabyte});
  }
  return tries;
}

TEST(GoalSearchTest, FindsTheSmallestThatIsAccurate) {
  for (const double needed : {0.3e6, 1.7e6, 4.1e6, 9e6}) {
    const std::vector<GoalTry> tries = Play(DefaultGoal(), needed);
    const auto best = BestTry(DefaultGoal(), tries);
    ASSERT_TRUE(best) << needed;
    EXPECT_LT(tries[*best].budget, 1.2 * needed);
    EXPECT_LT(tries.size(), 14);
  }
}

TEST(GoalSearchTest, GivesUpWhereNotEvenTheLargestIsAccurate) {
  const std::vector<GoalTry> tries = Play(DefaultGoal(), kDense);
  EXPECT_EQ(tries.back().budget, kDense / 4);
  EXPECT_FALSE(BestTry(DefaultGoal(), tries));
}

TEST(GoalSearchTest, AFileSizeIsReachedAtOnceAndNeverExceeded) {
  v1::Goal goal = DefaultGoal();
  goal.set_max_bytes(2000000);
  const std::vector<GoalTry> tries = Play(goal, 1e6);
  ASSERT_EQ(tries.size(), 1);
  EXPECT_LE(tries[0].bytes, 2e6);
  EXPECT_EQ(Play(goal, 3e6).size(), 1) << "larger is not allowed, smaller is no better";
}

TEST(GoalSearchTest, GoesOnUntilItIsFastEnough) {
  v1::Goal goal = DefaultGoal();
  goal.set_max_bytes(4000000);
  goal.set_max_latency_ms(1);
  const std::vector<GoalTry> tries = Play(goal, 0.5e6, /*ms_per_megabyte=*/0.5);
  const auto best = BestTry(goal, tries);
  ASSERT_TRUE(best);
  EXPECT_LE(tries[*best].latency_ms, 1);
  EXPECT_GT(tries.size(), 1);
}

TEST(GoalSearchTest, TheNearestExceedsItsWorstBoundLeast) {
  v1::Goal goal = DefaultGoal();
  goal.set_max_bytes(1000000);
  goal.set_max_latency_ms(1);
  const std::vector<GoalTry> tries = {
      {4e6, true, 4e6, 1.5}, {2e6, true, 2e6, 3}, {2e6, true, 2.5e6, 2}, {1e6, false, 0, 0}};
  EXPECT_EQ(NearestTry(goal, tries), 2);
  EXPECT_FALSE(NearestTry(goal, {tries.back()}));
}

TEST(GoalSearchTest, EndsAfterTheLastTry) {
  v1::Goal goal = DefaultGoal();
  goal.set_max_tries(2);
  EXPECT_EQ(Play(goal, 0.1e6).size(), 2);
}

}  // namespace
}  // namespace cytopress
