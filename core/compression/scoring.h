// Scores of a split, by LibTorch while a model is being made and by the serving engine afterwards.
#ifndef CYTOPRESS_CORE_COMPRESSION_SCORING_H_
#define CYTOPRESS_CORE_COMPRESSION_SCORING_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/artifact/artifact.h"
#include "core/compression/torch_network.h"
#include "core/dataset/dataset.h"
#include "core/engine/engine.h"
#include "core/evaluation/evaluation.h"

namespace cytopress {

// Hears the share that is done of a work, batch by batch; its error ends the work. May be null.
using ShareDone = std::function<absl::Status(double)>;

// What a part of a work, from the share `begin` to `end` of it, calls with its own share.
ShareDone PartOf(const ShareDone& whole, double begin, double end);

// Logits of a split's images in file order, float [images, classes] on the CPU, with running
// batch-norm statistics; in bfloat16 when asked. `progress` hears the share that is done, batch by
// batch, and may answer false to stop: the logits then are those of the images so far.
torch::Tensor LogitsOf(const TorchNetwork& network, const Dataset& dataset, const Split& split,
                       bool bfloat16, const TorchNetwork::Hooks& hooks = {},
                       const std::function<bool(double)>& progress = nullptr);

// The same, or the error of `done`.
absl::StatusOr<torch::Tensor> LogitsUnlessStopped(const TorchNetwork& network,
                                                  const Dataset& dataset, const Split& split,
                                                  bool bfloat16, const TorchNetwork::Hooks& hooks,
                                                  const ShareDone& done);

// Scores of a split's logits, as LogitsOf returns them.
absl::StatusOr<Evaluation> EvaluateLogits(const torch::Tensor& logits, const Split& split);

// Scores of the network as it is.
absl::StatusOr<Evaluation> EvaluateNetwork(const TorchNetwork& network, const Dataset& dataset,
                                           const Split& split, bool bfloat16,
                                           const TorchNetwork::Hooks& hooks = {},
                                           const ShareDone& done = nullptr);

// The artifact's own evaluation on the split, if its job read this data set and was told the same
// names of its classes; else null. By other names labels may mean other classes. `told_names`: by
// label, as a job is told; empty: the data's own.
const v1::Evaluation* StoredEvaluation(const Artifact& artifact, const Dataset& dataset,
                                       const std::vector<std::string>& told_names,
                                       absl::string_view split_name);

struct ArtifactScoring {
  int threads = 1;
  Arithmetic arithmetic = Arithmetic::kAuto;
  bool auc_interval = false;  // takes 500 AUCs: seconds with a thousand classes
};

// Of a model file's content, by the engine that serves it or, with kFp32, by the same weights in
// floating-point arithmetic. Has the bits of the images that are right.
absl::StatusOr<v1::Evaluation> EvaluateArtifact(const Artifact& artifact, const Dataset& dataset,
                                                const std::string& split_name,
                                                const ArtifactScoring& how,
                                                const ShareDone& done = nullptr);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_COMPRESSION_SCORING_H_
