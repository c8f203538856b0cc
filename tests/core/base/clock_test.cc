#include "core/base/clock.h"

#include <gtest/gtest.h>

#include "absl/time/clock.h"
#include "tests/fake_clock.h"

namespace cytopress {
namespace {

TEST(FakeClockTest, StandsStillUntilTold) {
  FakeClock clock(absl::FromUnixSeconds(100));
  EXPECT_EQ(clock.Now(), absl::FromUnixSeconds(100));
  const absl::Duration start = clock.Steady();
  EXPECT_EQ(clock.Steady(), start);
  clock.Advance(absl::Milliseconds(1500));
  EXPECT_EQ(clock.Now(), absl::FromUnixSeconds(100) + absl::Milliseconds(1500));
  EXPECT_EQ(clock.Steady() - start, absl::Milliseconds(1500));
}

TEST(RealClockTest, TellsTheTimeAndNeverGoesBack) {
  const absl::Time before = absl::Now();
  const absl::Time now = RealClock()->Now();
  EXPECT_GE(now, before - absl::Hours(1));
  EXPECT_LE(now, absl::Now() + absl::Hours(1));
  absl::Duration last = RealClock()->Steady();
  for (int i = 0; i < 1000; ++i) {
    const absl::Duration next = RealClock()->Steady();
    ASSERT_GE(next, last);
    last = next;
  }
}

}  // namespace
}  // namespace cytopress
