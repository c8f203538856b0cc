#include "core/evaluation/evaluation.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"

namespace cytopress {
namespace {

constexpr int kCalibrationBins = 15;
constexpr int kMaxClasses = 10000;  // the confusion matrix has 800 MB then

absl::Status CheckInput(absl::Span<const float> scores, absl::Span<const int> labels, int classes) {
  if (classes < 1 || classes > kMaxClasses) {
    return absl::InvalidArgumentError(
        absl::StrCat("classes: ", classes, " is out of range; use 1 to ", kMaxClasses));
  }
  if (labels.empty()) return absl::InvalidArgumentError("labels: there are no images to evaluate");
  if (scores.size() != labels.size() * static_cast<size_t>(classes)) {
    return absl::InvalidArgumentError(absl::StrCat("scores: ", scores.size(), " values; ",
                                                   labels.size(), " images of ", classes,
                                                   " classes need ", labels.size() * classes));
  }
  for (size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] < 0 || labels[i] >= classes) {
      return absl::InvalidArgumentError(absl::StrCat("labels[", i, "]: ", labels[i],
                                                     " is not a class; there are ", classes,
                                                     ", counted from 0"));
    }
  }
  for (size_t i = 0; i < scores.size(); ++i) {
    if (!std::isfinite(scores[i])) {
      return absl::InvalidArgumentError(absl::StrCat("scores: class ", i % classes, " of image ",
                                                     i / classes, " is ", scores[i],
                                                     ", not a finite number"));
    }
  }
  return absl::OkStatus();
}

// Expected calibration error (Guo et al., "On Calibration of Modern Neural Networks", 2017).
class Calibration {
 public:
  void Add(float confidence, bool right) {
    // Bins are open below and closed above.
    const int bin = static_cast<int>(std::ceil(double{confidence} * kCalibrationBins)) - 1;
    Bin& chosen = bins_[std::clamp(bin, 0, kCalibrationBins - 1)];
    chosen.confidence += confidence;
    chosen.right += right ? 1 : 0;
  }
  double Error(int64_t images) const {
    double sum = 0;
    for (const Bin& bin : bins_) sum += std::abs(bin.right - bin.confidence);
    return sum / static_cast<double>(images);
  }

 private:
  struct Bin {
    double confidence = 0;  // sums over the images of the bin
    double right = 0;
  };
  Bin bins_[kCalibrationBins];
};

double MacroAuc(absl::Span<const float> scores, absl::Span<const int> labels, int classes) {
  std::vector<float> class_scores(labels.size());
  std::vector<bool> positive(labels.size());
  double sum = 0;
  int counted = 0;
  for (int c = 0; c < classes; ++c) {
    for (size_t i = 0; i < labels.size(); ++i) {
      class_scores[i] = scores[i * classes + c];
      positive[i] = labels[i] == c;
    }
    const double auc = BinaryAuc(class_scores, positive);
    if (std::isnan(auc)) continue;
    sum += auc;
    ++counted;
  }
  return counted == 0 ? std::numeric_limits<double>::quiet_NaN() : sum / counted;
}

std::vector<double> RecallOfClasses(const std::vector<int64_t>& confusion, int classes) {
  std::vector<double> recall(classes, std::numeric_limits<double>::quiet_NaN());
  for (int truth = 0; truth < classes; ++truth) {
    int64_t images = 0;
    for (int predicted = 0; predicted < classes; ++predicted) {
      images += confusion[truth * classes + predicted];
    }
    if (images == 0) continue;
    recall[truth] =
        static_cast<double>(confusion[truth * classes + truth]) / static_cast<double>(images);
  }
  return recall;
}

}  // namespace

absl::StatusOr<Evaluation> Evaluate(absl::Span<const float> scores, absl::Span<const int> labels,
                                    int classes) {
  CYTOPRESS_RETURN_IF_ERROR(CheckInput(scores, labels, classes));
  Evaluation evaluation;
  evaluation.images = static_cast<int64_t>(labels.size());
  evaluation.confusion.assign(static_cast<size_t>(classes) * classes, 0);
  Calibration calibration;
  int64_t right = 0;
  for (size_t i = 0; i < labels.size(); ++i) {
    const float* row = &scores[i * classes];
    const int predicted = static_cast<int>(std::max_element(row, row + classes) - row);
    ++evaluation.confusion[static_cast<size_t>(labels[i]) * classes + predicted];
    evaluation.right.push_back(predicted == labels[i]);
    right += predicted == labels[i];
    calibration.Add(row[predicted], predicted == labels[i]);
  }
  evaluation.accuracy = static_cast<double>(right) / static_cast<double>(evaluation.images);
  evaluation.accuracy_interval = WilsonInterval(right, evaluation.images);
  evaluation.expected_calibration_error = calibration.Error(evaluation.images);
  evaluation.class_recall = RecallOfClasses(evaluation.confusion, classes);
  evaluation.auc = MacroAuc(scores, labels, classes);
  return evaluation;
}

}  // namespace cytopress
