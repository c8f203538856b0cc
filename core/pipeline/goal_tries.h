// What the tries of a search for a goal have come to.
#ifndef CYTOPRESS_CORE_PIPELINE_GOAL_TRIES_H_
#define CYTOPRESS_CORE_PIPELINE_GOAL_TRIES_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/pipeline/goal_search.h"
#include "core/pipeline/stage.h"

namespace cytopress {

// Tries are counted from 0 here, from 1 in names.
std::string NameOfTry(const PipelineState& state, size_t index);

// The model of a try of this job, if it was published.
absl::StatusOr<std::optional<v1::Model>> FindTry(const PipelineState& state, size_t index);

GoalSizes SizesOf(const PipelineState& state);

// What the first `count` tries came to, as far as they were made. The registry remembers it, so
// that a resumed job searches on where it was: the budgets follow from the results.
absl::StatusOr<std::vector<GoalTry>> FinishedTries(const PipelineState& state, size_t count);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_PIPELINE_GOAL_TRIES_H_
