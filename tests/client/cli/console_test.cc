#include "client/cli/console.h"

#include <gtest/gtest.h>

#include <cmath>
#include <sstream>

#include "cytopress/v1/job.pb.h"

namespace cytopress {
namespace {

TEST(Format, Numbers) {
  EXPECT_EQ(FormatBytes(999), "999 B");
  EXPECT_EQ(FormatBytes(23508032), "23.5 MB");
  EXPECT_EQ(FormatBytes(123456789), "123 MB");
  EXPECT_EQ(FormatSeconds(0.033), "33 ms");
  EXPECT_EQ(FormatSeconds(4.25), "4.2 s");
  EXPECT_EQ(FormatSeconds(192), "3:12 min");
  EXPECT_EQ(FormatSeconds(3723), "1:02:03 h");
  EXPECT_EQ(FormatPercent(0.95321), "95.32 %");
  EXPECT_EQ(FormatPercent(std::nan("")), "-");
  EXPECT_EQ(FormatFigure(0.97144), "0.9714");
  EXPECT_EQ(FormatFigure(std::nan("")), "-");
  EXPECT_EQ(FormatMilliseconds(0.00325), "3.25 ms");
  EXPECT_EQ(FormatImages(1), "1 image");
  EXPECT_EQ(FormatImages(0), "0 images");
}

TEST(Format, BarStaysWithinItsWidth) {
  EXPECT_EQ(FormatBar(0.5, 4), "##..");
  EXPECT_EQ(FormatBar(7, 4), "####");
  EXPECT_EQ(FormatBar(-1, 4), "....");
}

TEST(Printable, DisarmsEscapeSequences) {
  EXPECT_EQ(Printable("a\x1b[2Jb\n"), "a?[2Jb?");
  EXPECT_EQ(Printable("x\u009b31mRED"), "x?31mRED");
  EXPECT_EQ(Printable("\u202eleft\u202c \u2066\u2069"), "?left? ??");
  EXPECT_EQ(Printable("Größe, 好中球 – “a”\u00a0b"), "Größe, 好中球 – “a”\u00a0b");
  EXPECT_EQ(Printable("cut \xc2"), "cut \xc2");
}

TEST(Table, AlignsTextLeftAndNumbersRight) {
  Table table({"name", ">size"});
  table.AddRow({"blood\x1b", "7"});
  table.AddRow({"x", "1234"});
  std::ostringstream out;
  table.Print(&out);
  EXPECT_EQ(out.str(),
            "name    size\n"
            "blood?     7\n"
            "x       1234\n");
}

TEST(Table, ARemarkWidensNoColumn) {
  Table table({"name", "class", ">size"});
  table.AddRow({"x", "a", "7"});
  table.AddRemark("longer", "error: much longer than a class\n");
  EXPECT_EQ(table.Lines(), (std::vector<std::string>{"name    class  size", "x       a         7",
                                                     "longer  error: much longer than a class?"}));
}

TEST(Table, CountsCharactersNotBytes) {
  Table table({"name", ">size"});
  table.AddRow({"好中球", "7"});
  table.AddRow({"Größe", "8"});
  EXPECT_EQ(table.Lines(),
            (std::vector<std::string>{"name   size", "好中球       7", "Größe     8"}));
}

TEST(ToJson, KeepsFieldNamesAndZeros) {
  v1::Job job;
  job.set_cancel_requested(false);
  const Json json = ToJson(job);
  EXPECT_EQ(json["cancel_requested"], false);
  EXPECT_EQ(json["state"], "JOB_STATE_UNSPECIFIED");
}

}  // namespace
}  // namespace cytopress
