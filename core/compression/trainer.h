// One round of training or fine-tuning.
#ifndef CYTOPRESS_CORE_COMPRESSION_TRAINER_H_
#define CYTOPRESS_CORE_COMPRESSION_TRAINER_H_

#include <torch/torch.h>

#include <functional>

#include "absl/status/status.h"
#include "core/compression/batch_loader.h"
#include "core/compression/checkpoint.h"
#include "core/compression/pruning.h"
#include "core/compression/sgd.h"
#include "core/compression/torch_network.h"
#include "core/dataset/dataset.h"
#include "core/evaluation/evaluation.h"
#include "cytopress/v1/recipe.pb.h"

namespace cytopress {

// The share of the peak learning rate at `step` of `steps`: linear warm-up over the first
// `warmup_fraction`, then half a cosine to zero (Loshchilov and Hutter, "SGDR", 2017).
double LearningRateFactor(int64_t step, int64_t steps, double warmup_fraction);

struct StepReport {
  int epoch = 0;  // 1-based
  int epochs = 0;
  int64_t step = 0;  // 1-based, within the epoch
  int64_t steps = 0;
  double loss = 0;  // mean over the epoch so far
  double learning_rate = 0;
  double images_per_second = 0;    // of training, over this epoch
  double validation_accuracy = 0;  // of the last finished epoch
};

// SGD with Nesterov momentum, weight decay on convolutions and the classifier only, label
// smoothing, and the network of the best validation accuracy (AUC decides ties) at the end. Masked
// weights are zeroed after every step. Thread-compatible.
class Trainer {
 public:
  struct Hooks {
    // After every step; a status that is not OK stops the training with it.
    std::function<absl::Status(const StepReport&)> on_step;
    // After every epoch but the last: time to save.
    std::function<absl::Status()> on_epoch;
  };

  // `options` have their defaults filled in (core/jobs/job_spec.h). All references must outlive the
  // trainer; `masks` may be empty.
  Trainer(TorchNetwork& network, const Dataset& dataset, const v1::TrainOptions& options,
          uint64_t seed, const Masks& masks);

  // Trains the epochs that are left and loads the best tensors into the network.
  absl::Status Run(const Hooks& hooks);

  // Training images a second over all epochs that this object ran; 0 before.
  double images_per_second() const;
  const Evaluation& best() const { return best_; }

  // The state between two epochs: the network, the momentum, the best so far.
  void Save(TensorTable& table) const;
  absl::Status Load(const TensorTable& table);

 private:
  absl::Status RunEpoch(const Hooks& hooks);
  double Step(const Batch& batch, double learning_rate);
  double LearningRate(int64_t step_in_epoch) const;
  absl::Status Validate();

  TorchNetwork& network_;
  const Dataset& dataset_;
  const v1::TrainOptions& options_;
  const Masks& masks_;
  BatchLoader loader_;
  Augmentation augmentation_;
  bool bfloat16_ = false;
  NesterovSgd optimizer_;
  int64_t epoch_ = 0;  // finished epochs
  double last_accuracy_ = 0;
  Evaluation best_;
  TensorTable best_tensors_;
  double train_seconds_ = 0;
  int64_t trained_images_ = 0;
};

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_COMPRESSION_TRAINER_H_
