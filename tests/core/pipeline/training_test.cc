// A round of training by itself: what it saves, and what it does not do again.
#include "core/pipeline/training.h"

#include <gtest/gtest.h>

#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "core/jobs/job_defaults.h"
#include "tests/core/pipeline/stages_fixture.h"

namespace cytopress {
namespace {

// Two steps an epoch.
class TrainingTest : public StagesTest {
 protected:
  TrainingTest() {
    v1::TrainOptions& options = *spec_.mutable_recipe()->mutable_train();
    options.set_epochs(2);
    options.set_max_images(64);
    options.set_batch_size(32);
    options.set_precision("fp32");
    options.set_ema_decay(0.9);
    spec_ = WithDefaults(spec_);
    stage_context_.progress = [this](double, const v1::Progress& progress) {
      if (progress.epoch() > 0) ++steps_;
      return absl::OkStatus();
    };
    stage_context_.checkpoint = [this](const TensorTable& table) {
      TensorTable& copy = saved_.emplace_back();
      for (const auto& [name, tensor] : table) copy[name] = tensor.detach().clone();
      return absl::OkStatus();
    };
  }

  absl::StatusOr<StageOutcome> Train() {
    TrainerSetup setup;
    setup.gradual.emplace();
    setup.gradual->set_sparsity(0.5);
    setup.gradual->set_gradual_fraction(0.5);
    return RunTraining(spec_.recipe().train(), std::move(setup), state_, stage_context_);
  }

  std::vector<TensorTable> saved_;
  int steps_ = 0;
};

TEST_F(TrainingTest, TheAnswersOfALargerDenseModelAreKnownToTakeLonger) {
  v1::TrainOptions options = spec_.recipe().train();
  const double alone = TrainingCost(options, state_);
  options.set_distillation(0.5);
  const double images = static_cast<double>(state_.dataset.train.size());
  EXPECT_DOUBLE_EQ(TrainingCost(options, state_), alone + images);
  state_.parent.macs_ratio = 4;
  EXPECT_DOUBLE_EQ(TrainingCost(options, state_), alone + 4 * images);
}

// As the cell of a try does, or batch norms that are measured again.
TEST_F(TrainingTest, WhatHasEndedIsNotTrainedAgainWhereWhatFollowsIsStopped) {
  const auto whole = Train();
  ASSERT_TRUE(whole.ok()) << whole.status();
  EXPECT_EQ(steps_, 4);
  ASSERT_EQ(saved_.size(), 2u);
  const TensorMap trained = state_.network->Export();
  stage_context_.resumed = saved_.back();
  state_.network = std::make_unique<TorchNetwork>(SmallNetwork("resnet20", /*seed=*/8));
  const auto resumed = Train();
  ASSERT_TRUE(resumed.ok()) << resumed.status();
  EXPECT_EQ(steps_, 4);
  EXPECT_EQ(saved_.size(), 2u);
  const TensorMap loaded = state_.network->Export();
  for (const auto& [name, tensor] : trained) {
    EXPECT_EQ(loaded.at(name).values, tensor.values) << name;
  }
  EXPECT_EQ(resumed->score->accuracy, whole->score->accuracy);
  EXPECT_EQ(resumed->score->auc, whole->score->auc);
  EXPECT_EQ(resumed->note, whole->note);
  EXPECT_GT(resumed->images_per_second, 0);
  EXPECT_EQ(resumed->images_per_second, whole->images_per_second);
}

TEST_F(TrainingTest, ARoundOfOneEpochIsSavedToo) {
  spec_.mutable_recipe()->mutable_train()->set_epochs(1);
  ASSERT_TRUE(Train().ok());
  ASSERT_EQ(saved_.size(), 1u);
  stage_context_.resumed = saved_.back();
  ASSERT_TRUE(Train().ok());
  EXPECT_EQ(steps_, 2);
}

TEST_F(TrainingTest, AResumedOneHearsThatItIsToStopWhileItsTeacherAnswers) {
  ASSERT_TRUE(MakePublishParentStage()->Run(state_, stage_context_).ok());
  spec_.mutable_recipe()->mutable_train()->set_distillation(0.5);
  spec_.mutable_recipe()->mutable_train()->set_distillation_temperature(2);
  ASSERT_TRUE(Train().ok());
  stage_context_.resumed = saved_.front();
  state_.parent.teacher_logits = torch::Tensor();  // as in another attempt
  steps_ = 0;
  observer_.progresses.emplace_back().set_stage("fine-tune");
  observer_.stop_in_stage = "fine-tune";
  EXPECT_TRUE(absl::IsCancelled(Train().status()));
  EXPECT_EQ(steps_, 0);
}

// As a full disk is; what was saved before is intact.
TEST_F(TrainingTest, GoesOnWithoutACheckpointThatThereIsNoRoomFor) {
  spec_.mutable_recipe()->mutable_train()->set_epochs(3);
  absl::Status saved = absl::ResourceExhaustedError("cannot write checkpoint.pt: no space left");
  int checkpoints = 0;
  stage_context_.checkpoint = [&](const TensorTable&) {
    ++checkpoints;
    return saved;
  };
  const auto full = Train();
  EXPECT_TRUE(full.ok()) << full.status();
  EXPECT_EQ(checkpoints, 3) << "after each epoch";
  saved = absl::PermissionDeniedError("cannot write checkpoint.pt: permission denied");
  EXPECT_EQ(Train().status(), saved);
  EXPECT_EQ(checkpoints, 4);
}

}  // namespace
}  // namespace cytopress
