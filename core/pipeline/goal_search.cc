#include "core/pipeline/goal_search.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace cytopress {
namespace {

constexpr double kFirstRatio = 24;
constexpr double kStep = 1.6;
constexpr double kCloseEnough = 1.15;
// A file is a little more than the entropy of its weights.
constexpr double kShareOfEntropy = 0.95;
// As INT8 without pruning: there is nothing larger to try.
constexpr double kLargestShare = 0.25;
// Each takes twice the time of the one before.
constexpr int kTriesOfLargest = 3;

int CountFailed(const std::vector<GoalTry>& tries, double budget) {
  return static_cast<int>(std::count_if(tries.begin(), tries.end(), [&](const GoalTry& done) {
    return !done.accurate && done.budget == budget;
  }));
}

// Without regard to the least.
std::optional<double> WantedBudget(const v1::Goal& goal, const GoalSizes& sizes,
                                   const std::vector<GoalTry>& tries) {
  const bool bounded = goal.max_bytes() > 0;
  double largest = kLargestShare * sizes.dense;
  if (bounded) {
    largest = std::min(largest, kShareOfEntropy * static_cast<double>(goal.max_bytes()));
  }
  largest = std::max(largest - sizes.fixed, 1.0);
  if (static_cast<int>(tries.size()) >= goal.max_tries()) return std::nullopt;
  if (tries.empty()) {
    return bounded ? largest : std::max(sizes.dense / kFirstRatio - sizes.fixed, 1.0);
  }
  double smallest_accurate = std::numeric_limits<double>::infinity();
  double excess = 0;  // of the smallest file, as a factor of what its layers may have
  for (const GoalTry& done : tries) {
    if (done.accurate && done.budget < smallest_accurate) {
      smallest_accurate = done.budget;
      excess = (done.bytes - sizes.fixed) / largest;
    }
    if (MeetsGoal(goal, done) && bounded) return std::nullopt;
  }
  double largest_failed = 0;
  for (const GoalTry& done : tries) {
    // What lost too much, and does not where it is trained longer, is no bound.
    if (done.accurate || done.budget >= smallest_accurate) continue;
    largest_failed = std::max(largest_failed, done.budget);
  }
  if (std::isinf(smallest_accurate)) {
    if (largest_failed < largest) return std::min(largest, largest_failed * kStep);
    // More bytes are not allowed; what more training gives, and another draw, may be enough.
    if (bounded && CountFailed(tries, largest) < kTriesOfLargest) return largest;
    return std::nullopt;
  }
  if (largest_failed == 0) {
    // What is just too large says by how much; what is too slow does not.
    const bool just_too_large =
        bounded && excess > 1 && excess < kStep && goal.max_latency_ms() == 0;
    return smallest_accurate / (just_too_large ? excess : kStep);
  }
  if (smallest_accurate / largest_failed < kCloseEnough) return std::nullopt;
  return std::sqrt(smallest_accurate * largest_failed);
}

}  // namespace

bool MeetsGoal(const v1::Goal& goal, const GoalTry& done) {
  return done.accurate &&
         (goal.max_bytes() == 0 || done.bytes <= static_cast<double>(goal.max_bytes())) &&
         (goal.max_latency_ms() == 0 || done.latency_ms <= goal.max_latency_ms());
}

std::optional<double> NextBudget(const v1::Goal& goal, const GoalSizes& sizes,
                                 const std::vector<GoalTry>& tries) {
  const std::optional<double> wanted = WantedBudget(goal, sizes, tries);
  if (!wanted || *wanted >= sizes.least) return wanted;
  const bool tried = std::any_of(tries.begin(), tries.end(),
                                 [&](const GoalTry& done) { return done.budget <= sizes.least; });
  return tried ? std::nullopt : std::optional<double>(sizes.least);
}

int TimesTheEpochs(const v1::Goal& goal, const std::vector<GoalTry>& tries) {
  if (goal.max_bytes() == 0 || tries.empty()) return 1;  // what fails is followed by more bytes
  return 1 << CountFailed(tries, tries.front().budget);
}

std::optional<size_t> BestTry(const v1::Goal& goal, const std::vector<GoalTry>& tries) {
  std::optional<size_t> best;
  for (size_t i = 0; i < tries.size(); ++i) {
    if (!MeetsGoal(goal, tries[i])) continue;
    if (!best || tries[i].bytes < tries[*best].bytes) best = i;
  }
  return best;
}

std::optional<size_t> NearestTry(const v1::Goal& goal, const std::vector<GoalTry>& tries) {
  std::optional<size_t> nearest;
  double least = std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < tries.size(); ++i) {
    if (!tries[i].accurate) continue;
    double factor = 0;
    if (goal.max_bytes() > 0) {
      factor = tries[i].bytes / static_cast<double>(goal.max_bytes());
    }
    if (goal.max_latency_ms() > 0) {
      factor = std::max(factor, tries[i].latency_ms / goal.max_latency_ms());
    }
    if (nearest && factor >= least) continue;
    least = factor;
    nearest = i;
  }
  return nearest;
}

}  // namespace cytopress
