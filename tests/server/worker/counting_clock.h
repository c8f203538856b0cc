// A clock for threads that look at it again and again.
#ifndef CYTOPRESS_TESTS_SERVER_WORKER_COUNTING_CLOCK_H_
#define CYTOPRESS_TESTS_SERVER_WORKER_COUNTING_CLOCK_H_

#include <gtest/gtest.h>

#include <atomic>

#include "tests/eventually.h"
#include "tests/fake_clock.h"

namespace cytopress {

// Stands still; knows how often it was looked at, which a thread that ticks does every time.
class CountingClock : public FakeClock {
 public:
  absl::Duration Steady() const override {
    ++looks_;
    return FakeClock::Steady();
  }
  // Returns when whole ticks have come after it.
  void AdvanceAndTick(absl::Duration by) {
    Advance(by);
    const int enough = looks_ + 30;
    EXPECT_TRUE(Eventually([&] { return looks_ >= enough; }));
  }

 private:
  mutable std::atomic<int> looks_{0};
};

}  // namespace cytopress

#endif  // CYTOPRESS_TESTS_SERVER_WORKER_COUNTING_CLOCK_H_
