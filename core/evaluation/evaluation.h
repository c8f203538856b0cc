// What a classifier scored.
#ifndef CYTOPRESS_CORE_EVALUATION_EVALUATION_H_
#define CYTOPRESS_CORE_EVALUATION_EVALUATION_H_

#include <cmath>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace cytopress {

struct Interval {
  double low = 0;
  double high = 0;
};

struct Evaluation {
  int64_t images = 0;
  double accuracy = 0;
  // Macro one-vs-rest as MedMNIST's evaluator has it: per class the area under the ROC curve of
  // that class's score against the rest (ties count half), then the plain mean over the classes.
  // Classes without a positive or a negative image are left out of the mean. NaN when no class is
  // left.
  double auc = 0;
  Interval accuracy_interval;             // 95 %, Wilson score
  double expected_calibration_error = 0;  // 15 equal-width bins of the top probability
  std::vector<double> class_recall;       // NaN for a class without images
  std::vector<int64_t> confusion;         // row-major [truth][prediction]
  std::vector<bool> right;                // by image
};

// `scores` is [labels.size(), classes] row-major probabilities; the prediction is the first
// largest. INVALID_ARGUMENT for sizes that do not fit, labels out of range, no images, or a score
// that is not finite.
absl::StatusOr<Evaluation> Evaluate(absl::Span<const float> scores, absl::Span<const int> labels,
                                    int classes);

// The 95 % interval of the macro AUC by the bootstrap's percentiles (Efron, 1979): every class is
// drawn again from its own images, `resamples` times. The same seed gives the same interval. [0, 1]
// when there is no AUC. Takes a byte an image and resample meanwhile. REQUIRES: what Evaluate
// accepts; resamples > 0.
Interval BootstrapAuc(absl::Span<const float> scores, absl::Span<const int> labels, int classes,
                      uint64_t seed, int resamples = 500);

// Area under the ROC curve by rank sums (Mann-Whitney U); NaN without both kinds.
// REQUIRES: one flag a score, no NaN.
double BinaryAuc(absl::Span<const float> scores, const std::vector<bool>& positive);

// The 95 % Wilson score interval of a proportion; [0, 1] without trials (Wilson, 1927).
Interval WilsonInterval(int64_t successes, int64_t trials);

// McNemar's test (1947) on the same images: two-sided exact binomial p-value of the discordant
// pairs; 1 when there are none. REQUIRES: both of one size.
struct McNemar {
  int64_t only_first_right = 0;
  int64_t only_second_right = 0;
  double p_value = 1;
};
McNemar CompareByMcNemar(const std::vector<bool>& first_right,
                         const std::vector<bool>& second_right);

// Two models on the same images, as a two by two table.
struct PairedCounts {
  int64_t both_right = 0;
  int64_t only_first_right = 0;
  int64_t only_second_right = 0;
  int64_t none_right = 0;
};
// The 95 % interval of the first accuracy less the second: Newcombe's square-and-add interval of
// paired proportions (Statistics in Medicine 17, 1998, method 10). [-1, 1] without images.
Interval PairedDifferenceInterval(const PairedCounts& counts);

// How far two scores lie apart: 0 where neither is defined (NaN), NaN where one is.
inline double ScoreDistance(double a, double b) {
  return std::isnan(a) && std::isnan(b) ? 0 : std::abs(a - b);
}

// Whether scores differ by at most `tolerance`. They are shares of images: a difference equal to
// the tolerance is within it, whatever the last bits of the subtraction are.
inline bool IsWithin(double difference, double tolerance) { return difference <= tolerance + 1e-9; }

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_EVALUATION_EVALUATION_H_
