// Names, figures and pieces of tables as they stand in report.html.
#ifndef CYTOPRESS_CLIENT_REPORT_HTML_H_
#define CYTOPRESS_CLIENT_REPORT_HTML_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "client/report/report_data.h"

namespace cytopress {

// For text and for attribute values in double quotes. Control characters become '?'.
std::string EscapeHtml(absl::string_view text);

std::string WeightName(v1::WeightType weights);  // "INT8"; "-" for what has no name
std::string Percent(double sparsity);            // "80 %"
// "INT8"; "INT4/INT8" of a model whose layers have both.
std::string WeightLabel(const ReportCell& cell);
std::string CellName(const ReportCell& cell);  // "80 % INT4", "80 % INT8, 1×4 blocks"
std::string Figure4(double value);             // "0.9714"
std::string Grouped(int64_t count);            // "11,959"
// LossInWords and what contains it, with U+2212 before the bounds that are below zero.
std::string WithMinus(absl::string_view text);

// A table that is wider than a phone scrolls in its own box, which the keyboard reaches.
std::string Scrolling(const std::string& label, const std::string& table);
std::string HeaderRow(const std::vector<std::string>& headings);

}  // namespace cytopress

#endif  // CYTOPRESS_CLIENT_REPORT_HTML_H_
