// How much longer than predicted a request is taken to last.
#ifndef CYTOPRESS_CORE_SERVING_PREDICTION_MARGIN_H_
#define CYTOPRESS_CORE_SERVING_PREDICTION_MARGIN_H_

#include <algorithm>

namespace cytopress {

// Follows the factor at which kLateShare of what was admitted is late: a step up for each late
// answer, one down for each in time, in the ratio that balances there (stochastic approximation of
// a quantile: Robbins and Monro, "A Stochastic Approximation Method", 1951). Thread-compatible.
class PredictionMargin {
 public:
  // Means say what is usual, and a queue that is kept at its deadline has half of its answers late:
  // a request admitted in vain costs as much as one that is answered. A reserve costs nothing as
  // long as a batch waits; without it all that is queued comes late before the margin has learned.
  static constexpr double kLeast = 1.5;
  static constexpr double kMost = 2;
  static constexpr double kLateShare = 0.002;

  void Note(bool late) {
    value_ =
        std::clamp(value_ + (late ? kStep : -kStep * kLateShare / (1 - kLateShare)), kLeast, kMost);
  }
  double value() const { return value_; }

 private:
  static constexpr double kStep = 0.02;

  double value_ = kLeast;
};

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_SERVING_PREDICTION_MARGIN_H_
