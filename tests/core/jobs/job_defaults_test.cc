#include "core/jobs/job_defaults.h"

#include <gtest/gtest.h>

#include <string>

#include "core/jobs/job_spec.h"
#include "core/jobs/recipes.h"
#include "tests/core/jobs/good_spec.h"

namespace cytopress {
namespace {

TEST(WithDefaults, FillsTrainingFromScratch) {
  const v1::JobSpec spec = WithDefaults(GoodSpec());
  EXPECT_EQ(spec.network().architecture(), "resnet50");
  EXPECT_EQ(spec.network().stem(), v1::STEM_IMAGENET);
  EXPECT_EQ(spec.network().classes(), 0);  // the data set says
  const v1::TrainOptions& train = spec.recipe().train();
  EXPECT_EQ(train.epochs(), 12);
  EXPECT_EQ(train.batch_size(), 128);
  EXPECT_EQ(train.learning_rate(), 0.05);
  EXPECT_EQ(train.weight_decay(), 5e-4);
  EXPECT_EQ(train.shift_pixels(), 2);
  EXPECT_EQ(train.precision(), "auto");
  EXPECT_EQ(spec.recipe().seed(), 0u);
  EXPECT_EQ(spec.recipe().quantize().weights(), v1::WEIGHT_TYPE_FP16);
  EXPECT_EQ(spec.recipe().quantize().calibration_images(), 512);
  EXPECT_FALSE(spec.recipe().has_prune());
}

TEST(WithDefaults, PruningDoesNotBringFineTuning) {
  v1::JobSpec spec = GoodSpec();
  spec.mutable_recipe()->mutable_prune()->set_sparsity(0.9);
  const v1::Recipe recipe = WithDefaults(spec).recipe();
  EXPECT_EQ(recipe.prune().method(), v1::PRUNE_METHOD_GLOBAL_MAGNITUDE);
  EXPECT_FALSE(recipe.has_finetune());
}

TEST(WithDefaults, BaseModelIsNotTrainedAgain) {
  v1::JobSpec spec = GoodSpec();
  spec.set_base_model("blood");
  *spec.mutable_recipe() = *NamedRecipe("paper");
  const v1::JobSpec full = WithDefaults(spec);
  EXPECT_FALSE(full.recipe().has_train());
  EXPECT_FALSE(full.has_network());
  EXPECT_EQ(full.recipe().finetune().epochs(), 4);
}

TEST(WithDefaults, KeepsWhatWasGivenAndIsStable) {
  v1::JobSpec spec = GoodSpec();
  Train(&spec)->set_shift_pixels(-1);
  Train(&spec)->set_epochs(1);
  spec.mutable_recipe()->mutable_finetune();
  const v1::JobSpec once = WithDefaults(spec);
  EXPECT_EQ(once.recipe().train().shift_pixels(), -1);
  EXPECT_EQ(once.recipe().train().epochs(), 1);
  EXPECT_EQ(once.recipe().finetune().learning_rate(), 0.02);
  EXPECT_EQ(WithDefaults(once).SerializeAsString(), once.SerializeAsString());
  EXPECT_TRUE(ValidateJobSpec(once).empty());
}

TEST(WithDefaults, ZeroIsAChoiceWhereItMeansSomething) {
  v1::JobSpec spec = GoodSpec();
  v1::TrainOptions* train = Train(&spec);
  train->set_warmup_fraction(0);
  train->set_momentum(0);
  train->set_weight_decay(0);
  train->set_label_smoothing(0);
  train->set_shift_pixels(0);
  spec.mutable_recipe()->mutable_prune()->set_gradual_fraction(0);
  spec.mutable_goal();
  EXPECT_TRUE(ValidateJobSpec(spec).empty());
  const v1::Recipe full = WithDefaults(spec).recipe();
  EXPECT_EQ(full.train().warmup_fraction(), 0);
  EXPECT_EQ(full.train().momentum(), 0);
  EXPECT_EQ(full.train().weight_decay(), 0);
  EXPECT_EQ(full.train().label_smoothing(), 0);
  EXPECT_EQ(full.train().shift_pixels(), 0);
  EXPECT_EQ(full.prune().gradual_fraction(), 0);
}

// Receipts hold the filled-in recipe; the bytes are those of a release without presence.
TEST(WithDefaults, ARecipeOfAnEarlierReleaseStaysAsItIs) {
  const std::string written(
      "\x21\x9a\x99\x99\x99\x99\x99\xb9\x3f"   // warmup_fraction = 0.1
      "\x29\xcd\xcc\xcc\xcc\xcc\xcc\xec\x3f"   // momentum = 0.9
      "\x31\x00\x00\x00\x00\x00\x00\xf0\xbf"   // weight_decay = -1
      "\x39\x9a\x99\x99\x99\x99\x99\xa9\x3f",  // label_smoothing = 0.05
      36);
  v1::JobSpec spec = GoodSpec();
  ASSERT_TRUE(Train(&spec)->ParseFromString(written));
  EXPECT_TRUE(ValidateJobSpec(spec).empty());
  const v1::TrainOptions train = WithDefaults(spec).recipe().train();
  EXPECT_EQ(train.warmup_fraction(), 0.1);
  EXPECT_EQ(train.momentum(), 0.9);
  EXPECT_EQ(train.weight_decay(), -1);
  EXPECT_EQ(train.label_smoothing(), 0.05);
  EXPECT_EQ(train.shift_pixels(), 2);
}

TEST(WithDefaults, AGoalKeepsAccuracyTheLosslessWay) {
  v1::JobSpec spec = GoodSpec();
  spec.mutable_recipe()->Clear();
  spec.mutable_goal();
  const v1::JobSpec full = WithDefaults(spec);
  EXPECT_EQ(full.goal().max_accuracy_drop(), 0.005);
  EXPECT_EQ(full.recipe().max_accuracy_drop(), 0.005);
  EXPECT_EQ(full.recipe().quantize().rounding(), v1::ROUNDING_GPTQ);
  EXPECT_GT(full.recipe().prune().gradual_fraction(), 0);
  EXPECT_TRUE(full.recipe().has_finetune());
  EXPECT_TRUE(ValidateJobSpec(full).empty());
  EXPECT_EQ(WithDefaults(full).SerializeAsString(), full.SerializeAsString());
}

TEST(WithDefaults, AGoalDoesNotOnlyReportWhatIsLost) {
  v1::JobSpec spec = GoodSpec();
  *spec.mutable_recipe() = *NamedRecipe("paper");
  ASSERT_EQ(spec.recipe().on_collapse(), v1::COLLAPSE_POLICY_REPORT);
  spec.mutable_goal();
  EXPECT_EQ(WithDefaults(spec).recipe().on_collapse(), v1::COLLAPSE_POLICY_MEND);
}

}  // namespace
}  // namespace cytopress
