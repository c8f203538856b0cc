#include "core/base/steady_notification.h"

#include <gtest/gtest.h>

#include <thread>

#include "core/base/clock.h"

namespace cytopress {
namespace {

constexpr absl::Duration kLong = absl::Minutes(10);

TEST(SteadyNotificationTest, TheTimeoutPassesWithoutNews) {
  SteadyNotification notification;
  const absl::Duration start = RealClock()->Steady();
  EXPECT_FALSE(notification.WaitFor(absl::Milliseconds(20)));
  EXPECT_GE(RealClock()->Steady() - start, absl::Milliseconds(20));
  EXPECT_FALSE(notification.WaitFor(absl::ZeroDuration()));
  EXPECT_FALSE(notification.HasBeenNotified());
}

TEST(SteadyNotificationTest, WakesWhoWaits) {
  SteadyNotification asks, answers;
  std::thread waiter([&] {
    EXPECT_TRUE(asks.WaitFor(kLong));
    answers.Notify();
  });
  const absl::Duration start = RealClock()->Steady();
  asks.Notify();
  EXPECT_TRUE(answers.WaitFor(kLong));
  EXPECT_LT(RealClock()->Steady() - start, kLong / 2);
  waiter.join();
}

TEST(SteadyNotificationTest, WhatCameBeforeTheWaitIsNotLost) {
  SteadyNotification notification;
  notification.Notify();
  notification.Notify();
  EXPECT_TRUE(notification.HasBeenNotified());
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(notification.WaitFor(kLong)) << "it stays";
}

TEST(SteadyNotificationTest, ResetMakesItWaitForTheNext) {
  SteadyNotification notification;
  notification.Notify();
  notification.Reset();
  EXPECT_FALSE(notification.HasBeenNotified());
  EXPECT_FALSE(notification.WaitFor(absl::Milliseconds(1)));
  notification.Notify();
  EXPECT_TRUE(notification.WaitFor(kLong));
}

}  // namespace
}  // namespace cytopress
