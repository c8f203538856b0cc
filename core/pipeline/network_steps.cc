#include "core/pipeline/network_steps.h"

#include "core/base/status_macros.h"
#include "core/compression/batch_norm.h"
#include "core/compression/scoring.h"

namespace cytopress {

absl::Status CheckStop(const PipelineState& state) {
  if (state.context.observer->ShouldStop()) return absl::CancelledError("the job was stopped");
  return absl::OkStatus();
}

absl::StatusOr<Score> ScoreNetwork(const PipelineState& state) {
  CYTOPRESS_ASSIGN_OR_RETURN(
      const Evaluation evaluation,
      EvaluateNetwork(*state.network, state.dataset, state.dataset.val, state.bfloat16, {},
                      [&](double) { return CheckStop(state); }));
  return ScoreOf(evaluation);
}

void RemeasureBatchNorm(PipelineState& state) {
  ReestimateBatchNorm(*state.network, state.dataset, state.spec.recipe().seed());
}

}  // namespace cytopress
