#include "core/compression/trainer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/compression/test_data.h"

namespace cytopress {
namespace {

v1::TrainOptions Options(int epochs) {
  v1::TrainOptions options;
  options.set_epochs(epochs);
  options.set_batch_size(32);
  options.set_learning_rate(0.05);
  options.set_warmup_fraction(0.1);
  options.set_momentum(0.9);
  options.set_weight_decay(5e-4);
  options.set_label_smoothing(0.1);
  options.set_shift_pixels(1);
  options.set_precision("fp32");
  return options;
}

Trainer::Hooks NoHooks() {
  return {[](const StepReport&) { return absl::OkStatus(); }, [] { return absl::OkStatus(); }};
}

TEST(LearningRateTest, WarmsUpThenFallsToZero) {
  EXPECT_NEAR(LearningRateFactor(0, 100, 0.1), 0.1, 1e-9);
  EXPECT_NEAR(LearningRateFactor(9, 100, 0.1), 1.0, 1e-9);
  EXPECT_NEAR(LearningRateFactor(54, 100, 0.1), 0.5, 0.01);
  EXPECT_NEAR(LearningRateFactor(99, 100, 0.1), 0.0, 1e-9);
  EXPECT_NEAR(LearningRateFactor(99, 100, 0), 0.0, 1e-9);
}

TEST(TrainerTest, LearnsWhatCanBeLearned) {
  const Dataset dataset = SpotDataset();
  TorchNetwork network = SmallNetwork();
  const v1::TrainOptions options = Options(4);
  const Masks no_masks;
  Trainer trainer(network, dataset, options, 1, no_masks);
  ASSERT_TRUE(trainer.Run(NoHooks()).ok());
  EXPECT_GT(trainer.best().accuracy, 0.95);
  EXPECT_GT(trainer.images_per_second(), 0);
}

TEST(TrainerTest, MasksHoldThroughTraining) {
  const Dataset dataset = SpotDataset();
  TorchNetwork network = SmallNetwork();
  const Masks masks = GlobalMagnitudeMasks(network, 0.8);
  ApplyMasks(masks, network);
  const v1::TrainOptions options = Options(1);
  Trainer trainer(network, dataset, options, 1, masks);
  Trainer::Hooks hooks = NoHooks();
  hooks.on_step = [&](const StepReport&) { return CheckMasks(masks, network); };
  ASSERT_TRUE(trainer.Run(hooks).ok());
  EXPECT_GE(Sparsity(network), 0.8 - 1e-6);
}

// Stopped after the first epoch and resumed by another trainer, training ends with the same
// network.
TEST(TrainerTest, ResumesAsIfItHadNeverStopped) {
  at::set_num_threads(1);
  const Dataset dataset = SpotDataset();
  const v1::TrainOptions options = Options(2);
  const Masks no_masks;
  TorchNetwork whole = SmallNetwork();
  Trainer whole_trainer(whole, dataset, options, 1, no_masks);
  ASSERT_TRUE(whole_trainer.Run(NoHooks()).ok());

  TensorTable saved;
  TorchNetwork first = SmallNetwork();
  Trainer first_trainer(first, dataset, options, 1, no_masks);
  Trainer::Hooks stop = NoHooks();
  stop.on_epoch = [&] {
    TensorTable table;
    first_trainer.Save(table);
    for (auto& [name, tensor] : table) saved[name] = tensor.detach().clone();
    return absl::CancelledError("stopped");
  };
  EXPECT_TRUE(absl::IsCancelled(first_trainer.Run(stop)));

  TorchNetwork second = SmallNetwork("resnet18", 1234);
  Trainer second_trainer(second, dataset, options, 1, no_masks);
  ASSERT_TRUE(second_trainer.Load(saved).ok());
  ASSERT_TRUE(second_trainer.Run(NoHooks()).ok());
  for (const auto& [name, tensor] : whole.tensors()) {
    EXPECT_TRUE(tensor.equal(second.tensors().at(name))) << name;
  }
}

TEST(TrainerTest, DivergenceIsAnErrorThatSaysWhatToDo) {
  const Dataset dataset = SpotDataset();
  TorchNetwork network = SmallNetwork();
  v1::TrainOptions options = Options(3);
  options.set_learning_rate(1e30);
  const Masks no_masks;
  Trainer trainer(network, dataset, options, 1, no_masks);
  const absl::Status status = trainer.Run(NoHooks());
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(status.message(), testing::HasSubstr("lower the learning rate"));
}

}  // namespace
}  // namespace cytopress
