#include "server/metrics/state_reader.h"

#include <gtest/gtest.h>

#include <memory>

#include "absl/status/status.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "tests/eventually.h"
#include "tests/fake_clock.h"

namespace cytopress {
namespace {

TEST(StateReaderTest, GivesWhatItWasAskedToRead) {
  FakeClock clock;
  int readings = 0;
  StateReader reader(
      {"disk"},
      [&readings] {
        StateReading reading;
        reading.Note("disk", absl::OkStatus());
        reading.models.push_back({"cells", ++readings});
        return reading;
      },
      &clock, absl::InfiniteDuration());
  for (int i = 1; i <= 3; ++i) {
    reader.Ask();
    const StateReading reading = reader.Get(kPatience);
    ASSERT_EQ(reading.models.size(), 1u);
    EXPECT_EQ(reading.models[0].version, i);
    ASSERT_EQ(reading.readable.size(), 1u);
    EXPECT_TRUE(reading.readable[0].second);
    clock.Advance(absl::Seconds(1));
  }
}

TEST(StateReaderTest, LeavesAReadingThatHangsToItself) {
  struct Disk {
    absl::Notification is_read;
    absl::Notification answers;
  };
  auto disk = std::make_shared<Disk>();
  {
    FakeClock clock;
    StateReader reader(
        {"disk"},
        [disk] {
          disk->is_read.Notify();
          disk->answers.WaitForNotification();
          return StateReading();
        },
        &clock, absl::Milliseconds(1));
    reader.Ask();
    disk->is_read.WaitForNotification();
    const StateReading reading = reader.Get(absl::Milliseconds(1));
    ASSERT_EQ(reading.readable.size(), 1u);
    EXPECT_FALSE(reading.readable[0].second);
  }
  disk->answers.Notify();
  const std::weak_ptr<Disk> last = disk;
  disk.reset();
  EXPECT_TRUE(Eventually([&last] { return last.expired(); })) << "what it uses ends with it";
}

}  // namespace
}  // namespace cytopress
