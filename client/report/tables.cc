// The tables of report.html.
#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/format.h"
#include "client/report/html.h"
#include "client/report/report_judgement.h"
#include "client/report/sections.h"
#include "client/report/verdict.h"
#include "core/registry/model_registry.h"

namespace cytopress {
namespace {

// Table 1 of the paper (Sung and Park, 2025): ResNet-50, BloodMNIST, test split, weights only.
struct PaperCell {
  double sparsity;
  v1::WeightType weights;
  double accuracy, auc;
  bool collapsed;
};
constexpr std::array<PaperCell, 7> kPaper = {{{0.0, v1::WEIGHT_TYPE_FP16, 0.9669, 0.9983, false},
                                              {0.2, v1::WEIGHT_TYPE_INT8, 0.9701, 0.9975, false},
                                              {0.2, v1::WEIGHT_TYPE_INT4, 0.8637, 0.9758, false},
                                              {0.5, v1::WEIGHT_TYPE_INT8, 0.9725, 0.9981, false},
                                              {0.5, v1::WEIGHT_TYPE_INT4, 0.3308, 0.8148, true},
                                              {0.8, v1::WEIGHT_TYPE_INT8, 0.3256, 0.7205, true},
                                              {0.8, v1::WEIGHT_TYPE_INT4, 0.1824, 0.5622, true}}};

const PaperCell* PaperValue(double sparsity, v1::WeightType weights) {
  for (const PaperCell& cell : kPaper) {
    if (std::abs(cell.sparsity - sparsity) < 1e-9 && cell.weights == weights) return &cell;
  }
  return nullptr;
}

std::string Interval(double low, double high) {
  if (low == high) return "";  // not computed, or of no width, which says nothing
  return absl::StrFormat("<small>%.4f – %.4f</small>", low, high);
}

// No significant difference is none shown, not none: whether the images leave open a loss that
// would not be lossless.
bool MayLoseTooMuch(const v1::Certificate& certificate) {
  const std::optional<Loss> loss = LossOf(certificate);
  return !loss.has_value() || loss->high > kLosslessDrop;
}

// What the test split says of the loss: the figure, its interval and, where a verdict without a
// difference might be read as none, how much that may be.
std::string LossLines(const v1::Certificate& certificate) {
  const std::optional<Loss> loss = LossOf(certificate);
  if (!loss.has_value()) return "";
  std::string html = absl::StrCat("<small>", WithMinus(LossInWords(certificate)), "</small>");
  if (CompareWithParent(certificate) == Comparison::kNoDifference && MayLoseTooMuch(certificate)) {
    absl::StrAppendFormat(&html, "<small>up to %.2f points may be lost</small>", 100 * loss->high);
  }
  return html;
}

std::string Badge(const CellVerdict& verdict) {
  if (verdict.words.empty()) return "";
  return absl::StrCat("<span class=\"badge ", verdict.css_class, "\">", EscapeHtml(verdict.words),
                      "</span>");
}

std::string GridCell(const ReportCell& cell, bool beside_others) {
  std::string html = "<div class=\"one\">";
  if (beside_others) {
    absl::StrAppend(&html, "<small>", EscapeHtml(cell.name));
    // Neighbours may come from different dense models, and each is compared with its own.
    if (cell.model.has_value() && cell.model->certificate().has_parent_test()) {
      absl::StrAppend(&html, " against ", EscapeHtml(cell.model->certificate().parent()));
    }
    html += "</small>";
  }
  const v1::Evaluation* test = cell.model.has_value() ? EvaluationOn(*cell.model, "test") : nullptr;
  if (test != nullptr) {
    absl::StrAppendFormat(&html, "<b>%s</b><small>AUC %s</small><small>%s, %s</small>",
                          Figure4(test->accuracy()), Figure4(test->auc()),
                          FormatBytes(cell.model->size().disk_bytes()),
                          TimesSmaller(cell.model->size(), "×"));
    html += LossLines(cell.model->certificate());
  }
  return absl::StrCat(html, Badge(VerdictOf(cell)), "</div>");
}

// The colour of models that share a cell: none when their verdicts differ.
std::string ClassOf(const std::vector<const ReportCell*>& cells) {
  if (cells.empty()) return "none";
  const std::string first = VerdictOf(*cells[0]).css_class;
  const bool agree = std::all_of(cells.begin(), cells.end(), [&first](const ReportCell* cell) {
    return VerdictOf(*cell).css_class == first;
  });
  return agree ? first : "plain";
}

std::string PaperNote(const PaperCell* paper) {
  if (paper == nullptr) return "";
  return absl::StrFormat("<span class=\"paper\">paper %.4f, AUC %.4f%s</span>", paper->accuracy,
                         paper->auc, paper->collapsed ? ", collapsed" : "");
}

// A weight type, and what it is called in the heading.
using GridColumn = std::pair<v1::WeightType, std::string>;

// What is not made yet stands where its neighbours do, whose recipe may ask for a mix.
GridColumn ColumnOf(const ReportData& data, const ReportCell& cell) {
  const auto made =
      std::find_if(data.cells.begin(), data.cells.end(), [&cell](const ReportCell& other) {
        return other.model.has_value() && other.weights == cell.weights;
      });
  const bool has_model = cell.model.has_value() || made == data.cells.end();
  return {cell.weights, WeightLabel(has_model ? cell : *made)};
}

// Rows are sparsities, columns weight types.
std::string Grid(const ReportData& data) {
  const bool beside_paper = IsLikeThePaper(data);
  const bool is_sweep = std::any_of(data.jobs.begin(), data.jobs.end(),
                                    [](const v1::Job& job) { return job.spec().has_sweep(); });
  std::set<double> sparsities;
  std::set<GridColumn> columns;
  for (const ReportCell& cell : data.cells) {
    sparsities.insert(cell.sparsity);
    columns.insert(ColumnOf(data, cell));
  }
  std::vector<std::string> headings = {"pruned"};
  for (const GridColumn& column : columns) headings.push_back(column.second);
  std::string html = absl::StrCat(
      "<table class=\"grid\">\n<caption>Test accuracy, AUC and size of "
      "the file that is served</caption>\n",
      HeaderRow(headings), "<tbody>\n");
  for (const double sparsity : sparsities) {
    absl::StrAppend(&html, "<tr><th scope=\"row\">", Percent(sparsity), "</th>");
    for (const GridColumn& column : columns) {
      std::vector<const ReportCell*> here;
      for (const ReportCell& cell : data.cells) {
        if (cell.sparsity == sparsity && ColumnOf(data, cell) == column) here.push_back(&cell);
      }
      absl::StrAppend(&html, "<td class=\"", ClassOf(here), "\">");
      for (const ReportCell* cell : here) html += GridCell(*cell, here.size() > 1);
      // Nobody asks for a grid of models that were named one by one.
      if (here.empty() && is_sweep) html += "<span class=\"muted\">not asked for</span>";
      if (beside_paper && column.second == WeightName(column.first)) {
        html += PaperNote(PaperValue(sparsity, column.first));
      }
      html += "</td>";
    }
    html += "</tr>\n";
  }
  return html + "</tbody></table>\n";
}

std::string AgainstDense(const v1::Certificate& certificate) {
  if (!certificate.has_parent_test()) return "";
  return absl::StrFormat("<small>%s</small><small>%s lost, %d gained</small>%s",
                         EscapeHtml(PValueInWords(certificate.mcnemar_p_value())),
                         FormatImages(certificate.only_parent_right()),
                         certificate.only_model_right(), LossLines(certificate));
}

std::string CertificateColumns(const ReportCell& cell) {
  const std::string verdict = absl::StrCat("<td class=\"left\">", Badge(VerdictOf(cell)));
  if (!cell.model->has_certificate()) {
    return absl::StrCat(verdict, "</td><td>–</td><td>–</td><td>–</td>");
  }
  const v1::Certificate& certificate = cell.model->certificate();
  const double dense_recall = ParentsLowestRecall(certificate);
  return absl::StrCat(
      verdict, AgainstDense(certificate), "</td><td>",
      FormatPercent(certificate.lowest_recall(), 1), "<small>",
      EscapeHtml(ClassName(*cell.model, certificate.lowest_recall_class())), "</small>",
      std::isnan(dense_recall)
          ? ""
          : absl::StrCat("<small>dense ", FormatPercent(dense_recall, 1), "</small>"),
      "</td><td>", Figure4(certificate.weights_only_test().accuracy()), "</td><td>",
      FormatMilliseconds(certificate.latency_seconds()), "</td>");
}

std::string ModelRow(const ReportCell& cell) {
  const v1::Model& model = *cell.model;
  const v1::Evaluation* test = EvaluationOn(model, "test");
  const v1::Evaluation none;
  if (test == nullptr) test = &none;
  return absl::StrCat(
      "<tr><th scope=\"row\">", EscapeHtml(ToString(model)), "<small>", CellName(cell),
      "</small></th><td>", FormatBytes(model.size().disk_bytes()), "<small>",
      TimesSmaller(model.size(), "×"), "</small></td><td>", Figure4(test->accuracy()),
      Interval(test->accuracy_low(), test->accuracy_high()), "</td><td>", Figure4(test->auc()),
      Interval(test->auc_low(), test->auc_high()), "</td>", CertificateColumns(cell), "<td>",
      Figure4(test->expected_calibration_error()), "</td></tr>\n");
}

std::string BarCell(int64_t count, int64_t total, int64_t largest, const char* css_class) {
  const double share = total == 0 ? 0 : static_cast<double>(count) / static_cast<double>(total);
  const double length =
      largest == 0 ? 0 : 100 * static_cast<double>(count) / static_cast<double>(largest);
  return absl::StrFormat(
      "<td><span class=\"bar %s\"><i style=\"width:%.1f%%\"></i></span>%s<small>%s</small></td>",
      css_class, length, Grouped(count), FormatPercent(share, 1));
}

// Rows are the truth, columns the prediction; a tint by the row's share. Of errors it is the
// share's root: a few percent are to be seen.
std::string Matrix(const v1::Model& model, const v1::Evaluation& test) {
  const int classes = static_cast<int>(std::lround(std::sqrt(test.confusion_size())));
  std::vector<std::string> headings = {"truth", "recall"};
  for (int i = 0; i < classes; ++i) {
    headings.push_back(
        absl::StrCat("<abbr title=\"", EscapeHtml(ClassName(model, i)), "\">", i, "</abbr>"));
  }
  std::string html = absl::StrCat("<table class=\"matrix\">\n", HeaderRow(headings), "<tbody>\n");
  for (int truth = 0; truth < classes; ++truth) {
    int64_t total = 0;
    for (int i = 0; i < classes; ++i) total += test.confusion(truth * classes + i);
    absl::StrAppend(
        &html, "<tr><th scope=\"row\">", truth, " ", EscapeHtml(ClassName(model, truth)),
        "</th><td>",
        FormatPercent(truth < test.class_recall_size() ? test.class_recall(truth) : std::nan(""),
                      1),
        "</td>");
    for (int i = 0; i < classes; ++i) {
      const int64_t count = test.confusion(truth * classes + i);
      const double share = total == 0 ? 0 : static_cast<double>(count) / static_cast<double>(total);
      absl::StrAppendFormat(&html, "<td class=\"%s\" style=\"--s:%.3f\">%s</td>",
                            i == truth ? "hit" : "miss", i == truth ? share : std::sqrt(share),
                            count == 0 ? "<span class=\"muted\">0</span>" : Grouped(count));
    }
    html += "</tr>\n";
  }
  return html + "</tbody></table>\n";
}

}  // namespace

CellVerdict VerdictOf(const ReportCell& cell) {
  if (!cell.model.has_value())
    return {cell.missing, cell.missing.rfind("not ", 0) == 0 ? "bad" : "open"};
  const v1::GuardVerdict guard = VerdictOf(*cell.model);
  if (guard == v1::GUARD_VERDICT_COLLAPSED) return {"collapsed", "bad"};
  if (guard == v1::GUARD_VERDICT_LOST_TOO_MUCH) return {"lost too much", "bad"};
  if (!cell.model->certificate().has_parent_test()) return {"", "plain"};
  switch (CompareWithParent(cell.model->certificate())) {
    case Comparison::kWorse:
      return {"worse than dense", "warn"};
    case Comparison::kBetter:
      return {"better than dense", "good"};
    case Comparison::kNoDifference:
      return {"no significant difference",
              MayLoseTooMuch(cell.model->certificate()) ? "unsure" : "good"};
    case Comparison::kNotJudged:
      return {"not judged", "open"};
  }
  return {"", "plain"};
}

std::string GridSection(const ReportData& data) {
  if (data.cells.empty()) return "";
  return absl::StrCat(
      "<section id=\"grid\">\n<h2>Accuracy by pruning and weights</h2>\n",
      Scrolling("Accuracy by pruning and weights", Grid(data)),
      "<p class=\"fine\">Each cell: test accuracy, macro AUC, bytes on disk and how many times "
      "smaller than the dense network in FP32; then what McNemar’s test says against the dense "
      "model on the same images, at 5 %, and how large the loss may be. “No significant "
      "difference” is green where that is at most 0.6 points, blue where it may be more.",
      IsLikeThePaper(data) ? " <span class=\"paper\">paper</span>: Table 1 of Sung and Park "
                             "(2025), ResNet-50 on the "
                             "official BloodMNIST, weights only, not served."
                           : "",
      "</p>\n</section>\n");
}

std::string ModelsSection(const ReportData& data) {
  std::string rows;
  for (const ReportCell& cell : data.cells) {
    if (cell.model.has_value()) rows += ModelRow(cell);
  }
  if (rows.empty()) return "";
  const std::string table = absl::StrCat(
      "<table class=\"models\">\n<caption>Test split, served file; intervals are 95 %</caption>\n",
      HeaderRow({"model", "file", "accuracy", "AUC", "against dense", "lowest recall",
                 "weights only", "latency", "calibration error"}),
      "<tbody>\n", rows, "</tbody></table>\n");
  return absl::StrCat("<section id=\"models\">\n<h2>Every model</h2>\n",
                      Scrolling("Every model", table), "</section>\n");
}

std::string DistributionSection(const ReportData& data) {
  if (data.splits.empty()) return "";
  static constexpr const char* kColors[] = {"first", "second", "third"};
  std::vector<std::string> headings = {"class"};
  std::vector<int64_t> totals, largest;
  for (const SplitCounts& split : data.splits) {
    totals.push_back(split.total());
    largest.push_back(
        split.images.empty() ? 0 : *std::max_element(split.images.begin(), split.images.end()));
    headings.push_back(absl::StrCat(EscapeHtml(split.split), " <small>", Grouped(totals.back()),
                                    " images</small>"));
  }
  std::string html = absl::StrCat("<table class=\"bars\">\n", HeaderRow(headings), "<tbody>\n");
  for (size_t c = 0; c < data.class_names.size(); ++c) {
    absl::StrAppend(&html, "<tr><th scope=\"row\">", EscapeHtml(data.class_names[c]), "</th>");
    for (size_t s = 0; s < data.splits.size(); ++s) {
      const int64_t count = c < data.splits[s].images.size() ? data.splits[s].images[c] : 0;
      html += BarCell(count, totals[s], largest[s], kColors[s % std::size(kColors)]);
    }
    html += "</tr>\n";
  }
  html += "</tbody></table>\n";
  return absl::StrCat("<section id=\"classes\">\n<h2>Class distribution</h2>\n",
                      Scrolling("Class distribution", html),
                      "<p class=\"fine\">A bar is as long as its share of the split’s largest "
                      "class",
                      IsLikeThePaper(data) ? " (the paper’s Figure 1 shows its test split)" : "",
                      ".</p>\n</section>\n");
}

std::string ConfusionSection(const ReportData& data) {
  std::string html;
  const ReportCell* first = SmallestLossless(data);
  for (const ReportCell& cell : data.cells) {
    const v1::Evaluation* test =
        cell.model.has_value() ? EvaluationOn(*cell.model, "test") : nullptr;
    if (test == nullptr || test->confusion_size() == 0) continue;
    if (first == nullptr) first = &cell;
    absl::StrAppend(&html, "<details", &cell == first ? " open" : "", "><summary>", CellName(cell),
                    " <span class=\"muted\">", EscapeHtml(ToString(*cell.model)),
                    "</span> accuracy ", Figure4(test->accuracy()), "</summary>\n",
                    Scrolling("Confusion of " + CellName(cell), Matrix(*cell.model, *test)),
                    "</details>\n");
  }
  if (html.empty()) return "";
  return absl::StrCat(
      "<section id=\"confusion\">\n<h2>Confusion matrices</h2>\n<p class=\"fine\">"
      "Test split. Rows are the truth, columns the answer, numbered as the rows; "
      "the tint grows with the share of the row, for errors with its root.</p>\n",
      html, "</section>\n");
}

}  // namespace cytopress
