// Scores of a split, by LibTorch while a model is being made and by the serving engine afterwards.
#ifndef CYTOPRESS_CORE_COMPRESSION_SCORING_H_
#define CYTOPRESS_CORE_COMPRESSION_SCORING_H_

#include <string>

#include "absl/status/statusor.h"
#include "core/artifact/artifact.h"
#include "core/compression/torch_network.h"
#include "core/dataset/dataset.h"
#include "core/evaluation/evaluation.h"

namespace cytopress {

// Of the network as it is, with running batch-norm statistics; in bfloat16 when asked.
absl::StatusOr<Evaluation> EvaluateNetwork(const TorchNetwork& network, const Dataset& dataset,
                                           const Split& split, bool bfloat16);

// Of a model file's content, by the engine that serves it.
absl::StatusOr<v1::Evaluation> EvaluateArtifact(const Artifact& artifact, const Dataset& dataset,
                                                const std::string& split_name, int threads);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_COMPRESSION_SCORING_H_
