// The tries of a goal by themselves: what is in them is not run, and their cells are refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "core/jobs/job_defaults.h"
#include "core/pipeline/guard.h"
#include "core/pipeline/stages.h"
#include "tests/core/pipeline/pipeline_fixture.h"

namespace cytopress {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

// Without a model, each try counts as one that loses too much.
class GoalStagesTest : public PipelineTest {
 protected:
  GoalStagesTest() : state_(spec_, context_, torch::kCPU) {
    context_.registry = registry_.get();
    context_.observer = &observer_;
    context_.job_id = "job-1";
    spec_.set_model_name("tiny");
    spec_.mutable_recipe()->mutable_finetune()->set_epochs(2);
    spec_.mutable_goal()->set_max_bytes(100000);
    spec_.mutable_goal()->set_max_tries(4);
    spec_.mutable_goal()->set_time_budget_seconds(3600);
    spec_ = WithDefaults(spec_);
    state_.dataset = SpotDataset();
    state_.network = std::make_unique<TorchNetwork>(SmallNetwork("resnet20"));
    stage_context_.progress = [](double, const v1::Progress&) { return absl::OkStatus(); };
    cell_context_.run = [](Stage&, const Stage*, double, double) {
      return RefuseModel("class 'dark' is lost");
    };
    stage_context_.run = [this](Stage& stage, const Stage*, double, double) -> absl::Status {
      if (stage.kind() == v1::STAGE_KIND_FINE_TUNE) costs_.push_back(stage.Cost(state_));
      if (stage.kind() != v1::STAGE_KIND_CELL) return absl::OkStatus();
      return stage.Run(state_, cell_context_).status();
    };
    AddGoalStages(spec_, stages_);
  }

  StageOutcome Try(size_t index) {
    const auto outcome = stages_[index]->Run(state_, stage_context_);
    EXPECT_TRUE(outcome.ok()) << outcome.status();
    return outcome.ok() ? *outcome : StageOutcome();
  }

  v1::JobSpec spec_;
  RecordingObserver observer_;
  PipelineContext context_;
  PipelineState state_;
  StageContext stage_context_;
  StageContext cell_context_;
  std::vector<std::unique_ptr<Stage>> stages_;
  std::vector<double> costs_;  // of fine-tuning, try by try
};

TEST_F(GoalStagesTest, WhatLosesTooMuchAtTheBoundIsTrainedLonger) {
  EXPECT_THAT(Try(0).note, HasSubstr("; not published: class 'dark' is lost"));
  EXPECT_THAT(Try(1).note, HasSubstr("; again, with 4 epochs; not published"));
  EXPECT_THAT(Try(2).note, HasSubstr("; again, with 8 epochs"));
  EXPECT_THAT(Try(3).note, HasSubstr("the search is over"));
  EXPECT_EQ(state_.goal.epochs, 0) << "the recipe's: from them the same search follows again";
  ASSERT_EQ(costs_.size(), 3u);
  EXPECT_LT(costs_[0], costs_[1]);
  EXPECT_DOUBLE_EQ(costs_[2] - costs_[1], 2 * (costs_[1] - costs_[0]));
}

TEST_F(GoalStagesTest, OnlyTheLimitsThatWereGivenCanBeRaised) {
  const absl::Status status = MakePublishBestStage()->Run(state_, stage_context_).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(status.message(), HasSubstr(" kB: lost too much"));
  EXPECT_THAT(std::string(status.message()),
              EndsWith("; allow a larger max_accuracy_drop, max_bytes or time budget"));
}

TEST_F(GoalStagesTest, ATryCountsWithTheTimeOfEarlierAttempts) {
  stage_context_.taken = [] { return absl::Seconds(100); };
  Try(0);
  EXPECT_EQ(state_.goal.longest_try, absl::Seconds(100));
  EXPECT_EQ(state_.goal.spent, absl::Seconds(100));
  Try(1);
  EXPECT_EQ(state_.goal.spent, absl::Seconds(200));
}

// Training of another plan is not gone on with.
TEST_F(GoalStagesTest, APlanHasTheChoicesOfTheLayersAndTheEpochs) {
  Try(0);
  const std::string first = state_.try_plan;
  EXPECT_THAT(first, HasSubstr("layer1.0.conv1 "));
  EXPECT_THAT(first, HasSubstr(" WEIGHT_TYPE_INT"));
  EXPECT_THAT(first, HasSubstr("\n2 epochs"));
  Try(1);  // the same again
  EXPECT_EQ(state_.try_plan, first.substr(0, first.size() - 8) + "4 epochs");
}

// Or what is left of the search would seem to take half as long as the try that is being made.
TEST_F(GoalStagesTest, ATryCostsAsManyEpochsAsItTrains) {
  const double first = stages_[0]->Cost(state_);
  Try(0);
  const double second = stages_[1]->Cost(state_);
  EXPECT_EQ(stages_[3]->Cost(state_), second) << "those that follow train no fewer";
  Try(1);
  const double third = stages_[2]->Cost(state_);
  Try(2);
  ASSERT_EQ(costs_.size(), 3u);
  EXPECT_GT(second, first);
  EXPECT_NEAR(second - first, costs_[1] - costs_[0], 1e-6);
  EXPECT_NEAR(third - first, costs_[2] - costs_[0], 1e-6);
  EXPECT_EQ(stages_[0]->Cost(state_), first) << "what was done stays what it was";

  stages_.clear();
  AddGoalStages(spec_, stages_);  // as another attempt does
  Try(1);
  EXPECT_EQ(stages_[0]->Cost(state_), first);
  EXPECT_EQ(stages_[1]->Cost(state_), second);
  EXPECT_EQ(stages_[2]->Cost(state_), third);
}

TEST_F(GoalStagesTest, ALatencyChangesTheSharesOfTheLayers) {
  for (const auto& [name, tensor] : state_.network->tensors()) {
    if (tensor.dim() != 1 || name.find("bn2.weight") == std::string::npos) continue;
    torch::NoGradGuard no_grad;
    torch::Tensor gamma = tensor;
    gamma.fill_(1);  // fresh residual branches are switched off
  }
  spec_.mutable_goal()->set_max_bytes(20000);
  spec_.mutable_recipe()->mutable_prune()->set_pattern(v1::PRUNE_PATTERN_BLOCK4);
  const std::string of_bytes = Try(0).note;
  spec_.mutable_goal()->set_max_latency_ms(1);
  EXPECT_NE(Try(0).note, of_bytes);
}

TEST_F(GoalStagesTest, WhatIsTrainedLongerKeepsToTheTimeBudget) {
  Try(0);
  state_.goal.longest_try = absl::Seconds(1700);
  EXPECT_THAT(Try(1).note, HasSubstr("again, with 4 epochs"));
  state_.goal.longest_try = absl::Seconds(2000);
  EXPECT_THAT(Try(2).note, HasSubstr("left out")) << "there is room for one, but not for two";
  EXPECT_EQ(costs_.size(), 2u);
  EXPECT_EQ(state_.goal.out_of_time_at, 2u);
}

}  // namespace
}  // namespace cytopress
