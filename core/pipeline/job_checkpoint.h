// What a job's checkpoint keeps of its state, so that a later attempt goes on from there.
#ifndef CYTOPRESS_CORE_PIPELINE_JOB_CHECKPOINT_H_
#define CYTOPRESS_CORE_PIPELINE_JOB_CHECKPOINT_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/compression/checkpoint.h"
#include "core/pipeline/stage.h"

namespace cytopress {

// Puts into the table: the network, masks, frozen grids, the dense model's score, the ledger, the
// published models, the search for a goal, which data it is all about, and `next_stage`, the number
// of the stage to go on with. What a stage has saved of its own may be in the table, too.
void PutState(size_t next_stage, const PipelineState& state, TensorTable& table);

// Takes it out again and returns the stage to go on with. FAILED_PRECONDITION when the data are
// others; DATA_LOSS names what is missing or misshapen: `state` then is as it was.
// REQUIRES: the state has its data set and a network.
absl::StatusOr<size_t> TakeState(const TensorTable& table, PipelineState& state);

// What a stage within a stage begins from, as a digest: `stage`, which is "outer/inner", and of the
// state the try's plan, the data and the network.
std::string NestedOrigin(const std::string& stage, const PipelineState& state);

// For a stage within a stage. PutNested puts into the table: the origin (NestedOrigin), the masks
// and the frozen grids; the outer stage is run again, which brings back the rest of the state. What
// the stage has saved of its own may be in the table, too. TakeNested takes masks and grids out
// again: DATA_LOSS when the origin is another, or something is misshapen; the state then is as it
// was.
void PutNested(const std::string& origin, const PipelineState& state, TensorTable& table);
absl::Status TakeNested(const std::string& origin, const TensorTable& table, PipelineState& state);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_PIPELINE_JOB_CHECKPOINT_H_
