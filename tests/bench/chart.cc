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
constexpr double kTitle = 40;
constexpr double kHeading = 34;  // above a group's bars

bool IsOurs(const std::string& contender) {
  return absl::StartsWith(contender, "onednn-") || absl::StartsWith(contender, "mixed-") ||
         absl::StartsWith(contender, "block-");
}

class Chart {
 public:
  explicit Chart(const std::string& title) {
    Text("title", 16, 24, "start", title);
    y_ = kTitle;
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
      absl::StrAppendFormat(
          &svg_, "<rect class=\"%s\" x=\"%g\" y=\"%g\" width=\"%.1f\" height=\"%g\"/>\n",
          IsOurs(timing.contender) ? "ours" : "others", kLabels, y_ + 2, length, kBar - 4);
      const double slow = kLabels + timing.batch / timing.p90 * unit;
      const double fast = kLabels + timing.batch / timing.p10 * unit;
      absl::StrAppendFormat(&svg_, "<path class=\"spread\" d=\"M%.1f %gH%.1f\"/>\n", slow, middle,
                            fast);
      Text("", fast + 8, middle + 4, "start",
           absl::StrFormat("%.0f (%.2f ms)", timing.images_per_second(), timing.median * 1e3));
      y_ += kBar;
    }
  }

  std::string Finish() const {
    const double height = y_ + 16;
    return absl::StrFormat(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %g %g\" width=\"%g\" "
        "height=\"%g\">\n<style>text{font:12px sans-serif;fill:#222}.title{font-weight:bold;"
        "font-size:15px}.heading{font-weight:bold}.ours{fill:#0b7a75}.others{fill:#b8bec6}"
        ".spread{stroke:#222;fill:none}</style>\n<rect width=\"100%%\" height=\"100%%\" "
        "fill=\"#fff\"/>\n%s</svg>\n",
        kWidth, height, kWidth, height, svg_);
  }

 private:
  // Names and titles are ours: nothing in them needs to be escaped.
  void Text(const char* style, double x, double y, const char* anchor, const std::string& text) {
    absl::StrAppendFormat(&svg_,
                          "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>\n",
                          style, x, y, anchor, text);
  }

  std::string svg_;
  double y_ = 0;
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
