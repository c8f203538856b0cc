#include "client/cli/class_chart.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/console.h"
#include "client/report/html.h"

namespace cytopress {
namespace {

constexpr int kNarrowestBar = 10;
constexpr const char* kSplitColors[] = {"#3b6ea5", "#e0a030", "#7a9e3f"};

int64_t LargestCount(const std::vector<SplitCounts>& splits) {
  int64_t largest = 1;
  for (const SplitCounts& split : splits) {
    for (const int64_t count : split.images) largest = std::max(largest, count);
  }
  return largest;
}

size_t LongestName(const std::vector<std::string>& names) {
  size_t longest = 0;
  for (const std::string& name : names) longest = std::max(longest, WidthOf(Printable(name)));
  return longest;
}

// Pixels of the picture.
constexpr int kBarWidth = 22;
constexpr int kGroupGap = 24;
constexpr int kPlotHeight = 300;
constexpr int kLeft = 20;
constexpr int kTop = 70;
constexpr int kLabelHeight = 150;

void AppendBar(int x, int64_t count, int64_t largest, const char* color, std::string* svg) {
  const double height = static_cast<double>(kPlotHeight) * count / largest;
  const double y = kTop + kPlotHeight - height;
  absl::StrAppendFormat(svg,
                        "<rect x=\"%d\" y=\"%.1f\" width=\"%d\" height=\"%.1f\" fill=\"%s\"/>\n", x,
                        y, kBarWidth, height, color);
  absl::StrAppendFormat(
      svg, "<text x=\"%d\" y=\"%.1f\" font-size=\"8\" text-anchor=\"middle\">%d</text>\n",
      x + kBarWidth / 2, y - 3, count);
}

void AppendLegend(const std::vector<SplitCounts>& splits, std::string* svg) {
  int x = kLeft;
  for (size_t i = 0; i < splits.size(); ++i) {
    absl::StrAppendFormat(svg, "<rect x=\"%d\" y=\"38\" width=\"12\" height=\"12\" fill=\"%s\"/>\n",
                          x, kSplitColors[i % std::size(kSplitColors)]);
    absl::StrAppendFormat(svg, "<text x=\"%d\" y=\"48\" font-size=\"12\">%s (%d)</text>\n", x + 18,
                          EscapeHtml(splits[i].split), splits[i].total());
    x += 130;
  }
}

}  // namespace

std::string DrawTextChart(const std::vector<std::string>& class_names,
                          const std::vector<SplitCounts>& splits, int columns) {
  const int name_width = static_cast<int>(LongestName(class_names));
  const int bar_width = std::max(columns - name_width - 22, kNarrowestBar);
  std::string chart;
  for (const SplitCounts& split : splits) {
    // Each split by its own largest class: a small split shows whether its shape is the same.
    const int64_t largest = LargestCount({split});
    absl::StrAppend(&chart, split.split, ", ", split.total(), " images\n");
    for (size_t i = 0; i < class_names.size(); ++i) {
      const int64_t count = split.images[i];
      const double share = split.total() == 0 ? 0.0 : static_cast<double>(count) / split.total();
      const int full = static_cast<int>(bar_width * count / largest);
      absl::StrAppendFormat(
          &chart, "  %s %6d  %7s  %s\n", Padded(Printable(class_names[i]), name_width), count,
          FormatPercent(share, 1), std::string(std::max(full, count > 0 ? 1 : 0), '#'));
    }
  }
  return chart;
}

std::string DrawSvgChart(const std::string& title, const std::vector<std::string>& class_names,
                         const std::vector<SplitCounts>& splits) {
  const int64_t largest = LargestCount(splits);
  const int group = kBarWidth * static_cast<int>(splits.size()) + kGroupGap;
  const int width = std::max(2 * kLeft + group * static_cast<int>(class_names.size()), 440);
  const int height = kTop + kPlotHeight + kLabelHeight;
  std::string svg = absl::StrFormat(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" "
      "font-family=\"sans-serif\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n"
      "<text x=\"%d\" y=\"24\" font-size=\"16\">%s</text>\n",
      width, height, width, height, kLeft, EscapeHtml(title));
  AppendLegend(splits, &svg);
  const int base = kTop + kPlotHeight;
  for (size_t c = 0; c < class_names.size(); ++c) {
    const int x = kLeft + group * static_cast<int>(c);
    for (size_t s = 0; s < splits.size(); ++s) {
      AppendBar(x + kBarWidth * static_cast<int>(s), splits[s].images[c], largest,
                kSplitColors[s % std::size(kSplitColors)], &svg);
    }
    absl::StrAppendFormat(
        &svg, "<text transform=\"translate(%d,%d) rotate(35)\" font-size=\"12\">%s</text>\n",
        x + kBarWidth, base + 16, EscapeHtml(class_names[c]));
  }
  absl::StrAppendFormat(
      &svg, "<line x1=\"%d\" y1=\"%d\" x2=\"%d\" y2=\"%d\" stroke=\"black\"/>\n</svg>\n", kLeft,
      base, width - kLeft, base);
  return svg;
}

}  // namespace cytopress
