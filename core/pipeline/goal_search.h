// Which file size to try next.
#ifndef CYTOPRESS_CORE_PIPELINE_GOAL_SEARCH_H_
#define CYTOPRESS_CORE_PIPELINE_GOAL_SEARCH_H_

#include <cstddef>
#include <optional>
#include <vector>

#include "absl/time/time.h"
#include "cytopress/v1/job.pb.h"

namespace cytopress {

// A finished try.
struct GoalTry {
  double budget = 0;      // bytes that its layers were given
  bool accurate = false;  // lost no more accuracy than the goal allows; then it has the rest, too
  double bytes = 0;       // of its file
  double latency_ms = 0;
};

// Accurate, and within the bounds of bytes and latency that the goal has.
bool MeetsGoal(const v1::Goal& goal, const GoalTry& done);

// What bounds the budgets, in bytes.
struct GoalSizes {
  double dense = 0;  // of the dense model as FP32
  double fixed = 0;  // of every file, beside the layers that have a budget
  double least = 0;  // of these layers with the smallest choice for each; 0 while it is not known
};

// What a search has come to, in all attempts of its job: a resumed one does not get its whole time
// budget again, and has the same budgets of bytes.
struct GoalProgress {
  // Of all tries; without the time between attempts, and what was cut off and then repeated.
  absl::Duration spent = absl::ZeroDuration();
  absl::Duration longest_try = absl::ZeroDuration();
  std::optional<size_t> out_of_time_at;  // the first try that was left out
  double least_bytes = 0;                // as GoalSizes has it
  // Of the first try's fine-tuning, where the time budget has no room for those of the recipe; the
  // others train as many, times TimesTheEpochs. 0: the recipe's.
  int epochs = 0;
};

// The bytes to give the layers of the next try, or nothing when the search is over, as it is after
// goal.max_tries.
// 1. Without a bound of bytes the first try's file is to be a 24th of the dense model. Budgets are
//    divided by 1.6 while all tries are accurate, and multiplied by it while none is, up to a file
//    of a quarter of the dense model. Then they are bisected (geometric mean) between the smallest
//    accurate one and the largest below it that is not, until these are within 15 % of each other.
// 2. With a bound of bytes the first budget and what every file has beside it are 95 % of that, or
//    a quarter of the dense model if this is less; no budget is larger. While tries are accurate
//    and too large or too slow, budgets are divided by 1.6, or by the ratio of the layers' bytes to
//    the first budget where this is smaller and no latency is asked for. Then they are bisected as
//    above. The first try that meets the goal is the last.
// 3. With a bound of bytes a first try that loses too much is repeated up to twice with the same
//    budget, trained longer (TimesTheEpochs).
// 4. A budget below `least` becomes `least`, which is tried once, as all of these are estimates.
// REQUIRES: `goal` has its defaults filled in.
std::optional<double> NextBudget(const v1::Goal& goal, const GoalSizes& sizes,
                                 const std::vector<GoalTry>& tries);

// How many times the epochs of the first try the next one is to train: twice as many whenever the
// first is made again; then all do, so that they compare.
int TimesTheEpochs(const v1::Goal& goal, const std::vector<GoalTry>& tries);

// The index of the smallest file that meets the goal.
std::optional<size_t> BestTry(const v1::Goal& goal, const std::vector<GoalTry>& tries);

// Where none meets it: the accurate try whose worst ratio to its bounds is the smallest.
std::optional<size_t> NearestTry(const v1::Goal& goal, const std::vector<GoalTry>& tries);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_PIPELINE_GOAL_SEARCH_H_
