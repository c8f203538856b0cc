// Steps that several stages take with the network as it is.
#ifndef CYTOPRESS_CORE_PIPELINE_NETWORK_STEPS_H_
#define CYTOPRESS_CORE_PIPELINE_NETWORK_STEPS_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/pipeline/stage.h"

namespace cytopress {

// CANCELLED when the job is to stop.
absl::Status CheckStop(const PipelineState& state);

// On the validation split. CANCELLED when the job is to stop.
absl::StatusOr<Score> ScoreNetwork(const PipelineState& state);

// ReestimateBatchNorm with the recipe's seed, and how a ledger line says so.
void RemeasureBatchNorm(PipelineState& state);
inline constexpr char kBatchNormRemeasured[] = "batch-norm statistics measured again";

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_PIPELINE_NETWORK_STEPS_H_
