// report.html: what a sweep, or any set of models, has come to. One page that asks nobody for
// anything: no script is needed to read it, and no file beside it.
#ifndef CYTOPRESS_CLIENT_REPORT_REPORT_H_
#define CYTOPRESS_CLIENT_REPORT_REPORT_H_

#include <string>

#include "client/report/report_data.h"

namespace cytopress {

// The whole page, well-formed HTML. Text from outside is escaped.
std::string RenderReport(const ReportData& data);

}  // namespace cytopress

#endif  // CYTOPRESS_CLIENT_REPORT_REPORT_H_
