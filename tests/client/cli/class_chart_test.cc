#include "client/cli/class_chart.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "absl/strings/str_split.h"

namespace cytopress {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const std::vector<std::string> kNames = {"a<b", "monocyte", "none"};
const std::vector<SplitCounts> kSplits = {{"train", {100, 50, 0}}, {"test", {10, 5, 0}}};

TEST(TextChart, DrawsBarsInProportion) {
  const std::vector<std::string> lines =
      absl::StrSplit(DrawTextChart(kNames, kSplits, 80), '\n', absl::SkipEmpty());
  ASSERT_EQ(lines.size(), 8u);
  EXPECT_EQ(lines[0], "train, 150 images");
  const auto bar = [&](int line) {
    return std::count(lines[line].begin(), lines[line].end(), '#');
  };
  EXPECT_EQ(bar(1), 2 * bar(2));
  EXPECT_EQ(bar(3), 0);
  EXPECT_EQ(bar(5), bar(1));  // a smaller split of the same shape looks the same
  EXPECT_THAT(lines[2], HasSubstr("33.3 %"));
  for (const std::string& line : lines) EXPECT_LE(line.size(), 80u);
}

TEST(TextChart, AlignsNamesOfAnyAlphabet) {
  const std::vector<std::string> lines =
      absl::StrSplit(DrawTextChart({"abcdefg", "ääää"}, {{"train", {1, 1}}}, 80), '\n');
  EXPECT_EQ(lines[1].find(" 1 "), lines[2].find(" 1 ") - std::string("ääää").size() / 2);
}

TEST(SvgChart, HasABarForEachSplitAndClassAndEscapesNames) {
  const std::string svg = DrawSvgChart("cells & co", kNames, kSplits);
  EXPECT_THAT(svg, HasSubstr("a&lt;b"));
  EXPECT_THAT(svg, HasSubstr("cells &amp; co"));
  EXPECT_THAT(svg, Not(HasSubstr("a<b")));
  size_t bars = 0;
  for (size_t at = svg.find("<rect x="); at != std::string::npos;
       at = svg.find("<rect x=", at + 1)) {
    ++bars;
  }
  EXPECT_EQ(bars, 6u + 2u);  // and the legend's
}

}  // namespace
}  // namespace cytopress
