#include "core/compression/scoring.h"

#include <algorithm>

#include "core/base/status_macros.h"
#include "core/compression/batch_loader.h"
#include "core/compression/precision.h"
#include "core/engine/engine.h"

namespace cytopress {
namespace {

constexpr int kEvaluationBatch = 128;
constexpr uint64_t kBootstrapSeed = 1;

// Probabilities of a split's images, in the batches of a single call for all of them.
absl::StatusOr<std::vector<float>> ProbabilitiesOf(Engine& engine, const Split& split,
                                                   const ShareDone& done) {
  const int64_t images = split.size();
  const int64_t classes = engine.classes();
  const absl::Span<const uint8_t> pixels = split.pixels;
  const int64_t image_bytes = static_cast<int64_t>(pixels.size()) / std::max<int64_t>(images, 1);
  std::vector<float> probabilities(images * classes);
  for (int64_t begin = 0; begin < images;) {
    const int64_t count = std::min<int64_t>(images - begin, engine.preferred_batch());
    CYTOPRESS_RETURN_IF_ERROR(engine.Classify(
        pixels.subspan(begin * image_bytes, count * image_bytes), static_cast<int>(count),
        absl::MakeSpan(probabilities).subspan(begin * classes, count * classes)));
    begin += count;
    if (done == nullptr) continue;
    CYTOPRESS_RETURN_IF_ERROR(done(static_cast<double>(begin) / static_cast<double>(images)));
  }
  return probabilities;
}

}  // namespace

ShareDone PartOf(const ShareDone& whole, double begin, double end) {
  if (whole == nullptr) return nullptr;
  return [whole, begin, end](double done) { return whole(begin + done * (end - begin)); };
}

torch::Tensor LogitsOf(const TorchNetwork& network, const Dataset& dataset, const Split& split,
                       bool bfloat16, const TorchNetwork::Hooks& hooks,
                       const std::function<bool(double)>& progress) {
  torch::NoGradGuard no_grad;
  AutocastScope autocast(network.device(), bfloat16);
  BatchLoader loader(dataset, split, kEvaluationBatch, /*seed=*/0, /*max_images=*/0,
                     network.device());
  std::vector<torch::Tensor> logits;
  const int64_t steps = loader.steps();
  for (int64_t step = 0; step < steps; ++step) {
    const Batch batch = loader.EvaluationBatch(step);
    logits.push_back(network.Forward(batch.images, TorchNetwork::Mode::kEvaluate, hooks));
    const double done = static_cast<double>(step + 1) / static_cast<double>(steps);
    if (progress != nullptr && !progress(done)) break;
  }
  return torch::cat(logits).to(torch::kCPU, torch::kFloat32);
}

absl::StatusOr<torch::Tensor> LogitsUnlessStopped(const TorchNetwork& network,
                                                  const Dataset& dataset, const Split& split,
                                                  bool bfloat16, const TorchNetwork::Hooks& hooks,
                                                  const ShareDone& done) {
  absl::Status status;
  torch::Tensor logits = LogitsOf(network, dataset, split, bfloat16, hooks, [&](double share) {
    if (done != nullptr) status = done(share);
    return status.ok();
  });
  CYTOPRESS_RETURN_IF_ERROR(status);
  return logits;
}

absl::StatusOr<Evaluation> EvaluateLogits(const torch::Tensor& logits, const Split& split) {
  const torch::Tensor probabilities = logits.softmax(1).contiguous();
  return Evaluate(absl::MakeConstSpan(probabilities.data_ptr<float>(), probabilities.numel()),
                  split.labels, static_cast<int>(logits.size(1)));
}

absl::StatusOr<Evaluation> EvaluateNetwork(const TorchNetwork& network, const Dataset& dataset,
                                           const Split& split, bool bfloat16,
                                           const TorchNetwork::Hooks& hooks,
                                           const ShareDone& done) {
  CYTOPRESS_ASSIGN_OR_RETURN(const torch::Tensor logits,
                             LogitsUnlessStopped(network, dataset, split, bfloat16, hooks, done));
  return EvaluateLogits(logits, split);
}

const v1::Evaluation* StoredEvaluation(const Artifact& artifact, const Dataset& dataset,
                                       const std::vector<std::string>& told_names,
                                       absl::string_view split_name) {
  if (artifact.provenance.dataset_hash() != dataset.content_hash) return nullptr;
  const auto& names = artifact.provenance.spec().dataset().class_names();
  if (!std::equal(names.begin(), names.end(), told_names.begin(), told_names.end())) {
    return nullptr;
  }
  for (const v1::Evaluation& evaluation : artifact.evaluations) {
    if (evaluation.split() == split_name) return &evaluation;
  }
  return nullptr;
}

absl::StatusOr<v1::Evaluation> EvaluateArtifact(const Artifact& artifact, const Dataset& dataset,
                                                const std::string& split_name,
                                                const ArtifactScoring& how, const ShareDone& done) {
  CYTOPRESS_ASSIGN_OR_RETURN(const Split* split, dataset.split(split_name));
  EngineOptions options;
  options.threads = how.threads;
  options.arithmetic = how.arithmetic;
  CYTOPRESS_ASSIGN_OR_RETURN(std::unique_ptr<Engine> engine, CreateEngine(artifact, options));
  CYTOPRESS_ASSIGN_OR_RETURN(const std::vector<float> scores,
                             ProbabilitiesOf(*engine, *split, done));
  CYTOPRESS_ASSIGN_OR_RETURN(const Evaluation evaluation,
                             Evaluate(scores, split->labels, dataset.classes()));
  v1::Evaluation message = ToProto(evaluation, split_name, engine->name());
  if (!how.auc_interval) return message;
  const Interval auc = BootstrapAuc(scores, split->labels, dataset.classes(), kBootstrapSeed);
  message.set_auc_low(auc.low);
  message.set_auc_high(auc.high);
  return message;
}

}  // namespace cytopress
