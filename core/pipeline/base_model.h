// The published model that a job starts from.
#ifndef CYTOPRESS_CORE_PIPELINE_BASE_MODEL_H_
#define CYTOPRESS_CORE_PIPELINE_BASE_MODEL_H_

#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/pipeline/stage.h"

namespace cytopress {

// Makes the network that of the job's base model, sets the dense score and how sparse it was,
// numbers the data set's classes as the model does, and has its images normalized as the model
// knows them. Returns what the reader of the ledger is to know about it. INVALID_ARGUMENT when the
// data set's images or classes are not the model's, or when only some of its classes have names by
// which they are found, at other positions. REQUIRES: the data set is loaded, state.parent.name is
// the base model.
absl::StatusOr<std::optional<Finding>> LoadBaseModel(PipelineState& state);

// The sparsity that a ledger's last model had before it was rounded; nothing when no line tells.
std::optional<double> SparsityBeforeRounding(const std::vector<v1::LedgerEntry>& ledger);

// The artifact's weights become the network's; INVALID_ARGUMENT when that has another shape.
absl::Status TakeWeights(const Artifact& artifact, PipelineState& state);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_PIPELINE_BASE_MODEL_H_
