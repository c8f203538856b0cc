// How far a job is, and how long the rest of it takes.
#ifndef CYTOPRESS_CORE_PIPELINE_JOB_ESTIMATE_H_
#define CYTOPRESS_CORE_PIPELINE_JOB_ESTIMATE_H_

#include <cstddef>
#include <optional>
#include <vector>

#include "absl/time/time.h"
#include "core/base/clock.h"

namespace cytopress {

// Where a job is.
struct JobWork {
  std::vector<double>
      costs;            // of all stages, as Stage::Cost has them; 0 of tries that were left out
  size_t index = 0;     // the stage that runs
  double fraction = 0;  // of that stage, [0, 1]
  // The stages [tries_begin, tries_end) are the tries of a goal; none where the two are equal.
  size_t tries_begin = 0;
  size_t tries_end = 0;
  // What the search has left of its time. No try begins that would end later, but for the first.
  absl::Duration budget_left = absl::InfiniteDuration();
  // Of those that ended; zero: none has. Taken for that of the most costly one.
  absl::Duration longest_try = absl::ZeroDuration();
};

// Thread-compatible.
class JobEstimate {
 public:
  // `clock` must outlive it.
  explicit JobEstimate(const Clock* clock) : clock_(clock) {}

  struct Result {
    double fraction = 0;      // of the whole job; never falls once the data are loaded
    double eta_seconds = -1;  // negative while unknown
  };
  // Tries count as far as the time budget has room for them, each as long as the longest of those
  // that ended, and longer where it costs more; before that by the pace of the work. A search that
  // is over earlier is a surprise.
  // REQUIRES: work.index < work.costs.size().
  Result Update(const JobWork& work);
  // The work goes on where an earlier attempt was, which is not its pace: that is measured anew.
  void Leap() { start_.reset(); }

 private:
  const Clock* const clock_;
  std::optional<absl::Duration> start_;  // of what the pace is measured on
  double done_at_start_ = 0;
  double fraction_ = 0;
};

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_PIPELINE_JOB_ESTIMATE_H_
