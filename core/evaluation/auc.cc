#include <algorithm>
#include <limits>
#include <numeric>

#include "core/evaluation/evaluation.h"

namespace cytopress {

double BinaryAuc(absl::Span<const float> scores, const std::vector<bool>& positive) {
  const size_t count = std::min(scores.size(), positive.size());
  std::vector<size_t> order(count);
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return scores[a] < scores[b]; });

  // Twice the Mann-Whitney U, which is a whole number: a pair counts two when the positive scores
  // higher and one when the two are equal.
  int64_t twice_u = 0;
  int64_t positives = 0;
  int64_t negatives = 0;
  for (size_t i = 0; i < count;) {
    int64_t tied_positives = 0;
    int64_t tied_negatives = 0;
    for (const float score = scores[order[i]]; i < count && scores[order[i]] == score; ++i) {
      ++(positive[order[i]] ? tied_positives : tied_negatives);
    }
    twice_u += tied_positives * (2 * negatives + tied_negatives);
    positives += tied_positives;
    negatives += tied_negatives;
  }
  if (positives == 0 || negatives == 0) return std::numeric_limits<double>::quiet_NaN();
  return static_cast<double>(twice_u) / 2 /
         (static_cast<double>(positives) * static_cast<double>(negatives));
}

}  // namespace cytopress
