// The pictures of a report.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <limits>
#include <string>
#include <vector>

#include "client/report/sections.h"
#include "tests/client/report/sample_report.h"

namespace cytopress {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(ChartsSection, ComparesNoLatenciesOfDifferentProcessors) {
  ReportData data = SampleReport();
  data.cells[0].model->mutable_certificate()->set_processor("Another processor");
  const std::string charts = ChartsSection(data);
  const size_t by_latency = charts.find("by-latency");
  EXPECT_LT(charts.find("class=\"front\""), by_latency);
  EXPECT_EQ(charts.find("class=\"front\"", by_latency), std::string::npos);
}

TEST(ChartsSection, LeavesOutWhatNoClockHasMeasured) {
  ReportData data = SampleReport();
  const auto charts = [&data](double seconds) {
    for (ReportCell& cell : data.cells) {
      if (cell.model.has_value()) cell.model->mutable_certificate()->set_latency_seconds(seconds);
    }
    return ChartsSection(data);
  };
  EXPECT_THAT(charts(0.004), HasSubstr("by-latency"));
  using Limits = std::numeric_limits<double>;
  for (const double seconds :
       {Limits::denorm_min(), 1e-310, Limits::infinity(), Limits::quiet_NaN(), -1.0}) {
    const std::string html = charts(seconds);
    EXPECT_THAT(html, HasSubstr("by-size")) << seconds;
    EXPECT_THAT(html, Not(HasSubstr("by-latency"))) << seconds;
  }
  const std::string html = charts(Limits::min());  // a number, but too small for ticks
  EXPECT_THAT(html, HasSubstr("by-latency"));
  EXPECT_THAT(html, Not(HasSubstr("ms</text>")));
}

TEST(ChartsSection, LeavesOutAnAccuracyThatIsNone) {
  ReportData data = SampleReport();
  for (ReportCell& cell : data.cells) {
    if (!cell.model.has_value()) continue;
    for (v1::Evaluation& evaluation : *cell.model->mutable_evaluations()) {
      evaluation.set_accuracy(std::numeric_limits<double>::quiet_NaN());
    }
  }
  EXPECT_EQ(ChartsSection(data), "");
}

TEST(ChartsSection, TellsModelsOfOneCellApart) {
  ReportData data = SampleReport();
  data.cells.resize(2);
  EXPECT_THAT(ChartsSection(data), Not(HasSubstr("blood-s0-")));
  data.cells[1].weights = data.cells[0].weights;
  const std::string charts = ChartsSection(data);
  EXPECT_THAT(charts, HasSubstr("<title>blood-s0-fp16@1: "));
  EXPECT_THAT(charts, HasSubstr("<title>blood-s0-int8@1: "));
}

TEST(ChartsSection, DrawsIntervalsAndSaysWhatTheAxesAre) {
  ReportData data = SampleReport();
  std::string charts = ChartsSection(data);
  EXPECT_THAT(charts, HasSubstr("<line class=\"interval\""));
  EXPECT_THAT(charts, HasSubstr("(bars: 95 % intervals; the accuracy axis does not begin at 0)"));
  EXPECT_THAT(charts, HasSubstr(">latency of one image on one thread<"));
  EXPECT_THAT(charts, HasSubstr("measured latency on A processor (avx2)."));
  for (size_t at = 0; (at = charts.find("<line class=\"interval\"", at)) != std::string::npos;
       ++at) {
    double top = 0, bottom = 0;
    const char* const ends = charts.c_str() + charts.find("y1=", at);
    ASSERT_EQ(std::sscanf(ends, "y1=\"%lf\" y2=\"%lf\"", &bottom, &top), 2);
    EXPECT_LT(top, bottom);
    EXPECT_GE(top, 15.9) << "within the axes";
    EXPECT_LE(bottom, 314.1);
  }
  data.cells[0].model->mutable_certificate()->set_processor("Another processor");
  for (ReportCell& cell : data.cells) {
    if (!cell.model.has_value()) continue;
    cell.model->mutable_evaluations(1)->set_accuracy_low(0);
    cell.model->mutable_evaluations(1)->set_accuracy_high(0);
  }
  charts = ChartsSection(data);
  EXPECT_THAT(charts, HasSubstr("Accuracy against measured latency. (the accuracy axis"));
  EXPECT_THAT(charts, Not(HasSubstr("class=\"interval\"")));
}

TEST(ChartsSection, LegendHasOnlyWhatIsDrawn) {
  ReportData data = SampleReport();
  EXPECT_THAT(ChartsSection(data), HasSubstr("</svg> FP16</span>"));
  data.cells.erase(
      std::remove_if(data.cells.begin(), data.cells.end(),
                     [](const ReportCell& cell) { return cell.weights == v1::WEIGHT_TYPE_FP16; }),
      data.cells.end());
  const std::string charts = ChartsSection(data);
  EXPECT_THAT(charts, Not(HasSubstr("</svg> FP16</span>")));
  EXPECT_THAT(charts, HasSubstr("</svg> INT8</span>"));
}

TEST(ChartsSection, TellsFp32FromFp16) {
  ReportData data = SampleReport();
  data.cells[0].weights = v1::WEIGHT_TYPE_FP32;
  const std::string charts = ChartsSection(data);
  EXPECT_THAT(charts, HasSubstr("class=\"m fp32\""));
  EXPECT_THAT(charts, HasSubstr("</svg> FP32</span>"));
}

TEST(ChartsSection, HasTicksHoweverNarrowTheSizesAre) {
  ReportData data = SampleReport();
  data.cells.resize(1);
  for (const int64_t bytes : {3700000, 2000000, 999999, 12}) {
    data.cells[0].model->mutable_size()->set_disk_bytes(bytes);
    std::string by_size = ChartsSection(data);
    by_size.resize(by_size.find("<svg class=\"chart\"", by_size.find("by-size") + 1));
    const auto ticks = [&by_size] {
      int count = 0;
      for (size_t at = 0; (at = by_size.find("y=\"331\"", at)) != std::string::npos; ++at) ++count;
      return count;
    };
    EXPECT_GE(ticks(), 2) << bytes;
  }
}

TEST(ChartsSection, KeepsItsWordsInThePictureAndOffTheTicks) {
  ReportData data = SampleReport();
  for (ReportCell& cell : data.cells) {  // a point right above each tick
    if (cell.model.has_value()) cell.model->mutable_evaluations(1)->set_accuracy(0.1824);
  }
  data.cells[0].model->mutable_evaluations(1)->set_accuracy(0.9712);
  std::string charts = ChartsSection(data);
  int labels = 0, ticks = 0;
  for (size_t at = 0; (at = charts.find("<text class=\"", at)) != std::string::npos; ++at) {
    double x = 0, y = 0;
    const char* const text = charts.c_str() + at;
    if (std::sscanf(text, "<text class=\"label\" x=\"%lf\" y=\"%lf\"", &x, &y) == 2) {
      ++labels;
      EXPECT_LT(y, 315) << std::string(text, 80);
    }
    if (std::sscanf(text, "<text class=\"tick\" x=\"%lf\"", &x) == 1 && x > 480) {
      EXPECT_THAT(std::string(text, 80), HasSubstr("x=\"520.0\" y=\"331\" text-anchor=\"end\""));
      ++ticks;
    }
  }
  EXPECT_GE(labels, 3);
  EXPECT_GE(ticks, 1);
}

TEST(ChartsSection, TheFrontHasWhatNothingSmallerIsAsAccurateAs) {
  ReportData data = SampleReport();
  data.cells.resize(7);
  struct Figures {
    int64_t megabytes;
    double accuracy, milliseconds;
  };
  constexpr Figures kFigures[] = {{4, 0.97, 1}, {1, 0.90, 4}, {3, 0.93, 3}, {2, 0.95, 2},
                                  {2, 0.94, 5}, {5, 0.97, 6}, {1, 0.99, 7}};
  for (size_t i = 0; i < data.cells.size(); ++i) {
    v1::Model& model = *data.cells[i].model;
    model.mutable_size()->set_disk_bytes(kFigures[i].megabytes * 1000000);
    model.mutable_evaluations(1)->set_accuracy(kFigures[i].accuracy);
    model.mutable_certificate()->set_latency_seconds(1e-3 * kFigures[i].milliseconds);
  }
  data.cells.back().model->mutable_ledger()->rbegin()->set_verdict(v1::GUARD_VERDICT_COLLAPSED);
  const std::string charts = ChartsSection(data);
  const std::string begin = "On the front, smallest first: ";
  std::vector<std::string> fronts;
  for (size_t at = 0; (at = charts.find(begin, at)) != std::string::npos; ++at) {
    const size_t text = at + begin.size();
    fronts.push_back(charts.substr(text, charts.find('<', text) - text));
  }
  ASSERT_EQ(fronts.size(), 2u);
  EXPECT_THAT(fronts[0], testing::MatchesRegex("[^;]*accuracy 0.9000; [^;]*accuracy 0.9500; "
                                               "[^;]*accuracy 0.9700[.]"));
  EXPECT_THAT(fronts[1], testing::MatchesRegex("[^;]*accuracy 0.9700[.]")) << "by latency";
}

TEST(ChartsSection, PutsTheBrokenModelsBelowTheAxis) {
  const std::string charts = ChartsSection(SampleReport());
  EXPECT_THAT(charts, HasSubstr("98 % INT4: 0.182"));
  EXPECT_THAT(charts, HasSubstr("class=\"front\""));
  EXPECT_THAT(charts, HasSubstr("<title id=\"by-latency-t\">"));
}

}  // namespace
}  // namespace cytopress
