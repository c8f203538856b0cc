#include <algorithm>
#include <cmath>

#include "core/evaluation/evaluation.h"

namespace cytopress {
namespace {

constexpr double kNormalQuantile975 = 1.959963984540054;

// P(X <= k) for X ~ Binomial(n, 1/2).
double FairBinomialTail(int64_t k, int64_t n) {
  // By logarithms: the coefficients of a few thousand pairs exceed a double.
  double log_term = -static_cast<double>(n) * std::log(2.0);
  double sum = 0;
  for (int64_t i = 0; i <= k; ++i) {
    sum += std::exp(log_term);
    log_term += std::log(static_cast<double>(n - i) / static_cast<double>(i + 1));
  }
  return sum;
}

}  // namespace

Interval WilsonInterval(int64_t successes, int64_t trials) {
  if (trials <= 0) return {0, 1};
  const double n = static_cast<double>(trials);
  const double p = static_cast<double>(successes) / n;
  const double z2 = kNormalQuantile975 * kNormalQuantile975;
  const double centre = (p + z2 / (2 * n)) / (1 + z2 / n);
  const double half =
      kNormalQuantile975 / (1 + z2 / n) * std::sqrt(p * (1 - p) / n + z2 / (4 * n * n));
  // Exact at the ends, where rounding would leave a trace.
  return {successes == 0 ? 0.0 : std::max(0.0, centre - half),
          successes == trials ? 1.0 : std::min(1.0, centre + half)};
}

McNemar CompareByMcNemar(const std::vector<bool>& first_right,
                         const std::vector<bool>& second_right) {
  McNemar result;
  const size_t count = std::min(first_right.size(), second_right.size());
  for (size_t i = 0; i < count; ++i) {
    result.only_first_right += first_right[i] && !second_right[i];
    result.only_second_right += second_right[i] && !first_right[i];
  }
  const int64_t discordant = result.only_first_right + result.only_second_right;
  const int64_t fewer = std::min(result.only_first_right, result.only_second_right);
  result.p_value = std::min(1.0, 2 * FairBinomialTail(fewer, discordant));
  return result;
}

}  // namespace cytopress
