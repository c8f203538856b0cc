#include "client/cli/image_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

namespace cytopress {
namespace {

using ::testing::EndsWith;

class ImageLineTest : public ::testing::Test {
 protected:
  Console MakeConsole(bool terminal, int columns = 100) {
    Console console;
    console.err = &err_;
    console.err_terminal = terminal;
    console.columns = columns;
    return console;
  }
  std::string Drawn() {
    const std::string drawn = err_.str();
    err_.str("");
    return drawn;
  }

  FakeClock clock_;
  std::ostringstream err_;
};

TEST_F(ImageLineTest, ShowsHowManyAreDone) {
  {
    ImageLine line(MakeConsole(true), 3840, &clock_);
    line.Show(64);
    EXPECT_EQ(Drawn(), "") << "it may be done in no time";
    clock_.Advance(absl::Seconds(4));
    line.Show(960);
    EXPECT_EQ(Drawn(),
              "\rclassifying [######..................] 960 of 3840 images  240/s  ETA 12.0 s"
              "\x1b[K");
    clock_.Advance(absl::Milliseconds(10));
    line.Show(1000);
    EXPECT_EQ(Drawn(), "") << "no more often than an eye can see";
  }
  EXPECT_EQ(Drawn(), "\r\x1b[K") << "the line is gone when it is done";
}

TEST_F(ImageLineTest, SaysThatTheServerIsWaitedFor) {
  ImageLine line(MakeConsole(true), 3840, &clock_);
  clock_.Advance(absl::Seconds(4));
  line.ShowWaiting(960);
  EXPECT_EQ(
      Drawn(),
      "\rclassifying [######..................] 960 of 3840 images  waiting for the server ..."
      "\x1b[K");
}

TEST_F(ImageLineTest, DrawsNothingElsewhere) {
  {
    ImageLine line(MakeConsole(false), 10, &clock_);
    clock_.Advance(absl::Seconds(5));
    line.Show(5);
  }
  EXPECT_EQ(Drawn(), "");
}

TEST_F(ImageLineTest, FitsNarrowTerminals) {
  ImageLine line(MakeConsole(true, 20), 10, &clock_);
  clock_.Advance(absl::Seconds(2));
  line.Show(5);
  EXPECT_THAT(Drawn(), EndsWith("classifying [######\x1b[K"));
}

}  // namespace
}  // namespace cytopress
