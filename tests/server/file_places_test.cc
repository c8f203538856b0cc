#include "server/file_places.h"

#include <gtest/gtest.h>

#include "tests/fake_clock.h"

namespace cytopress {
namespace {

struct FakeStream {
  bool cut_off = false;
};

class FilePlacesTest : public testing::Test {
 protected:
  // Both places are taken.
  FilePlacesTest() {
    EXPECT_TRUE(Take(&first_));
    EXPECT_TRUE(Take(&second_));
  }

  bool Take(FakeStream* stream) {
    return places_.Take(stream, [stream] { stream->cut_off = true; });
  }

  FakeClock clock_;
  FilePlaces places_{absl::Seconds(10), &clock_};
  FakeStream first_, second_, third_;
};

TEST_F(FilePlacesTest, AClientWithinItsPatienceKeepsItsPlace) {
  places_.NoteWaiting(&first_);
  clock_.Advance(absl::Seconds(5));
  places_.NoteWaiting(&second_);
  clock_.Advance(absl::Seconds(5));
  EXPECT_FALSE(Take(&third_));
  EXPECT_FALSE(first_.cut_off);
  EXPECT_FALSE(second_.cut_off);
  clock_.Advance(absl::Milliseconds(1));
  EXPECT_FALSE(first_.cut_off) << "nobody wants its place";
  EXPECT_FALSE(Take(&third_)) << "the place is free once the stream has left";
  EXPECT_TRUE(first_.cut_off);
  EXPECT_FALSE(second_.cut_off);
  places_.Leave(&first_);
  EXPECT_TRUE(Take(&third_));
}

TEST_F(FilePlacesTest, OneAtWorkIsNeverCutOff) {
  places_.NoteWaiting(&second_);
  places_.NoteWorking(&second_);
  clock_.Advance(absl::Hours(1000));
  EXPECT_FALSE(Take(&third_));
  EXPECT_FALSE(first_.cut_off) << "it has been at work from the start";
  EXPECT_FALSE(second_.cut_off);
}

TEST_F(FilePlacesTest, OneWithoutAPlaceChangesNothing) {
  EXPECT_FALSE(Take(&third_));
  places_.NoteWaiting(&third_);
  places_.NoteWorking(&third_);
  places_.Leave(&third_);
  EXPECT_FALSE(Take(&third_));
  EXPECT_FALSE(third_.cut_off);
}

}  // namespace
}  // namespace cytopress
