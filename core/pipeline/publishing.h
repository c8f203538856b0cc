// From a network to a published file that was read back, scored and certified.
#ifndef CYTOPRESS_CORE_PIPELINE_PUBLISHING_H_
#define CYTOPRESS_CORE_PIPELINE_PUBLISHING_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/compression/scoring.h"
#include "core/pipeline/stage.h"

namespace cytopress {

// An artifact with everything the job knows but tensors, activation ranges and evaluations.
Artifact DescribeArtifact(const PipelineState& state, v1::WeightType weights);

// The file of the dense parent. REQUIRES: state.parent.name is not empty.
absl::StatusOr<Artifact> ReadParent(const PipelineState& state);

// The scores of that file on a split: its own where it was measured on these data, else it is
// measured now. REQUIRES: state.parent.name is not empty.
absl::StatusOr<v1::Evaluation> EvaluateParent(const PipelineState& state,
                                              const std::string& split_name,
                                              const ShareDone& done = nullptr);

// What was read back from disk, and the size of its file.
struct WrittenArtifact {
  Artifact artifact;
  int64_t disk_bytes = 0;
};
absl::StatusOr<WrittenArtifact> WriteAndReadBack(const Artifact& artifact, const std::string& path);

// Scores the file's model on the validation and the test split with the serving engine, certifies
// it, against its parent if it has one, and writes both into the file. Returns the validation
// scores.
absl::StatusOr<v1::Evaluation> EvaluateFile(const PipelineState& state, const std::string& path,
                                            const ShareDone& done);

// The sizes of a published model, for its ledger line.
void AddBytes(const v1::ModelSize& size, StageOutcome& outcome);
// Those of the dense parent's file. REQUIRES: state.parent.name is not empty.
absl::Status AddBytesOfParent(const PipelineState& state, StageOutcome& outcome);

// Publishes the file under `name`; idempotent for the job.
absl::StatusOr<std::string> PublishFile(const PipelineState& state, const std::string& path,
                                        const std::string& name);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_PIPELINE_PUBLISHING_H_
