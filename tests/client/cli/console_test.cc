#include "client/cli/console.h"

#include <gtest/gtest.h>

#include <cmath>
#include <sstream>
#include <string>
#include <vector>

#include "cytopress/v1/job.pb.h"
#include "tests/scoped_environment.h"

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

TEST(Format, TimesHaveTheirZone) {
  const ScopedEnvironment zone("TZ", "UTC");
  google::protobuf::Timestamp time;
  EXPECT_EQ(FormatTimestamp(time), "-");
  time.set_seconds(1700000000);
  EXPECT_EQ(FormatTimestamp(time), "2023-11-14 22:13 UTC");
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

TEST(Fitting, CutsBetweenCharacters) {
  const std::string text = "0123456789012345678901234567";
  EXPECT_EQ(Fitting(text, 10, 0), text) << "no terminal";
  EXPECT_EQ(Fitting(text, 10, 38), text);
  EXPECT_EQ(Fitting(text, 10, 37), "012345678901234567890123...");
  EXPECT_EQ(Fitting(text, 70, 80), "012345678901234567890...") << "no less than this";
  EXPECT_EQ(Fitting("好中球好中球好中球好中球好中球", 0, 26), "好中球好中球好中球好中...");
}

TEST(Table, CutsTheLastColumnOnly) {
  Table table({"name", "note"});
  table.AddRow({"blood", std::string(50, 'x')});
  table.AddRow({"bone", "short"});
  const std::vector<std::string> lines = table.Lines(40);
  EXPECT_EQ(lines[0], "name   note");
  EXPECT_EQ(lines[1], "blood  " + std::string(30, 'x') + "...");
  EXPECT_EQ(lines[2], "bone   short");
  EXPECT_EQ(table.Lines()[1], "blood  " + std::string(50, 'x'));
}

TEST(Table, LeavesExpendableColumnsOutWhereLinesWouldNotFit) {
  Table table({"name", ">size", "kind", "note"});
  table.SetExpendable({"kind", "note"});
  table.AddRow({"blood", "12", "resnet", "n"});
  table.AddRemark("bone", "error");
  const std::string whole = "name   size  kind    note";
  EXPECT_EQ(table.Lines()[0], whole);
  EXPECT_EQ(table.Lines(25)[0], whole);
  EXPECT_EQ(table.Lines(24),
            (std::vector<std::string>{"name   size  note", "blood    12  n", "bone   error"}));
  EXPECT_EQ(table.Lines(16),
            (std::vector<std::string>{"name   size", "blood    12", "bone   error"}));
  EXPECT_EQ(table.Lines(3)[1], "blood    12") << "there is no more to leave out";
}

TEST(Table, KeepsColumnsBeforeATextThatCanBeCut) {
  Table table({"name", "kind", "note"});
  table.SetExpendable({"kind"});
  table.AddRow({"blood", "resnet", std::string(50, 'x')});
  EXPECT_EQ(table.Lines(40)[1], "blood  resnet  " + std::string(22, 'x') + "...");
  EXPECT_EQ(table.Lines(38)[1], "blood  " + std::string(28, 'x') + "...");
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

TEST(Table, CountsColumnsNotBytes) {
  Table table({"name", ">size"});
  table.AddRow({"好中球", "7"});
  table.AddRow({"Größe", "8"});
  EXPECT_EQ(table.Lines(),
            (std::vector<std::string>{"name    size", "好中球     7", "Größe      8"}));
}

TEST(WidthOf, IsThatOfATerminal) {
  EXPECT_EQ(WidthOf(""), 0u);
  EXPECT_EQ(WidthOf("Zelle-üß"), 8u);
  EXPECT_EQ(WidthOf("u\u0308"), 1u) << "as macOS spells an umlaut in file names";
  EXPECT_EQ(WidthOf("か\u3099"), 2u);
  EXPECT_EQ(WidthOf("細胞 한국 ＡＢ"), 14u);
  EXPECT_EQ(WidthOf("\U0001F52C"), 2u);
  EXPECT_EQ(WidthOf("ﾊﾝ –"), 4u) << "half-width";
  EXPECT_EQ(WidthOf("cut \xe7\xb4"), 5u);
  EXPECT_EQ(WidthOf("\xff\xfe"), 2u);
  EXPECT_EQ(Padded("細胞", 6), "細胞  ");
  EXPECT_EQ(Padded("細胞", 6, /*right=*/true), "  細胞");
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
