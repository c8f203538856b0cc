#include "client/cli/transfer_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

namespace cytopress {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

class TransferLineTest : public ::testing::Test {
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

TEST_F(TransferLineTest, ShowsHowFarItIs) {
  {
    TransferLine line(MakeConsole(true), "sending", &clock_);
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

TEST_F(TransferLineTest, DrawsNothingElsewhere) {
  {
    TransferLine line(MakeConsole(false), "sending", &clock_);
    clock_.Advance(absl::Seconds(5));
    line.Show(10000000, 40000000);
  }
  EXPECT_EQ(Drawn(), "");
}

TEST_F(TransferLineTest, KnowsNoTotalOfAFileThatIsMadeOnTheWay) {
  TransferLine line(MakeConsole(true), "receiving", &clock_);
  clock_.Advance(absl::Seconds(2));
  line.Show(10000000, 0);
  EXPECT_EQ(Drawn(), "\rreceiving 10.0 MB  5.0 MB/s\x1b[K");
}

TEST_F(TransferLineTest, FitsNarrowTerminals) {
  TransferLine line(MakeConsole(true, 20), "sending", &clock_);
  clock_.Advance(absl::Seconds(2));
  line.Show(10000000, 40000000);
  EXPECT_THAT(Drawn(), EndsWith("sending [######....\x1b[K"));
}

}  // namespace
}  // namespace cytopress
