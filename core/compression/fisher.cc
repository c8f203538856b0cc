#include "core/compression/fisher.h"

#include <vector>

#include "core/base/status_macros.h"
#include "core/compression/augmentation.h"
#include "core/compression/batch_loader.h"

namespace cytopress {
namespace {

constexpr int kFisherBatch = 8;

void ForgetGradients(const TorchNetwork& network) {
  for (const auto& [name, parameter] : network.Parameters()) parameter.mutable_grad().reset();
}

}  // namespace

// Shuffled, since images of one class pull the same way.
absl::StatusOr<FisherDiagonal> MeasureFisher(TorchNetwork& network, const Dataset& dataset,
                                             int64_t images, uint64_t seed,
                                             const std::function<absl::Status(double)>& progress) {
  BatchLoader loader(dataset, dataset.train, kFisherBatch, seed, images);
  loader.StartEpoch(0);
  FisherDiagonal fisher;
  for (const auto& [name, parameter] : network.Parameters()) {
    if (parameter.dim() == 4) fisher[name] = torch::zeros_like(parameter.detach());
  }
  const int64_t steps = loader.steps();
  absl::Status status;
  for (int64_t step = 0; step < steps; ++step) {
    status = progress(static_cast<double>(step) / static_cast<double>(steps));
    if (!status.ok()) break;
    const Batch batch = loader.TrainBatch(step, Augmentation::None());
    const torch::Tensor logits =
        network.Forward(batch.images.to(network.device()), TorchNetwork::Mode::kEvaluate);
    ForgetGradients(network);
    at::cross_entropy_loss(logits, batch.labels.to(network.device())).backward();
    // The mean of all batches so far.
    FollowFisher(network, batch.labels.size(0),
                 static_cast<double>(step) / static_cast<double>(step + 1), fisher);
  }
  ForgetGradients(network);
  CYTOPRESS_RETURN_IF_ERROR(status);
  return fisher;
}

// The square of a batch's mean gradient, times its size, is a sample of the Fisher information
// where the images are independent.
void FollowFisher(const TorchNetwork& network, int64_t images, double decay,
                  const FisherDiagonal& fisher) {
  torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> averages, gradients;
  for (const auto& [name, average] : fisher) {
    averages.push_back(average);
    gradients.push_back(network.tensors().at(name).grad());
  }
  at::_foreach_mul_(averages, decay);
  at::_foreach_addcmul_(averages, gradients, gradients, (1 - decay) * static_cast<double>(images));
}

}  // namespace cytopress
