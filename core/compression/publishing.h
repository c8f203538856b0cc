// From a network to a published file that was read back and scored.
#ifndef CYTOPRESS_CORE_COMPRESSION_PUBLISHING_H_
#define CYTOPRESS_CORE_COMPRESSION_PUBLISHING_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/compression/stage.h"

namespace cytopress {

// An artifact with the network's tensors in `weights` and everything the job knows; without
// activation ranges and evaluations.
absl::StatusOr<Artifact> MakeArtifact(const PipelineState& state, v1::WeightType weights);

// Writes the file, reads it back from disk and returns what was read.
absl::StatusOr<Artifact> WriteAndReadBack(const Artifact& artifact, const std::string& path);

// Scores the file's model on the validation and the test split with the serving engine and writes
// the scores into the file. Returns the validation scores.
absl::StatusOr<v1::Evaluation> EvaluateFile(const PipelineState& state, const std::string& path,
                                            const std::function<absl::Status(double)>& progress);

// Publishes the file under `name`; idempotent for the job.
absl::StatusOr<std::string> PublishFile(const PipelineState& state, const std::string& path,
                                        const std::string& name);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_COMPRESSION_PUBLISHING_H_
