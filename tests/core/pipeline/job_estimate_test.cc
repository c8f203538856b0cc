#include "core/pipeline/job_estimate.h"

#include <gtest/gtest.h>

#include "absl/time/time.h"
#include "tests/fake_clock.h"

namespace cytopress {
namespace {

class JobEstimateTest : public ::testing::Test {
 protected:
  // Four tries of 100 between loading, training of 50 and publishing.
  static JobWork Search(size_t index, double fraction) {
    JobWork work;
    work.costs = {10, 50, 100, 100, 100, 100, 1};
    work.tries_begin = 2;
    work.tries_end = 6;
    work.index = index;
    work.fraction = fraction;
    return work;
  }

  // Two reports of a stage, ten units and ten seconds apart.
  JobEstimate::Result After(JobWork work, double ten_units) {
    JobWork first = work;
    first.fraction -= ten_units;
    EXPECT_EQ(estimate_.Update(first).eta_seconds, -1);
    clock_.Advance(absl::Seconds(10));
    return estimate_.Update(work);
  }

  FakeClock clock_;
  JobEstimate estimate_{&clock_};
};

TEST_F(JobEstimateTest, WithoutATimeBudgetAllTriesCount) {
  const JobEstimate::Result result = After(Search(2, 0.5), 0.1);
  EXPECT_NEAR(result.eta_seconds, 50 + 300 + 1, 1e-6);
  EXPECT_NEAR(result.fraction, 110.0 / 461, 1e-9);
}

TEST_F(JobEstimateTest, TriesThatTheTimeBudgetHasNoRoomForDoNotCount) {
  JobWork work = Search(2, 0.11);
  work.budget_left = absl::Seconds(239);  // 89 for the rest of this one, 100 for one more
  const JobEstimate::Result result = After(work, 0.1);
  EXPECT_NEAR(result.eta_seconds, 89 + 100 + 1, 1e-6);
  EXPECT_NEAR(result.fraction, 71.0 / 261, 1e-9);
}

TEST_F(JobEstimateTest, ARunningTryIsFinishedBeyondTheTimeBudget) {
  JobWork work = Search(2, 0.5);
  work.budget_left = absl::Seconds(-5);
  EXPECT_NEAR(After(work, 0.1).eta_seconds, 50 + 1, 1e-6);
}

TEST_F(JobEstimateTest, TheFirstTryCountsInAnyCaseUpToTheTimeBudget) {
  JobWork work = Search(1, 0.6);
  work.budget_left = absl::Seconds(30);
  EXPECT_NEAR(After(work, 0.2).eta_seconds, 20 + 30 + 1, 1e-6);
}

TEST_F(JobEstimateTest, OtherTriesTakeAsLongAsTheLongestDid) {
  JobWork work = Search(3, 0.5);
  work.longest_try = absl::Seconds(200);
  work.budget_left = absl::Seconds(310);
  EXPECT_NEAR(After(work, 0.1).eta_seconds, 100 + 200 + 1, 1e-6);
}

TEST_F(JobEstimateTest, TriesThatAreTrainedLongerTakeLonger) {
  JobWork work = Search(3, 0.5);
  work.costs = {10, 50, 100, 180, 180, 180, 1};
  work.longest_try = absl::Seconds(50);
  EXPECT_NEAR(After(work, 10.0 / 180).eta_seconds, 45 + 2 * 90 + 1, 1e-6);
  work.budget_left = absl::Seconds(134);  // 45 for the rest of this one, not 90 for one more
  EXPECT_NEAR(estimate_.Update(work).eta_seconds, 45 + 1, 1e-6);
  work.budget_left = absl::Seconds(136);
  EXPECT_NEAR(estimate_.Update(work).eta_seconds, 45 + 90 + 1, 1e-6);
  work.index = 4;
  work.fraction = 0;
  work.longest_try = absl::Seconds(90);  // the one that cost 180
  work.budget_left = absl::Seconds(89);
  EXPECT_LE(estimate_.Update(work).eta_seconds, 1) << "it is left out, and so is the last";
}

TEST_F(JobEstimateTest, ATryThatComesTooLateTakesNoTime) {
  JobWork work = Search(3, 0.5);
  work.longest_try = absl::Seconds(200);
  work.budget_left = absl::Seconds(310);
  After(work, 0.1);
  work.index = 4;
  work.fraction = 0;
  work.budget_left = absl::Seconds(199);
  EXPECT_LE(estimate_.Update(work).eta_seconds, 1);
}

TEST_F(JobEstimateTest, TheFractionDoesNotFallWhenMoreTriesFit) {
  JobWork work = Search(2, 0.11);
  work.budget_left = absl::Seconds(100);
  const double before = After(work, 0.1).fraction;
  work.fraction = 0.12;
  work.budget_left = absl::Seconds(1000);
  EXPECT_EQ(estimate_.Update(work).fraction, before);
  work = Search(6, 1);
  EXPECT_EQ(estimate_.Update(work).fraction, 1);
}

TEST_F(JobEstimateTest, ALeapIsNoMeasureOfTheRest) {
  After(Search(2, 0.2), 0.1);
  estimate_.Leap();
  JobWork work = Search(2, 0.8);
  EXPECT_EQ(estimate_.Update(work).eta_seconds, -1);
  clock_.Advance(absl::Seconds(10));
  work.fraction = 0.9;
  EXPECT_NEAR(estimate_.Update(work).eta_seconds, 10 + 300 + 1, 1e-6);
}

TEST_F(JobEstimateTest, LoadingIsNoMeasureOfTheRest) {
  JobWork work = Search(0, 0.5);
  work.costs = {10, 0, 0, 0, 0, 0, 1};  // before the data are there
  EXPECT_EQ(estimate_.Update(work).eta_seconds, -1);
  clock_.Advance(absl::Seconds(10));
  work.fraction = 1;
  EXPECT_GT(estimate_.Update(work).fraction, 0.9);
  EXPECT_EQ(estimate_.Update(work).eta_seconds, -1);
  EXPECT_LT(estimate_.Update(Search(1, 0)).fraction, 0.1);
}

}  // namespace
}  // namespace cytopress
