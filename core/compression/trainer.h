// One round of training or fine-tuning.
#ifndef CYTOPRESS_CORE_COMPRESSION_TRAINER_H_
#define CYTOPRESS_CORE_COMPRESSION_TRAINER_H_

#include <torch/torch.h>

#include <functional>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
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
// `warmup_fraction`, then half a cosine to zero (Loshchilov and Hutter, "SGDR", 2017), which would
// come a step after the last: of a round of few steps, each one trains.
//
// Every round has a schedule of its own from warm-up to zero. Fine-tuning a trained network so is
// learning-rate rewinding (Renda et al., "Comparing Rewinding and Fine-tuning in Neural Network
// Pruning", 2020) in that the weights stay and the rate goes up again instead of staying at its
// last, smallest value. It differs in what is rewound to: they repeat the last epochs of the
// original schedule as they were, here a whole schedule is run in fewer epochs to a peak of its own
// (as Le and Hua, "Network Pruning That Matters", 2021, restart theirs).
double LearningRateFactor(int64_t step, int64_t steps, double warmup_fraction);

struct StepReport {
  int epoch = 0;  // 1-based
  int epochs = 0;
  int64_t step = 0;  // 1-based, within the epoch
  int64_t steps = 0;
  double loss = 0;  // mean over the epoch so far, as of a few steps ago
  double learning_rate = 0;
  double images_per_second = 0;    // of training, over this epoch
  double validation_accuracy = 0;  // of the last finished epoch
};

// What is particular to a round; everything may be left out.
struct TrainerSetup {
  uint64_t seed = 0;
  // Weights to keep at zero. Gradual pruning writes its masks here.
  Masks* masks = nullptr;
  // Prunes to `sparsity` along the cubic schedule over the first `gradual_fraction` of the steps.
  std::optional<v1::PruneOptions> gradual;
  // Knowledge distillation (Hinton et al., "Distilling the Knowledge in a Neural Network", 2015) by
  // TrainOptions.distillation: the soft targets' logits, which are the dense parent's of all
  // training images, float [images, classes].
  torch::Tensor teacher_logits;
  // How the network computes with its weights: quantization-aware training rounds them here.
  TorchNetwork::Hooks hooks;
};

// SGD with Nesterov momentum, weight decay on convolutions and the classifier only, label
// smoothing, and the network of the best validation accuracy (AUC decides ties) at the end; with
// gradual pruning, the best of those that have the final sparsity. Masked weights are zeroed after
// every step. With ema_decay, what is validated and kept is the exponential moving average of
// weights and statistics (Polyak and Juditsky, 1992). With freeze_batch_norm, batch norms neither
// adapt nor learn (He et al., "Deep Residual Learning for Image Recognition", 2016, appendix A,
// fine-tune so). Thread-compatible.
class Trainer {
 public:
  struct Hooks {
    // After every step; a status that is not OK stops the training with it.
    std::function<absl::Status(const StepReport&)> on_step;
    // After every epoch but the last: time to save.
    std::function<absl::Status()> on_epoch;
    // After every batch of a validation, and of a measurement of Fisher information; may be null.
    std::function<absl::Status()> on_validation;
  };

  // `options` have their defaults filled in (core/jobs/job_defaults.h). All references must outlive
  // the trainer.
  Trainer(TorchNetwork& network, const Dataset& dataset, const v1::TrainOptions& options,
          TrainerSetup setup);

  // Trains the epochs that are left and loads the best tensors into the network. INVALID_ARGUMENT
  // when a step has too few images for the statistics of a batch norm that is not frozen.
  absl::Status Run(const Hooks& hooks);

  // Training images a second over all epochs that this object ran; 0 before.
  double images_per_second() const;
  const Evaluation& best() const { return best_; }

  // The state between two epochs: the network, the momentum, the best so far.
  void Save(TensorTable& table) const;
  absl::Status Load(const TensorTable& table);

 private:
  absl::Status CheckBatchNorm() const;
  absl::Status RunEpoch(const Hooks& hooks);
  // Returns the loss, on the device.
  torch::Tensor Step(const Batch& batch, double learning_rate);
  torch::Tensor Loss(const Batch& batch) const;
  double LearningRate(int64_t step_in_epoch) const;
  // Measures what gradual pruning begins with, where it goes by it.
  absl::Status PrepareFisher(const Hooks& hooks);
  // Raises the sparsity when it is time to.
  void PruneFurther(int64_t step);
  int64_t gradual_steps() const;
  void UpdateAverage(int64_t step);
  absl::Status Validate(const Hooks& hooks);
  // FAILED_PRECONDITION that says what to do. `epoch` is 1-based.
  absl::Status Diverged(absl::string_view finding, int64_t epoch) const;

  TorchNetwork& network_;
  const Dataset& dataset_;
  const v1::TrainOptions& options_;
  const TrainerSetup setup_;
  Masks no_masks_;
  Masks& masks_;
  const Augmentation augmentation_;
  BatchLoader loader_;  // its threads read the augmentation
  bool bfloat16_ = false;
  NesterovSgd optimizer_;
  int64_t epoch_ = 0;  // finished epochs
  double last_accuracy_ = 0;
  Evaluation best_;
  TensorTable best_tensors_;
  TensorTable average_;    // empty without ema_decay
  FisherDiagonal fisher_;  // of the last steps, while gradual pruning goes by it; else empty
  double train_seconds_ = 0;
  int64_t trained_images_ = 0;
};

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_COMPRESSION_TRAINER_H_
