#include "core/pipeline/goal_search.h"

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
std::vector<GoalTry> Play(const v1::Goal& goal, double needed, double ms_per_megabyte = 0,
                          const GoalSizes& sizes = {kDense, 0, 0}) {
  std::vector<GoalTry> tries;
  while (const auto budget = NextBudget(goal, sizes, tries)) {
    const double bytes = *budget * 1.01 + sizes.fixed;
    tries.push_back({*budget, *budget >= needed, bytes, *budget / 1e6 * ms_per_megabyte});
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
}

// Larger is not allowed, smaller is no better, and training is a matter of chance, too.
TEST(GoalSearchTest, WhatIsLargestAndLosesTooMuchIsTriedAgain) {
  v1::Goal goal = DefaultGoal();
  goal.set_max_bytes(2000000);
  const GoalSizes sizes = {kDense, 0, 0};
  const std::vector<GoalTry> tries = Play(goal, 3e6);
  ASSERT_EQ(tries.size(), 3) << "and then it is no chance any more";
  EXPECT_EQ(tries[1].budget, tries[0].budget);
  EXPECT_EQ(tries[2].budget, tries[0].budget);
  const double first = tries[0].budget;
  EXPECT_FALSE(NextBudget(goal, sizes, {{first, false, 0, 0}, {first, true, 1.9e6, 0}}));
  // What failed is no bound when the same is accurate.
  const auto next = NextBudget(goal, sizes, {{first, false, 0, 0}, {first, true, 2.1e6, 0}});
  ASSERT_TRUE(next);
  EXPECT_LT(*next, 0.95 * first);
  goal.set_max_tries(2);
  EXPECT_EQ(Play(goal, 3e6).size(), 2);
}

TEST(GoalSearchTest, TheFirstTryIsTrainedLongerWhenItIsMadeAgain) {
  v1::Goal goal = DefaultGoal();
  const GoalTry failed = {1e6, false, 0, 0}, accurate = {1e6, true, 1e6, 0};
  EXPECT_EQ(TimesTheEpochs(goal, {failed}), 1) << "the next has more bytes";
  goal.set_max_bytes(2000000);
  EXPECT_EQ(TimesTheEpochs(goal, {}), 1);
  EXPECT_EQ(TimesTheEpochs(goal, {failed}), 2);
  EXPECT_EQ(TimesTheEpochs(goal, {failed, failed}), 4);
  EXPECT_EQ(TimesTheEpochs(goal, {failed, accurate}), 2) << "those that follow compare with it";
  EXPECT_EQ(TimesTheEpochs(goal, {accurate, {0.6e6, false, 0, 0}}), 1);
}

TEST(GoalSearchTest, GoesOnUntilItIsFastEnough) {
  v1::Goal goal = DefaultGoal();
  goal.set_max_bytes(4000000);
  goal.set_max_latency_ms(1);
  const std::vector<GoalTry> tries = Play(goal, 0.5e6, /*ms_per_megabyte=*/0.5);
  const auto best = BestTry(goal, tries);
  ASSERT_TRUE(best);
  EXPECT_LE(tries[*best].latency_ms, 1);
  EXPECT_EQ(tries.size(), 3) << "1.9 ms, 1.2 ms, 0.7 ms: in steps, though the files are too large";
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

TEST(GoalSearchTest, LeavesRoomForWhatHasNoBudget) {
  v1::Goal goal = DefaultGoal();
  goal.set_max_bytes(300000);
  const std::vector<GoalTry> tries = Play(goal, 1e5, 0, {kDense, 120000, 0});
  ASSERT_EQ(tries.size(), 1);
  EXPECT_LE(tries[0].bytes, 3e5);
  EXPECT_GE(tries[0].bytes, 2.8e5);
  EXPECT_NEAR(Play(DefaultGoal(), 0, 0, {kDense, 120000, 0})[0].bytes, kDense / 24,
              0.02 * kDense / 24);
}

TEST(GoalSearchTest, ComesDownByWhatAFileIsTooLarge) {
  v1::Goal goal = DefaultGoal();
  goal.set_max_bytes(500000);
  const GoalSizes sizes = {kDense, 15000, 0};
  const double first = *NextBudget(goal, sizes, {});
  const auto next = NextBudget(goal, sizes, {{first, true, 522000, 0}});
  ASSERT_TRUE(next);
  EXPECT_LT(*next * (522000 - 15000) / first + 15000, 500000);
  EXPECT_GT(*next, 0.9 * first);
  const auto far = NextBudget(goal, sizes, {{first, true, 1200000, 0}});
  ASSERT_TRUE(far);
  EXPECT_DOUBLE_EQ(*far, first / 1.6) << "no further than a step";
}

TEST(GoalSearchTest, TriesTheLeastOnce) {
  std::vector<GoalTry> tries = Play(DefaultGoal(), 0, 0, {kDense, 0, 1e6});
  ASSERT_EQ(tries.size(), 4);
  EXPECT_EQ(tries.back().budget, 1e6);
  EXPECT_GT(tries[2].budget, 1e6);
  v1::Goal goal = DefaultGoal();
  goal.set_max_bytes(900000);
  tries = Play(goal, 0, 0, {kDense, 0, 1e6});
  ASSERT_EQ(tries.size(), 1) << "no choice is smaller, though the file may be";
  EXPECT_EQ(tries[0].budget, 1e6);
}

TEST(GoalSearchTest, EndsAfterTheLastTry) {
  v1::Goal goal = DefaultGoal();
  goal.set_max_tries(2);
  EXPECT_EQ(Play(goal, 0.1e6).size(), 2);
}

}  // namespace
}  // namespace cytopress
