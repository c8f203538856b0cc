// The parts of report.html, each a piece of HTML; empty when there is nothing to show.
#ifndef CYTOPRESS_CLIENT_REPORT_SECTIONS_H_
#define CYTOPRESS_CLIENT_REPORT_SECTIONS_H_

#include <string>

#include "client/report/report_data.h"

namespace cytopress {

// How a cell did, in one word or two, and the class of its colour.
struct CellVerdict {
  std::string words;
  const char* css_class;
};
CellVerdict VerdictOf(const ReportCell& cell);

std::string GridSection(const ReportData& data);          // of its kind beside the paper's Table 1
std::string ModelsSection(const ReportData& data);        // every figure of every model
std::string DistributionSection(const ReportData& data);  // as in the paper's Figure 1
std::string ConfusionSection(const ReportData& data);
std::string LedgerSection(const ReportData& data);
std::string ReceiptSection(const ReportData& data);  // certificate, provenance, commands

// Accuracy against the file's size and against the latency, with the Pareto fronts.
std::string ChartsSection(const ReportData& data);

}  // namespace cytopress

#endif  // CYTOPRESS_CLIENT_REPORT_SECTIONS_H_
