// Stages by themselves.
#include "core/compression/stages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "core/jobs/job_defaults.h"
#include "tests/core/compression/pipeline_fixture.h"

namespace cytopress {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class StagesTest : public PipelineTest {
 protected:
  StagesTest() : state_(spec_, context_, torch::kCPU) {
    context_.registry = registry_.get();
    context_.job_id = "job-1";
    context_.work_folder = WorkFolder("job-1");
    EXPECT_TRUE(MakeDirectories(context_.work_folder).ok());
    spec_.set_model_name("tiny");
    state_.dataset = SpotDataset();
    state_.network = std::make_unique<TorchNetwork>(SmallNetwork());
    stage_context_.progress = [](double, const v1::Progress&) { return absl::OkStatus(); };
  }

  v1::JobSpec spec_;
  PipelineContext context_;
  PipelineState state_;
  StageContext stage_context_;
};

TEST_F(StagesTest, TheScoreOfTheServedParentIsWhatOthersAreComparedWith) {
  state_.dense.accuracy = 2;  // as no other arithmetic has it
  const auto outcome = MakePublishParentStage()->Run(state_, stage_context_);
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  const double served = registry_->Get({"tiny-dense", 1})->evaluations(0).accuracy();
  EXPECT_EQ(state_.dense.accuracy, served);
  ASSERT_TRUE(outcome->score);
  EXPECT_EQ(outcome->score->accuracy, served);
}

TEST_F(StagesTest, ATryWithTheChoicesOfAnotherIsNotTrainedAgain) {
  for (const auto& [name, tensor] : state_.network->tensors()) {
    if (tensor.dim() != 4) continue;
    torch::NoGradGuard no_grad;
    tensor.zero_();  // costs nothing and takes no bytes: all budgets have the same choices
  }
  spec_.mutable_goal()->set_max_tries(2);
  spec_.mutable_recipe()->mutable_quantize()->set_calibration_images(16);
  spec_ = WithDefaults(spec_);
  ASSERT_TRUE(MakePublishParentStage()->Run(state_, stage_context_).ok());
  std::vector<std::string> ran;
  stage_context_.run = [&](Stage& stage, const Stage*, double, double) {
    ran.push_back(stage.name());
    const bool trains = stage.name() == "try 1 fine-tune" || stage.name() == "try 2 fine-tune";
    return trains ? absl::OkStatus() : stage.Run(state_, stage_context_).status();
  };
  std::vector<std::unique_ptr<Stage>> stages;
  AddGoalStages(spec_, stages);
  ASSERT_EQ(stages.size(), 3u);
  ASSERT_TRUE(stages[0]->Run(state_, stage_context_).ok());
  EXPECT_THAT(ran, Contains("try 1 fine-tune"));
  ran.clear();
  const auto second = stages[1]->Run(state_, stage_context_);
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_THAT(ran, ElementsAre("try 2 restart"));
  EXPECT_THAT(second->note, HasSubstr("the same as try 1"));
  EXPECT_EQ(*registry_->Read({"tiny-try2", 1}), *registry_->Read({"tiny-try1", 1}));
}

double Distance(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return std::sqrt(sum);
}

TEST_F(StagesTest, QuantizationIsMendedByEverBetterRoundingOfTheUnroundedWeights) {
  v1::QuantizeOptions& options = *spec_.mutable_recipe()->mutable_quantize();
  options.set_weights(v1::WEIGHT_TYPE_INT4);
  options.set_per_tensor_scales(true);
  options.set_calibration_images(16);
  spec_ = WithDefaults(spec_);
  const std::unique_ptr<Stage> stage = MakeQuantizeStage(spec_.recipe().quantize());
  const auto weights = [this] {
    return state_.network->Export().at("layer1.0.conv1.weight").values;
  };
  const std::vector<float> before = weights();
  const auto asked = stage->Run(state_, stage_context_);
  ASSERT_TRUE(asked.ok()) << asked.status();
  EXPECT_THAT(asked->note, HasSubstr("one scale a tensor"));
  EXPECT_EQ(state_.unrounded.at("layer1.0.conv1.weight").values, before);
  const double asked_distance = Distance(weights(), before);

  const auto first = stage->Mend(state_, stage_context_, 0);
  ASSERT_TRUE(first.ok()) << first.status();
  ASSERT_TRUE(first->has_value());
  EXPECT_THAT((*first)->note, HasSubstr("rounded to the nearest"));
  EXPECT_THAT((*first)->note, HasSubstr("batch-norm statistics measured again"));
  EXPECT_THAT((*first)->note, Not(HasSubstr("one scale a tensor")));
  EXPECT_LT(Distance(weights(), before), asked_distance);

  const auto second = stage->Mend(state_, stage_context_, 1);
  ASSERT_TRUE(second.ok()) << second.status();
  ASSERT_TRUE(second->has_value());
  EXPECT_THAT((*second)->note, HasSubstr("ranges by MSE, rounded with compensated errors"));

  const auto third = stage->Mend(state_, stage_context_, 2);
  ASSERT_TRUE(third.ok()) << third.status();
  EXPECT_FALSE(third->has_value());
}

}  // namespace
}  // namespace cytopress
