// A mean that follows what it is the mean of.
#ifndef CYTOPRESS_CORE_SERVING_RUNNING_MEAN_H_
#define CYTOPRESS_CORE_SERVING_RUNNING_MEAN_H_

#include <algorithm>

namespace cytopress {

// Exponentially weighted. Thread-compatible.
class RunningMean {
 public:
  // `weight` in (0, 1] is the share of the new mean that `value` makes up. The first value is the
  // mean.
  void Add(double value, double weight) {
    value_ += (known_ ? std::clamp(weight, 0.0, 1.0) : 1.0) * (value - value_);
    known_ = true;
  }
  // 0 before the first value.
  double value() const { return value_; }
  bool known() const { return known_; }

 private:
  double value_ = 0;
  bool known_ = false;
};

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_SERVING_RUNNING_MEAN_H_
