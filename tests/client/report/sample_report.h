// A sweep with invented figures: nothing here was measured.
#ifndef CYTOPRESS_TESTS_CLIENT_REPORT_SAMPLE_REPORT_H_
#define CYTOPRESS_TESTS_CLIENT_REPORT_SAMPLE_REPORT_H_

#include "client/report/report_data.h"

namespace cytopress {

// Seven sparsities by three weight types; 98 % INT4 collapsed, 98 % INT8 is still open, and one
// class is called "<i>platelet</i>".
ReportData SampleReport();

}  // namespace cytopress

#endif  // CYTOPRESS_TESTS_CLIENT_REPORT_SAMPLE_REPORT_H_
