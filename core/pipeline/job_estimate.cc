#include "core/pipeline/job_estimate.h"

#include <algorithm>
#include <numeric>

namespace cytopress {
namespace {

struct Ahead {
  double cost = 0;
  double seconds = 0;
};

// What is still to be done. `pace` is in seconds a unit of cost; 0 while it is unknown.
Ahead AheadOf(const JobWork& work, double pace) {
  const auto is_try = [&](size_t i) { return i >= work.tries_begin && i < work.tries_end; };
  double ended_cost = 0;  // of the most costly try that ended
  for (size_t i = work.tries_begin; i < std::min(work.index, work.tries_end); ++i) {
    ended_cost = std::max(ended_cost, work.costs[i]);
  }
  // One that is trained longer takes longer.
  const bool measured = ended_cost > 0 && work.longest_try > absl::ZeroDuration();
  const double try_pace = measured ? absl::ToDoubleSeconds(work.longest_try) / ended_cost : pace;
  const auto seconds_of = [&](size_t i) { return (is_try(i) ? try_pace : pace) * work.costs[i]; };
  // A later try that has no time any more is about to be left out.
  const bool left_out = is_try(work.index) && work.index > work.tries_begin && work.fraction == 0 &&
                        seconds_of(work.index) > absl::ToDoubleSeconds(work.budget_left);
  const double rest = left_out ? 0 : 1 - work.fraction;
  Ahead ahead{rest * work.costs[work.index], rest * seconds_of(work.index)};
  double budget =
      absl::ToDoubleSeconds(work.budget_left) - (is_try(work.index) ? ahead.seconds : 0);
  for (size_t i = work.index + 1; i < work.costs.size(); ++i) {
    double seconds = seconds_of(i);
    if (is_try(i)) {
      // The first is made in any case, with fewer epochs where it has to be.
      if (i == work.tries_begin) seconds = std::min(seconds, budget);
      if (seconds > budget) continue;
      budget -= seconds;
    }
    ahead.cost += work.costs[i];
    ahead.seconds += seconds;
  }
  return ahead;
}

}  // namespace

JobEstimate::Result JobEstimate::Update(const JobWork& work) {
  const double before = std::accumulate(
      work.costs.begin(), work.costs.begin() + static_cast<std::ptrdiff_t>(work.index), 0.0);
  const double done = before + work.fraction * work.costs[work.index];
  // Before the data set is loaded nobody knows how much there is to do; from then on the pace of
  // this attempt tells how long the rest takes. The first report of real work sets the start: a
  // resumed stage begins with much of it done.
  const bool loaded = work.index > 0;
  if (loaded && work.fraction > 0 && !start_) {
    start_ = clock_->Steady();
    done_at_start_ = done;
  }
  const bool has_pace = start_ && done > done_at_start_;
  const double pace =
      has_pace ? absl::ToDoubleSeconds(clock_->Steady() - *start_) / (done - done_at_start_) : 0;
  const Ahead ahead = AheadOf(work, pace);
  Result result;
  const double total = done + ahead.cost;
  result.fraction = total > 0 ? done / total : 0;
  // How many tries there will be is an estimate, and may grow.
  if (loaded) result.fraction = fraction_ = std::max(fraction_, result.fraction);
  if (has_pace) result.eta_seconds = ahead.seconds;
  return result;
}

}  // namespace cytopress
