// What report.html is made from.
#ifndef CYTOPRESS_CLIENT_REPORT_REPORT_DATA_H_
#define CYTOPRESS_CLIENT_REPORT_REPORT_DATA_H_

#include <optional>
#include <string>
#include <vector>

#include "client/report/split_counts.h"
#include "cytopress/v1/job.pb.h"
#include "cytopress/v1/model.pb.h"

namespace cytopress {

// One model of the grid, or the place where it is missing.
struct ReportCell {
  double sparsity = 0;
  v1::WeightType weights = v1::WEIGHT_TYPE_UNSPECIFIED;
  std::string name;                // of the model, without a version
  std::optional<v1::Model> model;  // absent: see `missing`
  std::string missing;             // "open", or why it was not published
};

// Whether the figures are those of the data set that the paper and MedMNIST's benchmark use.
enum class DataIdentity { kUnknown, kOfficial, kOther };

// What a sweep's command names with --recipe-file.
struct ReportRecipe {
  std::string file;
  std::string json;
};

struct ReportData {
  std::string title;
  std::vector<v1::Job> jobs;       // whose models these are, as far as the service knows them
  std::optional<v1::Model> dense;  // the parent that the cells are compared with
  std::vector<ReportCell> cells;
  // Of the data set of AnyModel (report_judgement.h): its classes, and of its splits those that are
  // known.
  std::vector<std::string> class_names;
  std::vector<SplitCounts> splits;
  DataIdentity identity = DataIdentity::kUnknown;
  std::vector<std::string> commands;  // that do it again
  std::vector<ReportRecipe> recipes;  // the files that they name
  std::string made;                   // when the report was written
};

}  // namespace cytopress

#endif  // CYTOPRESS_CLIENT_REPORT_REPORT_DATA_H_
