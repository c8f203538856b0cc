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

// The correlation of a two by two table, corrected for continuity as Newcombe does.
double CorrectedPhi(const PairedCounts& counts, double n) {
  const auto a = static_cast<double>(counts.both_right);
  const auto b = static_cast<double>(counts.only_first_right);
  const auto c = static_cast<double>(counts.only_second_right);
  const auto d = static_cast<double>(counts.none_right);
  const double margins = (a + b) * (c + d) * (a + c) * (b + d);
  if (margins == 0) return 0;
  const double product = a * d - b * c;
  return (product > 0 ? std::max(0.0, product - n / 2) : product) / std::sqrt(margins);
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

Interval PairedDifferenceInterval(const PairedCounts& counts) {
  const int64_t first_right = counts.both_right + counts.only_first_right;
  const int64_t second_right = counts.both_right + counts.only_second_right;
  const int64_t images = first_right + counts.only_second_right + counts.none_right;
  if (images <= 0) return {-1, 1};
  const double n = static_cast<double>(images);
  const double first = static_cast<double>(first_right) / n;
  const double second = static_cast<double>(second_right) / n;
  const Interval of_first = WilsonInterval(first_right, images);
  const Interval of_second = WilsonInterval(second_right, images);
  const double phi = CorrectedPhi(counts, n);
  const auto half = [phi](double x, double y) {
    return std::sqrt(std::max(0.0, x * x - 2 * phi * x * y + y * y));
  };
  return {first - second - half(first - of_first.low, of_second.high - second),
          first - second + half(second - of_second.low, of_first.high - first)};
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
