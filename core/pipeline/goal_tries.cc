#include "core/pipeline/goal_tries.h"

#include "core/base/status_macros.h"
#include "core/compression/sensitivity.h"
#include "core/jobs/model_names.h"

namespace cytopress {

std::string NameOfTry(const PipelineState& state, size_t index) {
  return GoalTryName(state.spec.model_name(), static_cast<int>(index) + 1);
}

absl::StatusOr<std::optional<v1::Model>> FindTry(const PipelineState& state, size_t index) {
  CYTOPRESS_ASSIGN_OR_RETURN(const std::vector<v1::Model> models,
                             state.context.registry->List(NameOfTry(state, index)));
  for (const v1::Model& model : models) {
    if (model.provenance().job_id() == state.context.job_id) return std::optional(model);
  }
  return std::optional<v1::Model>();
}

GoalSizes SizesOf(const PipelineState& state) {
  return {static_cast<double>(state.network->dense_bytes()), FixedBytes(state.network->network()),
          state.goal.least_bytes};
}

absl::StatusOr<std::vector<GoalTry>> FinishedTries(const PipelineState& state, size_t count) {
  const GoalSizes sizes = SizesOf(state);
  std::vector<GoalTry> tries;
  for (size_t i = 0; i < count; ++i) {
    const std::optional<double> budget = NextBudget(state.spec.goal(), sizes, tries);
    if (!budget) break;
    GoalTry done;
    done.budget = *budget;
    CYTOPRESS_ASSIGN_OR_RETURN(const std::optional<v1::Model> model, FindTry(state, i));
    if (model) {
      done.accurate = true;
      done.bytes = static_cast<double>(model->size().disk_bytes());
      done.latency_ms = 1e3 * model->certificate().latency_seconds();
    }
    tries.push_back(done);
  }
  return tries;
}

}  // namespace cytopress
