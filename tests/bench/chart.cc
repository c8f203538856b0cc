#include "tests/bench/chart.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_format.h"

namespace cytopress {
namespace {

// In units of the picture.
constexpr double kWidth = 860;
constexpr double kLabels = 230;  // left of the bars
constexpr double kValues = 130;  // right of them
constexpr double kBar = 20;      // with the gap to the next
constexpr double kMark = 24;     // of the legend
constexpr double kTitle = 40;
constexpr double kHeading = 34;  // above a group's bars

constexpr char kDescription[] =
    "A bar for each contender: images a second, in groups by batch size and threads, each group on "
    "a scale of its own. Whiskers: from the 10th to the 90th percentile of the passes. Beside "
    "them: images a second and the median time of a batch.";

// Each colour is at least 3:1 from what it lies on, text 4.5:1 (WCAG 2.1).
constexpr char kStyle[] =
    "text{font:12px sans-serif;fill:#222}.title{font-weight:bold;font-size:15px}"
    ".heading{font-weight:bold}.page{fill:#fff}.ours{fill:#0b7a75}.others{fill:#8b95a1}"
    ".spread{stroke:#222;fill:none}@media(prefers-color-scheme:dark){text{fill:#e6eaf0}"
    ".page{fill:#12161c}.ours{fill:#13938c}.others{fill:#6b7785}.spread{stroke:#e6eaf0}}";

bool IsOurs(const std::string& contender) {
  return absl::StartsWith(contender, "onednn-") || absl::StartsWith(contender, "mixed-") ||
         absl::StartsWith(contender, "block-");
}

class Chart {
 public:
  explicit Chart(const std::string& title) : title_(title), y_(kTitle) {
    Text("title", 16, 24, "start", title);
    AddLegend();
  }

  void AddGroup(const std::vector<Timing>& timings, const std::string& heading) {
    double most = 0;
    for (const Timing& timing : timings) most = std::max(most, timing.batch / timing.p10);
    Text("heading", 16, y_ + 20, "start", heading);
    y_ += kHeading;
    const double unit = (kWidth - kLabels - kValues) / most;
    for (const Timing& timing : timings) {
      const double middle = y_ + kBar / 2;
      const double length = timing.images_per_second() * unit;
      Text("", kLabels - 8, middle + 4, "end", timing.contender);
      Bar(IsOurs(timing.contender) ? "ours" : "others", kLabels, length);
      const double slow = kLabels + timing.batch / timing.p90 * unit;
      const double fast = kLabels + timing.batch / timing.p10 * unit;
      Whisker(slow, fast);
      Text("", fast + 8, middle + 4, "start",
           absl::StrFormat("%.0f (%.2f ms)", timing.images_per_second(), timing.median * 1e3));
      y_ += kBar;
    }
  }

  std::string Finish() const {
    const double height = y_ + 16;
    return absl::StrFormat(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %g %g\" width=\"%g\" "
        "height=\"%g\" role=\"img\" aria-labelledby=\"title description\">\n"
        "<title id=\"title\">%s</title>\n<desc id=\"description\">%s</desc>\n"
        "<style>%s</style>\n<rect class=\"page\" width=\"100%%\" height=\"100%%\"/>\n%s</svg>\n",
        kWidth, height, kWidth, height, title_, kDescription, kStyle, svg_);
  }

 private:
  // A row of what the marks in the others mean.
  void AddLegend() {
    svg_ += "<g class=\"legend\">\n";
    const double baseline = y_ + kBar / 2 + 4;
    Bar("ours", 16, kMark);
    Text("", 48, baseline, "start", "cytopress");
    Bar("others", 120, kMark);
    Text("", 152, baseline, "start", "other runtimes");
    Whisker(272, 272 + kMark);
    Text("", 304, baseline, "start", "10th to 90th percentile of passes");
    Text("", kWidth - 16, baseline, "end", "images a second (median time)");
    svg_ += "</g>\n";
    y_ += kBar;
  }

  // In the row that begins at y_, as the next.
  void Bar(const char* style, double x, double length) {
    absl::StrAppendFormat(&svg_,
                          "<rect class=\"%s\" x=\"%g\" y=\"%g\" width=\"%.1f\" height=\"%g\"/>\n",
                          style, x, y_ + 2, length, kBar - 4);
  }
  void Whisker(double from, double to) {
    absl::StrAppendFormat(&svg_, "<path class=\"spread\" d=\"M%.1f %gH%.1f\"/>\n", from,
                          y_ + kBar / 2, to);
  }
  // Names and titles are ours: nothing in them needs to be escaped.
  void Text(const char* style, double x, double y, const char* anchor, const std::string& text) {
    absl::StrAppendFormat(&svg_,
                          "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>\n",
                          style, x, y, anchor, text);
  }

  const std::string title_;
  double y_;
  std::string svg_;
};

}  // namespace

std::string DrawTimings(const std::string& title, const std::vector<Timing>& timings) {
  Chart chart(title);
  const auto has_other_threads = [&](const Timing& timing) {
    return timing.threads != timings.front().threads;
  };
  const bool says_threads = std::any_of(timings.begin(), timings.end(), has_other_threads);
  for (auto first = timings.begin(); first != timings.end();) {
    const auto last = std::find_if(first, timings.end(), [&](const Timing& timing) {
      return timing.batch != first->batch || timing.threads != first->threads;
    });
    const std::string threads =
        says_threads ? absl::StrFormat(", threads: %d", first->threads) : "";
    chart.AddGroup({first, last},
                   absl::StrFormat("batch %d%s: images a second", first->batch, threads));
    first = last;
  }
  return chart.Finish();
}

}  // namespace cytopress
