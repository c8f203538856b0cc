#include "core/compression/batch_norm.h"

#include "core/compression/batch_loader.h"

namespace cytopress {
namespace {

constexpr int kBatch = 128;

}  // namespace

void ReestimateBatchNorm(const TorchNetwork& network, const Dataset& dataset, uint64_t seed,
                         int64_t images) {
  torch::NoGradGuard no_grad;
  BatchLoader loader(dataset, dataset.train, kBatch, seed, images);
  // Shuffled, since a data set in the order of its classes has no typical batch.
  loader.StartEpoch(0);
  Augmentation none;
  none.flips = false;
  none.shift_pixels = 0;
  TorchNetwork::Hooks hooks;
  for (int64_t step = 0; step < loader.train_steps(); ++step) {
    // The momentum that makes the running statistics the mean of all batches so far.
    hooks.batch_norm_momentum = 1.0 / static_cast<double>(step + 1);
    network.Forward(loader.TrainBatch(step, none).images.to(network.device()),
                    TorchNetwork::Mode::kTrain, hooks);
  }
}

}  // namespace cytopress
