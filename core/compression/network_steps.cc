#include "core/compression/network_steps.h"

#include "core/base/status_macros.h"
#include "core/compression/batch_norm.h"
#include "core/compression/scoring.h"

namespace cytopress {

absl::StatusOr<Score> ScoreNetwork(const PipelineState& state) {
  CYTOPRESS_ASSIGN_OR_RETURN(
      const Evaluation evaluation,
      EvaluateNetwork(*state.network, state.dataset, state.dataset.val, state.bfloat16));
  return ScoreOf(evaluation);
}

void RemeasureBatchNorm(PipelineState& state) {
  ReestimateBatchNorm(*state.network, state.dataset, state.spec.recipe().seed());
}

}  // namespace cytopress
