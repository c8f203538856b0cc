#include "core/pipeline/checkpoint_pace.h"

#include <gtest/gtest.h>

#include "absl/time/time.h"
#include "tests/fake_clock.h"

namespace cytopress {
namespace {

TEST(CheckpointPaceTest, SavingTakesATwentiethOfTheTime) {
  FakeClock clock;
  CheckpointPace pace(&clock);
  ASSERT_TRUE(pace.IsDue());
  const absl::Duration start = clock.Steady();
  clock.Advance(absl::Seconds(2));
  pace.Saved(start);
  EXPECT_FALSE(pace.IsDue());
  clock.Advance(absl::Seconds(37.9));
  EXPECT_FALSE(pace.IsDue());
  clock.Advance(absl::Seconds(0.1));
  EXPECT_TRUE(pace.IsDue());
  // A faster disk: sooner again.
  pace.Saved(clock.Steady() - absl::Seconds(1));
  clock.Advance(absl::Seconds(19));
  EXPECT_TRUE(pace.IsDue());
}

}  // namespace
}  // namespace cytopress
