#include "core/compression/precision.h"

#include <gtest/gtest.h>

#include "core/jobs/job_defaults.h"

namespace cytopress {
namespace {

TEST(PrecisionOfScoresTest, IsThatOfTheFirstTraining) {
  v1::JobSpec spec;
  EXPECT_EQ(PrecisionOfScores(WithDefaults(spec).recipe()), "auto");
  spec.mutable_recipe()->mutable_train()->set_precision("bf16");
  spec.mutable_recipe()->mutable_finetune()->set_precision("fp32");
  EXPECT_EQ(PrecisionOfScores(WithDefaults(spec).recipe()), "bf16");
  spec.set_base_model("blood@1");
  EXPECT_EQ(PrecisionOfScores(WithDefaults(spec).recipe()), "fp32");
  spec.mutable_recipe()->clear_finetune();
  spec.mutable_recipe()->mutable_quantize()->mutable_aware()->set_precision("fp32");
  EXPECT_EQ(PrecisionOfScores(WithDefaults(spec).recipe()), "fp32");
  spec.mutable_recipe()->clear_quantize();
  EXPECT_EQ(PrecisionOfScores(WithDefaults(spec).recipe()), "");
}

TEST(CheckDeviceTest, ADeviceThatIsNotThereCannotBeUsed) {
  EXPECT_EQ(CheckDevice("cpu"), absl::OkStatus());
  EXPECT_EQ(CheckDevice("cuda:999").code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace cytopress
