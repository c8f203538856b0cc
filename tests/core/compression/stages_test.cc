// Stages by themselves.
#include "core/compression/stages.h"

#include <gtest/gtest.h>

#include "tests/core/compression/pipeline_fixture.h"

namespace cytopress {
namespace {

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

}  // namespace
}  // namespace cytopress
