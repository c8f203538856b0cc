// Which file size to try next.
#ifndef CYTOPRESS_CORE_COMPRESSION_GOAL_SEARCH_H_
#define CYTOPRESS_CORE_COMPRESSION_GOAL_SEARCH_H_

#include <optional>
#include <vector>

#include "cytopress/v1/recipe.pb.h"

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

// The bytes to give the next try, or nothing when the search is over. Without a bound of bytes the
// first try is a 24th of the dense model; sizes fall by 1.6 while tries are accurate, rise by it
// while none is, and are bisected between the two. With one, the search begins just below the bound
// and is over as soon as the goal is met; more than the bound is never tried. REQUIRES: `goal` has
// its defaults filled in.
std::optional<double> NextBudget(const v1::Goal& goal, double dense_bytes,
                                 const std::vector<GoalTry>& tries);

// The index of the smallest file that meets the goal.
std::optional<size_t> BestTry(const v1::Goal& goal, const std::vector<GoalTry>& tries);

// Where none meets it: of the accurate tries the one that exceeds the bound it is farthest from by
// the smallest factor.
std::optional<size_t> NearestTry(const v1::Goal& goal, const std::vector<GoalTry>& tries);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_COMPRESSION_GOAL_SEARCH_H_
