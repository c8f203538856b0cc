#include "client/report/html.h"

#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "client/format.h"
#include "client/names.h"

namespace cytopress {
namespace {

std::string PatternOf(const v1::Model& model) {
  switch (model.provenance().spec().recipe().prune().pattern()) {
    case v1::PRUNE_PATTERN_BLOCK4:
      return ", 1×4 blocks";
    case v1::PRUNE_PATTERN_TWO_OF_FOUR:
      return ", 2:4";
    default:
      return "";
  }
}

}  // namespace

std::string Percent(double sparsity) { return absl::StrFormat("%g %%", 100 * sparsity); }

std::string EscapeHtml(absl::string_view text) {
  return absl::StrReplaceAll(
      Printable(text),
      {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"\"", "&quot;"}, {"'", "&#39;"}});
}

std::string WeightName(v1::WeightType weights) { return absl::AsciiStrToUpper(NameOf(weights)); }

std::string WeightLabel(const ReportCell& cell) {
  const bool is_mix =
      cell.model.has_value() && WeightsOf(*cell.model) != NameOf(cell.model->weights());
  return is_mix ? absl::AsciiStrToUpper(WeightsOf(*cell.model)) : WeightName(cell.weights);
}

std::string CellName(const ReportCell& cell) {
  return absl::StrCat(Percent(cell.sparsity), " ", WeightLabel(cell),
                      cell.model.has_value() && cell.sparsity > 0 ? PatternOf(*cell.model) : "");
}

std::string Figure4(double value) {
  return std::isnan(value) ? "–" : absl::StrFormat("%.4f", value);
}

std::string Grouped(int64_t count) {
  std::string text = absl::StrCat(count);
  const int first = count < 0 ? 1 : 0;
  for (int at = static_cast<int>(text.size()) - 3; at > first; at -= 3) text.insert(at, ",");
  return text;
}

std::string WithMinus(absl::string_view text) {
  return absl::StrReplaceAll(text, {{" interval -", " interval −"}, {" to -", " to −"}});
}

std::string Scrolling(const std::string& label, const std::string& table) {
  return absl::StrCat("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"",
                      EscapeHtml(label), "\">\n", table, "</div>\n");
}

std::string HeaderRow(const std::vector<std::string>& headings) {
  std::string html = "<thead><tr>";
  for (const std::string& heading : headings) {
    absl::StrAppend(&html, "<th scope=\"col\">", heading, "</th>");
  }
  return html + "</tr></thead>\n";
}

}  // namespace cytopress
