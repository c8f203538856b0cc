// What the models of a report are to each other: what can be compared, and which one is chosen.
#ifndef CYTOPRESS_CLIENT_REPORT_REPORT_JUDGEMENT_H_
#define CYTOPRESS_CLIENT_REPORT_REPORT_JUDGEMENT_H_

#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "client/report/report_data.h"

namespace cytopress {

// On the validation split; 0 of a model that was not measured there.
double ValidationAccuracy(const v1::Model& model);

// "name@version" of the dense model that it is compared with; empty without one.
std::string ParentOf(const v1::Model& model);

// Different values of `of` among all models, in their order; empty ones do not count.
std::vector<std::string> Different(const ReportData& data,
                                   absl::FunctionRef<std::string(const v1::Model&)> of);

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

}  // namespace cytopress

#endif  // CYTOPRESS_CLIENT_REPORT_REPORT_JUDGEMENT_H_
