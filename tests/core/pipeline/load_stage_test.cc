// What the first stage says about the data.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/jobs/job_defaults.h"
#include "core/pipeline/stages.h"
#include "tests/core/pipeline/pipeline_fixture.h"

namespace cytopress {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

class LoadStageTest : public PipelineTest {
 protected:
  // What the stage says of a recipe that tolerates so much.
  std::string Note(double max_accuracy_drop) {
    v1::JobSpec spec = TinySpec();
    spec.mutable_dataset()->set_uri("synthetic:100");
    spec.mutable_recipe()->set_max_accuracy_drop(max_accuracy_drop);
    spec = WithDefaults(spec);
    RecordingObserver observer;
    PipelineContext context;
    context.registry = registry_.get();
    context.observer = &observer;
    PipelineState state(spec, context, torch::kCPU);
    StageContext stage_context;
    const auto outcome = MakeLoadStage()->Run(state, stage_context);
    EXPECT_TRUE(outcome.ok()) << outcome.status();
    validation_images_ = state.dataset.val.size();
    return outcome.ok() ? outcome->note : "";
  }

  int64_t validation_images_ = 0;
};

TEST_F(LoadStageTest, SaysWhenTheSplitIsTooSmallForTheTolerance) {
  EXPECT_THAT(Note(0), Not(HasSubstr("cannot show"))) << "nothing is checked";
  const auto images = static_cast<double>(validation_images_);
  ASSERT_GT(images, 2);
  EXPECT_THAT(Note(2 / images), Not(HasSubstr("cannot show"))) << "two images";
  EXPECT_THAT(Note(1.9 / images), HasSubstr("cannot show"));
  EXPECT_THAT(Note(0.005), EndsWith(absl::StrCat("; ", validation_images_,
                                                 " validation images cannot show a loss of 0.5 "
                                                 "points: 400 or more can")));
}

}  // namespace
}  // namespace cytopress
