#include "core/compression/scoring.h"

#include <algorithm>

#include "core/base/status_macros.h"
#include "core/compression/batch_loader.h"
#include "core/compression/precision.h"
#include "core/engine/engine.h"

namespace cytopress {
namespace {

constexpr int kEvaluationBatch = 128;

v1::Evaluation ToMessage(const Evaluation& evaluation, const std::string& split_name,
                         const std::string& engine) {
  v1::Evaluation message;
  message.set_split(split_name);
  message.set_images(evaluation.images);
  message.set_accuracy(evaluation.accuracy);
  message.set_auc(evaluation.auc);
  message.set_accuracy_low(evaluation.accuracy_interval.low);
  message.set_accuracy_high(evaluation.accuracy_interval.high);
  message.set_expected_calibration_error(evaluation.expected_calibration_error);
  for (double recall : evaluation.class_recall) message.add_class_recall(recall);
  for (int64_t count : evaluation.confusion) message.add_confusion(count);
  message.set_engine(engine);
  return message;
}

}  // namespace

absl::StatusOr<Evaluation> EvaluateNetwork(const TorchNetwork& network, const Dataset& dataset,
                                           const Split& split, bool bfloat16) {
  torch::NoGradGuard no_grad;
  AutocastScope autocast(network.device(), bfloat16);
  BatchLoader loader(dataset, split, kEvaluationBatch, /*seed=*/0);
  std::vector<float> scores;
  scores.reserve(split.size() * dataset.classes());
  for (int64_t step = 0; step < loader.evaluation_steps(); ++step) {
    const Batch batch = loader.EvaluationBatch(step);
    const torch::Tensor logits =
        network.Forward(batch.images.to(network.device()), TorchNetwork::Mode::kEvaluate);
    const torch::Tensor probabilities =
        logits.to(torch::kCPU, torch::kFloat32).softmax(1).contiguous();
    const float* values = probabilities.data_ptr<float>();
    scores.insert(scores.end(), values, values + probabilities.numel());
  }
  return Evaluate(scores, split.labels, dataset.classes());
}

absl::StatusOr<v1::Evaluation> EvaluateArtifact(const Artifact& artifact, const Dataset& dataset,
                                                const std::string& split_name, int threads) {
  CYTOPRESS_ASSIGN_OR_RETURN(const Split* split, dataset.split(split_name));
  EngineOptions options;
  options.threads = threads;
  CYTOPRESS_ASSIGN_OR_RETURN(std::unique_ptr<Engine> engine, CreateEngine(artifact, options));
  const int64_t classes = engine->classes();
  std::vector<float> scores(split->size() * classes);
  for (int64_t begin = 0; begin < split->size(); begin += engine->preferred_batch()) {
    const int64_t count = std::min<int64_t>(engine->preferred_batch(), split->size() - begin);
    CYTOPRESS_RETURN_IF_ERROR(engine->Classify(
        absl::MakeConstSpan(&split->pixels[begin * dataset.image_bytes()],
                            count * dataset.image_bytes()),
        static_cast<int>(count), absl::MakeSpan(&scores[begin * classes], count * classes)));
  }
  CYTOPRESS_ASSIGN_OR_RETURN(const Evaluation evaluation,
                             Evaluate(scores, split->labels, dataset.classes()));
  return ToMessage(evaluation, split_name, engine->name());
}

}  // namespace cytopress
