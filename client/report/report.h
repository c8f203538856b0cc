// report.html: what a sweep, or any set of models, has come to. One page that asks nobody for
// anything: no script is needed to read it, and no file beside it.
#ifndef CYTOPRESS_CLIENT_REPORT_REPORT_H_
#define CYTOPRESS_CLIENT_REPORT_REPORT_H_

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
  // Of the data set of AnyModel: its classes, and of its splits those that are known.
  std::vector<std::string> class_names;
  std::vector<SplitCounts> splits;
  DataIdentity identity = DataIdentity::kUnknown;
  std::vector<std::string> commands;  // that do it again
  std::vector<ReportRecipe> recipes;  // the files that they name
  std::string made;                   // when the report was written
};

// A cell whose validation accuracy is at most this far below the dense model's is lossless here:
// 95 % of the repetitions of one measurement on BloodMNIST's test split are within it.
inline constexpr double kLosslessDrop = 0.006;

// The dense model, else the first that there is, else null.
const v1::Model* AnyModel(const ReportData& data);

// Whether all models were made from the same images; others have nothing to do with each other.
bool HaveOneDataset(const ReportData& data);

// Whether all latencies were measured on the same processor.
bool HaveOneProcessor(const ReportData& data);

// Whether the dense model is so bad that nothing can be lost to it.
bool DenseIsAtChance(const ReportData& data);

// Whether the models are of the paper's kind, so that its figures may stand beside theirs:
// ResNet-50 on real images of BloodMNIST's classes.
bool IsLikeThePaper(const ReportData& data);

// The smallest lossless cell by the validation split, so that nothing is chosen on the test split;
// null without one, or without a dense model that was measured and is better than chance. Models of
// other data than the dense one's, or of another dense parent, are not compared with it.
const ReportCell* SmallestLossless(const ReportData& data);

// The whole page, well-formed HTML. Text from outside is escaped.
std::string RenderReport(const ReportData& data);

}  // namespace cytopress

#endif  // CYTOPRESS_CLIENT_REPORT_REPORT_H_
