#include "core/pipeline/stage_clock.h"

#include <gtest/gtest.h>

#include "absl/time/time.h"
#include "tests/fake_clock.h"

namespace cytopress {
namespace {

TEST(StageClockTest, AStageWithinHasItsOwnTime) {
  FakeClock clock;
  StageClock stages(&clock);
  stages.Begin();
  clock.Advance(absl::Seconds(5));
  stages.BeginNested();
  EXPECT_EQ(stages.depth(), 1u);
  clock.Advance(absl::Seconds(2));
  EXPECT_EQ(stages.Taken(), absl::Seconds(2));
  EXPECT_EQ(stages.TakenByOuter(), absl::Seconds(7));
  stages.EndNested();
  EXPECT_EQ(stages.Taken(), absl::Seconds(7));
  stages.Begin();  // the next stage of the job
  EXPECT_EQ(stages.depth(), 0u);
  EXPECT_EQ(stages.Taken(), absl::ZeroDuration());
}

TEST(StageClockTest, AnotherAttemptGoesOnFromTheTimesOfTheCheckpoint) {
  FakeClock clock;
  StageClock first(&clock);
  first.Begin();
  clock.Advance(absl::Seconds(5));
  first.BeginNested();
  clock.Advance(absl::Seconds(2));
  TensorTable table;
  first.Put(table);
  StageClock second(&clock);
  second.Begin();
  clock.Advance(absl::Seconds(1));  // repeats what comes before the stage within
  second.BeginNested();
  second.Take(table);
  EXPECT_EQ(second.Taken(), absl::Seconds(2));
  EXPECT_EQ(second.TakenByOuter(), absl::Seconds(7));
}

TEST(StageClockTest, NoStageTakesLessThanInThisAttempt) {
  FakeClock clock;
  StageClock first(&clock);
  first.Begin();
  clock.Advance(absl::Seconds(5));
  TensorTable table;
  first.Put(table);
  StageClock second(&clock);
  second.Begin();
  clock.Advance(absl::Seconds(9));
  second.Take({});
  EXPECT_EQ(second.Taken(), absl::Seconds(9));
  second.Take(table);
  EXPECT_EQ(second.Taken(), absl::Seconds(9));
}

}  // namespace
}  // namespace cytopress
