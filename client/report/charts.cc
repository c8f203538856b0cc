// Accuracy against what it costs, as inline SVG.
#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/format.h"
#include "client/report/html.h"
#include "client/report/report_judgement.h"
#include "client/report/sections.h"
#include "client/report/verdict.h"
#include "core/registry/model_registry.h"

namespace cytopress {
namespace {

// Units of the picture, which is scaled to the page.
constexpr double kWidth = 520, kHeight = 360;
constexpr double kLeft = 66, kRight = 14, kTop = 16, kBottom = 46;
constexpr double kStrip = 26;  // below the axis, for what is too low to be on it
constexpr double kTextHeight = 13, kLetterWidth = 7.2;  // of a bold DejaVu Sans

struct Point {
  double x = 0;  // bytes or seconds
  double accuracy = 0;
  double low = 0, high = 0;  // its interval; equal where there is none
  v1::WeightType weights = v1::WEIGHT_TYPE_UNSPECIFIED;
  std::string weight_label;
  std::string name;
  std::string x_text;
  bool broken = false;
  bool on_front = false;
};

struct Axis {
  double low = 0, high = 1;
  bool logarithmic = false;
  std::vector<std::pair<double, std::string>> ticks;

  double Share(double value) const {
    if (logarithmic) return std::log(value / low) / std::log(high / low);
    return (value - low) / (high - low);
  }
};

// 1, 2 or 5 times a power of ten, so that `span` has about five steps.
double NiceStep(double span) {
  const double raw = span / 5;
  const double power = std::pow(10, std::floor(std::log10(raw)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (raw <= factor * power * 1.0001) return factor * power;
  }
  return 10 * power;
}

Axis AccuracyAxis(const std::vector<Point>& points) {
  double low = 1, high = 0;
  for (const Point& point : points) high = std::max(high, point.accuracy);
  for (const Point& point : points) {
    if (!point.broken && point.accuracy > high / 2) low = std::min(low, point.accuracy);
  }
  low = std::min(low, high);
  const double step = NiceStep(std::max(high - low, 0.01));
  Axis axis;
  axis.low = std::max(0.0, std::floor((low - step / 4) / step) * step);
  axis.high = std::min(1.0, std::ceil((high + step / 4) / step) * step);
  for (double tick = axis.low; tick < axis.high + step / 2; tick += step) {
    axis.ticks.push_back({tick, absl::StrFormat("%.*f", step < 0.01 ? 3 : 2, tick)});
  }
  return axis;
}

// 1, 2 or 5 times a power of ten: the largest up to `value`, or the smallest from it on.
double NiceBound(double value, bool up) {
  const double power = std::pow(10, std::floor(std::log10(value)));
  double below = power;
  for (const double factor : {1.0, 2.0, 5.0, 10.0}) {
    if (factor * power <= value) below = factor * power;
    if (up && factor * power >= value) return factor * power;
  }
  return below;
}

Axis SizeAxis(const std::vector<Point>& points) {
  const auto [least, most] = std::minmax_element(
      points.begin(), points.end(), [](const Point& a, const Point& b) { return a.x < b.x; });
  Axis axis;
  axis.logarithmic = true;
  // From tick to tick: between 2 and 5 there would be none.
  axis.low = NiceBound(least->x / 1.1, /*up=*/false);
  axis.high = NiceBound(most->x * 1.1, /*up=*/true);
  const bool wide = axis.high / axis.low > 50;
  for (double power = 1; power <= axis.high; power *= 10) {
    for (const double factor : {1.0, 2.0, 5.0}) {
      const double tick = factor * power;
      if (tick < axis.low || tick > axis.high || (wide && factor != 1)) continue;
      axis.ticks.push_back({tick, FormatBytes(static_cast<int64_t>(tick))});
    }
  }
  return axis;
}

Axis LatencyAxis(const std::vector<Point>& points) {
  Axis axis;
  axis.high = 0;
  for (const Point& point : points) axis.high = std::max(axis.high, point.x * 1.08);
  const double step = NiceStep(axis.high);
  if (!std::isnormal(step)) return axis;  // 0 would add ticks for ever
  for (double tick = 0; tick < axis.high; tick += step) {
    axis.ticks.push_back({tick, absl::StrFormat("%g ms", 1e3 * tick)});
  }
  return axis;
}

// A point is on the front when no other is as small and more accurate.
void MarkFront(std::vector<Point>* points) {
  std::sort(points->begin(), points->end(), [](const Point& a, const Point& b) {
    return a.x != b.x ? a.x < b.x : a.accuracy > b.accuracy;
  });
  double best = -1;
  for (Point& point : *points) {
    point.on_front = !point.broken && point.accuracy > best;
    if (point.on_front) best = point.accuracy;
  }
}

struct Box {
  double left, top, right, bottom;
  bool Overlaps(const Box& o) const {
    return left < o.right && o.left < right && top < o.bottom && o.top < bottom;
  }
};

class Chart {
 public:
  Chart(std::vector<Point> points, Axis x, Axis y)
      : points_(std::move(points)), x_(std::move(x)), y_(std::move(y)) {
    for (const Point& point : points_) {
      strip_ |= point.accuracy < y_.low;
      has_front_ |= point.on_front;
    }
  }

  std::string Draw(const std::string& id, const std::string& title, const std::string& x_title) {
    absl::StrAppendFormat(&svg_,
                          "<svg class=\"chart\" viewBox=\"0 0 %g %g\" role=\"img\" "
                          "aria-labelledby=\"%s-t %s-d\"><title id=\"%s-t\">%s</title>"
                          "<desc id=\"%s-d\">%s</desc>\n",
                          kWidth, kHeight, id, id, id, EscapeHtml(title), id,
                          EscapeHtml(Description()));
    DrawAxes(x_title);
    DrawFront();
    for (const Point& point : points_) DrawInterval(point);
    for (const Point& point : points_) DrawMarker(point);
    for (const Point& point : points_) {
      if (point.on_front || point.accuracy < y_.low || !has_front_) DrawLabel(point);
    }
    svg_ += "</svg>\n";
    return svg_;
  }

 private:
  double X(double value) const { return kLeft + x_.Share(value) * (kWidth - kLeft - kRight); }
  double PlotBottom() const { return kHeight - kBottom - (strip_ ? kStrip : 0); }
  double Y(double accuracy) const {
    if (accuracy < y_.low) return PlotBottom() + kStrip / 2 + 3;
    return PlotBottom() - y_.Share(accuracy) * (PlotBottom() - kTop);
  }

  std::string Description() const {
    std::string text = absl::StrCat(points_.size(), " models.");
    if (!has_front_) return text;
    text += " On the front, smallest first: ";
    const char* separator = "";
    for (const Point& point : points_) {
      if (!point.on_front) continue;
      absl::StrAppendFormat(&text, "%s%s, %s, accuracy %.4f", separator, point.name, point.x_text,
                            point.accuracy);
      separator = "; ";
    }
    return text + ".";
  }

  void DrawAxes(const std::string& x_title) {
    for (const auto& [value, text] : y_.ticks) {
      absl::StrAppendFormat(
          &svg_,
          "<line class=\"rule\" x1=\"%g\" x2=\"%g\" y1=\"%.1f\" y2=\"%.1f\"/>"
          "<text class=\"tick\" x=\"%g\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n",
          kLeft, kWidth - kRight, Y(value), Y(value), kLeft - 7, Y(value) + 4, text);
    }
    const double bottom = kHeight - kBottom;
    for (const auto& [value, text] : x_.ticks) {
      // Wide letters would not fit into the margin.
      const bool at_edge = X(value) + kLetterWidth * static_cast<double>(text.size()) > kWidth;
      absl::StrAppendFormat(
          &svg_,
          "<line class=\"rule\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%g\" y2=\"%g\"/>"
          "<text class=\"tick\" x=\"%.1f\" y=\"%g\" text-anchor=\"%s\">%s</text>\n",
          X(value), X(value), kTop, bottom, at_edge ? kWidth : X(value), bottom + 17,
          at_edge ? "end" : "middle", EscapeHtml(text));
    }
    absl::StrAppendFormat(&svg_,
                          "<line class=\"axis\" x1=\"%g\" x2=\"%g\" y1=\"%g\" y2=\"%g\"/>"
                          "<text class=\"name\" x=\"%g\" y=\"%g\" text-anchor=\"middle\">%s</text>"
                          "<text class=\"name\" transform=\"translate(13 %g) rotate(-90)\" "
                          "text-anchor=\"middle\">test accuracy</text>\n",
                          kLeft, kWidth - kRight, bottom, bottom, (kLeft + kWidth - kRight) / 2,
                          kHeight - 8, EscapeHtml(x_title), (kTop + bottom) / 2);
    if (!strip_) return;
    absl::StrAppendFormat(
        &svg_,
        "<rect class=\"strip\" x=\"%g\" y=\"%g\" width=\"%g\" height=\"%g\"/>"
        "<text class=\"tick\" x=\"%g\" y=\"%g\" text-anchor=\"end\">lower</text>\n",
        kLeft, PlotBottom() + 4, kWidth - kLeft - kRight, kStrip - 4, kLeft - 7,
        PlotBottom() + kStrip / 2 + 7);
  }

  void DrawFront() {
    std::string path;
    double last_x = 0, last_y = 0;
    for (const Point& point : points_) {
      if (!point.on_front) continue;
      const double x = X(point.x), y = Y(point.accuracy);
      if (path.empty()) {
        path = absl::StrFormat("M%.1f %.1f", x, y);
      } else {
        absl::StrAppendFormat(&path, "H%.1fV%.1f", x, y);
        TakeLine(last_x, last_y, x, last_y);
        TakeLine(x, y, x, last_y);
      }
      last_x = x;
      last_y = y;
    }
    if (path.empty()) return;
    TakeLine(last_x, last_y, kWidth - kRight, last_y);
    absl::StrAppendFormat(&svg_, "<path class=\"front\" d=\"%sH%g\"/>\n", path, kWidth - kRight);
  }

  // Labels keep clear of the line.
  void TakeLine(double left, double top, double right, double bottom) {
    taken_.push_back({left - 1, top - 1, right + 1, bottom + 1});
  }

  // As much of it as the axis has.
  void DrawInterval(const Point& point) {
    const double low = std::max(point.low, y_.low), high = std::min(point.high, y_.high);
    if (point.accuracy < y_.low || !(low < high)) return;
    absl::StrAppendFormat(
        &svg_, "<line class=\"interval\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>\n",
        X(point.x), X(point.x), Y(low), Y(high));
  }

  // Shape and colour both say how the weights are stored.
  void DrawMarker(const Point& point) {
    const double x = X(point.x), y = Y(point.accuracy);
    std::string shape;
    switch (point.weights) {
      case v1::WEIGHT_TYPE_INT8:
        shape = absl::StrFormat(
            "<rect class=\"m int8\" x=\"%.1f\" y=\"%.1f\" width=\"10\" height=\"10\">", x - 5,
            y - 5);
        break;
      case v1::WEIGHT_TYPE_FP32:
        shape =
            absl::StrFormat("<path class=\"m fp32\" d=\"M%.1f %.1fl7 7l-7 7l-7 -7z\">", x, y - 7);
        break;
      case v1::WEIGHT_TYPE_INT4:
        shape = absl::StrFormat("<path class=\"m int4\" d=\"M%.1f %.1fl6.5 11h-13z\">", x, y - 7);
        break;
      default:
        shape =
            absl::StrFormat("<circle class=\"m fp16\" cx=\"%.1f\" cy=\"%.1f\" r=\"5.5\">", x, y);
    }
    absl::StrAppendFormat(&svg_, "%s<title>%s: accuracy %.4f, %s</title></%s>\n", shape,
                          EscapeHtml(point.name), point.accuracy, EscapeHtml(point.x_text),
                          shape.substr(1, shape.find(' ') - 1));
    taken_.push_back({x - 7, y - 7, x + 7, y + 7});
  }

  // At the first of some places around the marker where it covers nothing.
  void DrawLabel(const Point& point) {
    const std::string text = point.accuracy < y_.low
                                 ? absl::StrFormat("%s: %.3f", point.name, point.accuracy)
                                 : point.name;
    const double x = X(point.x), y = Y(point.accuracy);
    const double width = kLetterWidth * static_cast<double>(text.size());
    const std::array<std::pair<double, double>, 12> places = {{{-width / 2, -12},
                                                               {11, 4},
                                                               {-width / 2, 22},
                                                               {-width - 11, 4},
                                                               {8, -10},
                                                               {8, 20},
                                                               {-width - 6, -12},
                                                               {-width / 2, -27},
                                                               {8, -27},
                                                               {-width - 6, -27},
                                                               {-width - 6, 20},
                                                               {8, 36}}};
    for (const auto& [dx, dy] : places) {
      const Box box{x + dx, y + dy - kTextHeight + 3, x + dx + width, y + dy + 3};
      if (box.left < kLeft || box.right > kWidth || box.top < 0) continue;
      if (box.bottom > kHeight - kBottom) continue;  // there are the ticks
      if (std::any_of(taken_.begin(), taken_.end(),
                      [&](const Box& o) { return box.Overlaps(o); })) {
        continue;
      }
      taken_.push_back(box);
      absl::StrAppendFormat(&svg_, "<text class=\"label\" x=\"%.1f\" y=\"%.1f\">%s</text>\n",
                            x + dx, y + dy, EscapeHtml(text));
      return;
    }
  }

  std::vector<Point> points_;
  const Axis x_, y_;
  bool strip_ = false;
  bool has_front_ = false;
  std::vector<Box> taken_;
  std::string svg_;
};

// A front compares.
bool MayHaveFront(const ReportData& data, bool latency) {
  return HaveOneDataset(data) && (!latency || HaveOneProcessor(data));
}

// A cell's place in the grid, or the model's own name where that would tell it from no other.
std::string PointName(const ReportData& data, const ReportCell& cell) {
  const auto is_another = [&cell](const ReportCell& other) {
    return &other != &cell && other.model.has_value() && CellName(other) == CellName(cell);
  };
  const bool own_name =
      !HaveOneDataset(data) || std::any_of(data.cells.begin(), data.cells.end(), is_another);
  return own_name ? ToString(*cell.model) : CellName(cell);
}

std::vector<Point> PointsOf(const ReportData& data, bool latency) {
  std::vector<Point> points;
  for (const ReportCell& cell : data.cells) {
    if (!cell.model.has_value()) continue;
    const v1::Evaluation* test = EvaluationOn(*cell.model, "test");
    if (test == nullptr) continue;
    Point point;
    point.x = latency ? cell.model->certificate().latency_seconds()
                      : static_cast<double>(cell.model->size().disk_bytes());
    // What no clock or disk has measured: a model's file may say anything.
    if (!std::isnormal(point.x) || point.x < 0) continue;
    point.x_text =
        latency ? FormatMilliseconds(point.x) : FormatBytes(cell.model->size().disk_bytes());
    point.accuracy = test->accuracy();
    if (!std::isfinite(point.accuracy)) continue;
    point.low = test->accuracy_low();
    point.high = test->accuracy_high();
    point.weights = cell.weights;
    point.weight_label = WeightLabel(cell);
    point.name = PointName(data, cell);
    point.broken = VerdictOf(*cell.model) == v1::GUARD_VERDICT_COLLAPSED;
    points.push_back(std::move(point));
  }
  if (MayHaveFront(data, latency)) MarkFront(&points);
  return points;
}

// Of all latencies, or empty.
std::string ProcessorOf(const ReportData& data) {
  if (!HaveOneProcessor(data)) return "";
  for (const ReportCell& cell : data.cells) {
    if (cell.model.has_value() && !cell.model->certificate().processor().empty()) {
      return cell.model->certificate().processor();
    }
  }
  return "";
}

// What must be known to read the picture.
std::string Caption(const ReportData& data, const std::vector<Point>& points, const Axis& y,
                    bool latency) {
  std::string text = "Accuracy against size.";
  if (latency) {
    const std::string processor = EscapeHtml(ProcessorOf(data));
    text = absl::StrCat("Accuracy against measured latency",
                        processor.empty() ? "" : " on " + processor, ".");
  }
  if (MayHaveFront(data, latency)) {
    absl::StrAppend(&text, " The line is the Pareto front: nothing ",
                    latency ? "faster" : "smaller", " is as accurate.");
  }
  std::vector<std::string> notes;
  if (std::any_of(points.begin(), points.end(),
                  [](const Point& point) { return point.low < point.high; })) {
    notes.emplace_back("bars: 95 % intervals");
  }
  if (y.low > 0) notes.emplace_back("the accuracy axis does not begin at 0");
  if (notes.empty()) return text;
  return absl::StrCat(text, " (", absl::StrJoin(notes, "; "), ")");
}

std::string Figure(const ReportData& data, bool latency) {
  std::vector<Point> points = PointsOf(data, latency);
  if (points.empty()) return "";
  const Axis x = latency ? LatencyAxis(points) : SizeAxis(points);
  const Axis y = AccuracyAxis(points);
  const std::string caption = Caption(data, points, y, latency);
  const std::string title = latency ? "Accuracy against latency" : "Accuracy against size";
  Chart chart(std::move(points), x, y);
  const std::string picture =
      chart.Draw(latency ? "by-latency" : "by-size", title,
                 latency ? "latency of one image on one thread" : "file on disk, logarithmic");
  return absl::StrCat("<figure>\n", Scrolling(title, picture), "<figcaption>", caption,
                      "</figcaption>\n</figure>\n");
}

const char* LegendMarker(v1::WeightType weights) {
  switch (weights) {
    case v1::WEIGHT_TYPE_INT8:
      return "<rect class=\"m int8\" x=\"2\" y=\"2\" width=\"10\" height=\"10\"/>";
    case v1::WEIGHT_TYPE_FP32:
      return "<path class=\"m fp32\" d=\"M7 0l7 7l-7 7l-7 -7z\"/>";
    case v1::WEIGHT_TYPE_INT4:
      return "<path class=\"m int4\" d=\"M7 1l6 11h-12z\"/>";
    default:
      return "<circle class=\"m fp16\" cx=\"7\" cy=\"7\" r=\"5.5\"/>";
  }
}

// Of the markers that are drawn.
std::string Legend(const ReportData& data) {
  std::map<v1::WeightType, std::set<std::string>> drawn;
  for (const bool latency : {false, true}) {
    for (const Point& point : PointsOf(data, latency)) {
      drawn[point.weights].insert(point.weight_label);
    }
  }
  std::string html = "<p class=\"legend\">";
  for (const auto& [weights, labels] : drawn) {
    absl::StrAppend(&html, "<span><svg viewBox=\"0 0 14 14\" aria-hidden=\"true\">",
                    LegendMarker(weights), "</svg> ", absl::StrJoin(labels, ", "), "</span>");
  }
  return html + "</p>\n";
}

}  // namespace

std::string ChartsSection(const ReportData& data) {
  const std::string figures = Figure(data, false) + Figure(data, true);
  if (figures.empty()) return "";
  return absl::StrCat("<section id=\"tradeoff\">\n<h2>Accuracy against what it costs</h2>\n",
                      Legend(data), "<div class=\"pair\">\n", figures, "</div>\n</section>\n");
}

}  // namespace cytopress
