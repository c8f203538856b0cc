#include "client/cli/amount_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "tests/fake_clock.h"

namespace cytopress {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

class AmountLineTest : public ::testing::Test {
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

TEST_F(AmountLineTest, ShowsHowFarItIs) {
  {
    AmountLine line(MakeConsole(true), "sending", AmountLine::Bytes(), &clock_);
    line.Show(1000000, 40000000);
    EXPECT_EQ(Drawn(), "") << "it may be done in no time";
    clock_.Advance(absl::Seconds(5));
    line.Show(10000000, 40000000);
    EXPECT_EQ(Drawn(),
              "\rsending [######..................] 10.0 MB of 40.0 MB  2.0 MB/s  ETA 15.0 s"
              "\x1b[K");
    clock_.Advance(absl::Milliseconds(10));
    line.Show(10100000, 40000000);
    EXPECT_EQ(Drawn(), "") << "no more often than an eye can see";
    clock_.Advance(absl::Seconds(5));
    line.Show(40000000, 40000000);
    EXPECT_THAT(Drawn(), Not(HasSubstr("ETA")));
  }
  EXPECT_EQ(Drawn(), "\r\x1b[K") << "the line is gone when it is done";
}

TEST_F(AmountLineTest, CountsImages) {
  AmountLine line(MakeConsole(true), "classifying", AmountLine::Images(), &clock_);
  clock_.Advance(absl::Seconds(4));
  line.Show(960, 3840);
  EXPECT_EQ(Drawn(),
            "\rclassifying [######..................] 960 of 3840 images  240/s  ETA 12.0 s"
            "\x1b[K");
}

TEST_F(AmountLineTest, SaysThatTheServerIsWaitedFor) {
  AmountLine line(MakeConsole(true), "classifying", AmountLine::Images(), &clock_);
  clock_.Advance(absl::Seconds(4));
  line.ShowWaiting(960, 3840);
  EXPECT_EQ(
      Drawn(),
      "\rclassifying [######..................] 960 of 3840 images  waiting for the server ..."
      "\x1b[K");
}

TEST_F(AmountLineTest, DrawsNothingElsewhere) {
  {
    AmountLine line(MakeConsole(false), "sending", AmountLine::Bytes(), &clock_);
    clock_.Advance(absl::Seconds(5));
    line.Show(10000000, 40000000);
    line.ShowWaiting(10000000, 40000000);
  }
  EXPECT_EQ(Drawn(), "");
}

TEST_F(AmountLineTest, KnowsNoTotalOfAFileThatIsMadeOnTheWay) {
  AmountLine line(MakeConsole(true), "receiving", AmountLine::Bytes(), &clock_);
  clock_.Advance(absl::Seconds(2));
  line.Show(10000000, 0);
  EXPECT_EQ(Drawn(), "\rreceiving 10.0 MB  5.0 MB/s\x1b[K");
}

TEST_F(AmountLineTest, FitsNarrowTerminals) {
  AmountLine line(MakeConsole(true, 20), "sending", AmountLine::Bytes(), &clock_);
  clock_.Advance(absl::Seconds(2));
  line.Show(10000000, 40000000);
  EXPECT_THAT(Drawn(), EndsWith("sending [######....\x1b[K"));
}

}  // namespace
}  // namespace cytopress
