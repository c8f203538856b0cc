// Steps that several stages take with the network as it is.
#ifndef CYTOPRESS_CORE_COMPRESSION_NETWORK_STEPS_H_
#define CYTOPRESS_CORE_COMPRESSION_NETWORK_STEPS_H_

#include "absl/status/statusor.h"
#include "core/compression/stage.h"

namespace cytopress {

// On the validation split.
absl::StatusOr<Score> ScoreNetwork(const PipelineState& state);

// ReestimateBatchNorm with the recipe's seed, and how a ledger line says so.
void RemeasureBatchNorm(PipelineState& state);
inline constexpr char kBatchNormRemeasured[] = "batch-norm statistics measured again";

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_COMPRESSION_NETWORK_STEPS_H_
