#include "client/cli/compress_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "client/cli/recipe_flags.h"
#include "core/base/file.h"
#include "core/jobs/job_defaults.h"
#include "core/jobs/job_spec.h"
#include "core/jobs/recipes.h"
#include "tests/temporary_folder.h"

namespace cytopress {
namespace {

using ::testing::HasSubstr;

CompressFlags Flags() {
  CompressFlags flags;
  flags.name = "blood";
  flags.dataset = "synthetic";
  return flags;
}

v1::JobSpec Build(const CompressFlags& flags) {
  const absl::StatusOr<v1::CompressRequest> request = BuildCompressRequest(flags);
  EXPECT_TRUE(request.ok()) << request.status();
  return request.ok() ? request->spec() : v1::JobSpec();
}

TEST(BuildCompressRequest, MakesAJobThatTheServiceAccepts) {
  for (const std::string& recipe : RecipeNames()) {
    CompressFlags flags = Flags();
    flags.recipe = recipe;
    const v1::JobSpec spec = Build(flags);
    EXPECT_EQ(spec.recipe().name(), recipe);
    EXPECT_TRUE(ValidateJobSpec(spec).empty());
    EXPECT_TRUE(ValidateJobSpec(WithDefaults(spec)).empty());
  }
}

TEST(BuildCompressRequest, ListsTheRecipesWhenThereIsNoSuch) {
  CompressFlags flags = Flags();
  flags.recipe = "fast";
  const absl::Status status = BuildCompressRequest(flags).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("quick"));
}

TEST(BuildCompressRequest, PutsFlagsOverTheRecipe) {
  CompressFlags flags = Flags();
  flags.architecture = "resnet18";
  flags.stem = "stride2";
  flags.image_size = 64;
  flags.epochs = 7;
  flags.finetune_epochs = 2;
  flags.sparsity = 0.8;
  flags.weights = "int4";
  flags.learning_rate = 0.03;
  flags.max_images = 100;
  flags.seed = 5;
  flags.dataset_seed = 6;
  flags.max_accuracy_drop = 0.01;
  const v1::JobSpec spec = Build(flags);
  EXPECT_EQ(spec.network().architecture(), "resnet18");
  EXPECT_EQ(spec.network().stem(), v1::STEM_STRIDE2);
  EXPECT_EQ(spec.network().input_height(), 64);
  EXPECT_EQ(spec.network().input_width(), 64);
  EXPECT_EQ(spec.recipe().train().epochs(), 7);
  EXPECT_DOUBLE_EQ(spec.recipe().train().learning_rate(), 0.03);
  EXPECT_EQ(spec.recipe().train().max_images(), 100);
  EXPECT_EQ(spec.recipe().finetune().epochs(), 2);
  EXPECT_EQ(spec.recipe().finetune().max_images(), 100);
  EXPECT_DOUBLE_EQ(spec.recipe().prune().sparsity(), 0.8);
  EXPECT_EQ(spec.recipe().quantize().weights(), v1::WEIGHT_TYPE_INT4);
  EXPECT_EQ(spec.recipe().seed(), 5);
  EXPECT_EQ(spec.dataset().seed(), 6);
  EXPECT_DOUBLE_EQ(spec.recipe().max_accuracy_drop(), 0.01);
}

TEST(BuildCompressRequest, PutsTheMethodsOverTheRecipe) {
  CompressFlags flags = Flags();
  flags.prune_method = "layer";
  flags.pattern = "block4";
  flags.gradual = 0.3;
  flags.finetune_learning_rate = 0.02;
  flags.freeze_batch_norm = true;
  flags.ema_decay = 0.99;
  flags.aware_epochs = 2;
  flags.distillation = 0.5;
  flags.weight_range = "mse";
  flags.activation_range = "percentile";
  flags.rounding = "gptq";
  flags.calibration_images = 64;
  flags.reestimate_batch_norm = true;
  flags.reduced_range = true;
  flags.temperature_scaling = true;
  flags.on_collapse = "mend";
  const v1::JobSpec spec = Build(flags);
  const v1::Recipe& recipe = spec.recipe();
  EXPECT_TRUE(ValidateJobSpec(WithDefaults(spec)).empty());
  EXPECT_EQ(recipe.prune().method(), v1::PRUNE_METHOD_LAYER_MAGNITUDE);
  EXPECT_EQ(recipe.prune().pattern(), v1::PRUNE_PATTERN_BLOCK4);
  EXPECT_DOUBLE_EQ(recipe.prune().gradual_fraction(), 0.3);
  EXPECT_DOUBLE_EQ(recipe.finetune().learning_rate(), 0.02);
  EXPECT_DOUBLE_EQ(recipe.finetune().distillation(), 0.5);
  EXPECT_TRUE(recipe.finetune().freeze_batch_norm());
  EXPECT_FALSE(recipe.train().freeze_batch_norm());
  EXPECT_DOUBLE_EQ(recipe.train().ema_decay(), 0.99);
  EXPECT_DOUBLE_EQ(recipe.train().distillation(), 0);  // there is nobody to learn from
  EXPECT_DOUBLE_EQ(recipe.finetune().ema_decay(), 0.99);
  EXPECT_EQ(recipe.quantize().aware().epochs(), 2);
  EXPECT_DOUBLE_EQ(recipe.quantize().aware().distillation(), 0.5);
  EXPECT_EQ(recipe.quantize().weight_range(), v1::RANGE_METHOD_MSE);
  EXPECT_EQ(recipe.quantize().activation_range(), v1::RANGE_METHOD_PERCENTILE);
  EXPECT_EQ(recipe.quantize().rounding(), v1::ROUNDING_GPTQ);
  EXPECT_EQ(recipe.quantize().calibration_images(), 64);
  EXPECT_TRUE(recipe.quantize().reestimate_batch_norm());
  EXPECT_TRUE(recipe.reestimate_batch_norm());
  EXPECT_TRUE(recipe.quantize().reduced_range());
  EXPECT_TRUE(recipe.quantize().temperature_scaling());
  EXPECT_EQ(recipe.on_collapse(), v1::COLLAPSE_POLICY_MEND);
}

TEST(RecipeFlags, PruneByWhatWeightsCost) {
  CLI::App app;
  CompressFlags flags = Flags();
  AddRecipeFlags(&app, &flags);
  std::vector<std::string> arguments = {"cost-aware", "--prune-method", "synthetic", "--dataset"};
  app.parse(arguments);
  const v1::JobSpec spec = Build(flags);
  EXPECT_EQ(spec.recipe().prune().method(), v1::PRUNE_METHOD_COST_AWARE_FISHER);
  EXPECT_TRUE(ValidateJobSpec(WithDefaults(spec)).empty());
  EXPECT_THAT(app.help(), HasSubstr("--prune-method TEXT:{cost-aware,fisher,global,layer}"));
  EXPECT_THAT(app.help(), HasSubstr("cost-aware: the same, weighed against bytes"));
}

TEST(BuildCompressRequest, APercentileIsOfItsRangeOnly) {
  CompressFlags flags = Flags();
  flags.weight_range = "percentile";
  flags.weight_percentile = 99.5;
  flags.activation_percentile = 99.8;
  const v1::JobSpec spec = Build(flags);
  EXPECT_DOUBLE_EQ(spec.recipe().quantize().weight_percentile(), 99.5);
  EXPECT_DOUBLE_EQ(spec.recipe().quantize().activation_percentile(), 99.8);
  EXPECT_TRUE(ValidateJobSpec(WithDefaults(spec)).empty());
  flags.activation_range = "mse";
  EXPECT_THAT(std::string(BuildCompressRequest(flags).status().message()),
              HasSubstr("--activation-range percentile"));
  flags.activation_range = "percentile";
  flags.weight_range = "mse";
  EXPECT_THAT(std::string(BuildCompressRequest(flags).status().message()),
              HasSubstr("--weight-range percentile"));
}

TEST(BuildCompressRequest, ASearchMayTrainWithRoundedWeights) {
  CompressFlags flags = Flags();
  flags.max_bytes = 2e6;
  const TemporaryFolder folder;
  flags.recipe_file = folder.path() + "/aware.json";
  ASSERT_TRUE(WriteFileAtomically(flags.recipe_file,
                                  R"({"finetune": {"epochs": 1}, "quantize": {"aware": {}}})")
                  .ok());
  const v1::JobSpec spec = Build(flags);
  EXPECT_TRUE(ValidateJobSpec(spec).empty());
  EXPECT_TRUE(ValidateJobSpec(WithDefaults(spec)).empty());
}

TEST(BuildCompressRequest, SwitchesOffWhatThePresetSwitchesOn) {
  CompressFlags flags = Flags();
  flags.recipe = "lossless";
  flags.reestimate_batch_norm = false;
  flags.reduced_range = false;
  flags.temperature_scaling = false;
  flags.pattern = "2:4";  // not gradual, as the preset is
  const v1::JobSpec spec = Build(flags);
  EXPECT_FALSE(spec.recipe().quantize().reestimate_batch_norm());
  EXPECT_FALSE(spec.recipe().quantize().reduced_range());
  EXPECT_FALSE(spec.recipe().quantize().temperature_scaling());
  EXPECT_TRUE(ValidateJobSpec(WithDefaults(spec)).empty());
  EXPECT_DOUBLE_EQ(WithDefaults(spec).recipe().prune().sparsity(), 0.5) << "not the preset's";
  flags.pattern.clear();
  flags.finetune_epochs = 0;  // nothing to be gradual over
  EXPECT_TRUE(ValidateJobSpec(WithDefaults(Build(flags))).empty());
}

TEST(BuildCompressRequest, RefusesFlagsThatMeanNothingTogether) {
  CompressFlags flags = Flags();
  flags.sparsity = 0;
  flags.pattern = "block4";
  EXPECT_EQ(BuildCompressRequest(flags).status().code(), absl::StatusCode::kInvalidArgument);
  flags = Flags();
  flags.finetune_epochs = 0;
  flags.distillation = 0.5;
  EXPECT_EQ(BuildCompressRequest(flags).status().code(), absl::StatusCode::kInvalidArgument);
  flags.distillation.reset();
  flags.freeze_batch_norm = true;
  EXPECT_EQ(BuildCompressRequest(flags).status().code(), absl::StatusCode::kInvalidArgument);
  flags.freeze_batch_norm.reset();
  flags.finetune_learning_rate = 0.1;
  const absl::Status status = BuildCompressRequest(flags).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("--finetune-learning-rate is about"));
  flags = Flags();
  flags.max_bytes = 2000000;
  flags.max_accuracy_drop = 0;
  EXPECT_EQ(BuildCompressRequest(flags).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(BuildCompressRequest, RefusesFlagsAboutStagesThatAreNotThere) {
  const auto refused = [](const CompressFlags& flags, const char* flag, const char* remedy) {
    const absl::Status status = BuildCompressRequest(flags).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << flag;
    EXPECT_THAT(std::string(status.message()), HasSubstr(absl::StrCat(flag, " is about ")));
    EXPECT_THAT(std::string(status.message()), HasSubstr(absl::StrCat("give ", remedy)));
  };
  CompressFlags based = Flags();
  based.base = "blood@1";
  based.finetune_epochs = 0;
  CompressFlags flags = based;
  flags.learning_rate = 0.001;
  refused(flags, "--learning-rate", "--finetune-epochs");
  flags = based;
  flags.max_images = 100;
  refused(flags, "--max-images", "--finetune-epochs");
  flags = Flags();
  flags.base = "blood@1";
  flags.recipe = "dense";
  EXPECT_FALSE(Build(flags).recipe().has_finetune());
  flags.ema_decay = 0.99;
  refused(flags, "--ema-decay", "--finetune-epochs");
  flags.batch_size = 32;
  refused(flags, "--batch-size", "--finetune-epochs");
  flags = Flags();
  flags.recipe = "dense";
  flags.batch_size = 32;  // there is training
  EXPECT_EQ(Build(flags).recipe().train().batch_size(), 32);
  flags.distillation = 0.5;
  refused(flags, "--distillation", "--finetune-epochs or --aware-epochs");
  flags.aware_epochs = 1;
  EXPECT_DOUBLE_EQ(Build(flags).recipe().quantize().aware().distillation(), 0.5);
  flags.pattern = "block4";
  refused(flags, "--pattern", "--sparsity");
  flags.sweeps = true;
  EXPECT_EQ(Build(flags).recipe().prune().pattern(), v1::PRUNE_PATTERN_BLOCK4);
  flags.sweeps = false;
  flags.pattern = "2:4";  // half, as it always is
  EXPECT_DOUBLE_EQ(WithDefaults(Build(flags)).recipe().prune().sparsity(), 0.5);
  flags.sparsity = 0;
  refused(flags, "--pattern", "--sparsity");
  flags = Flags();
  flags.max_tries = 2;
  flags.finetune_epochs = 0;
  EXPECT_EQ(BuildCompressRequest(flags).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(BuildCompressRequest, TheDefaultMendsOrRefusesBrokenModels) {
  CompressFlags flags = Flags();
  flags.base = "blood@1";
  flags.sparsity = 0.8;
  flags.weights = "int4";
  const v1::JobSpec spec = Build(flags);
  EXPECT_EQ(spec.recipe().name(), "lossless");
  EXPECT_EQ(spec.recipe().on_collapse(), v1::COLLAPSE_POLICY_MEND);
  EXPECT_TRUE(ValidateJobSpec(WithDefaults(spec)).empty());
}

TEST(BuildCompressRequest, BetterRoundingTakesThePaperRecipesRangeAway) {
  CompressFlags flags = Flags();
  flags.recipe = "paper";
  EXPECT_EQ(Build(flags).recipe().quantize().weight_range(), v1::RANGE_METHOD_ASYMMETRIC);
  flags.rounding = "gptq";
  EXPECT_EQ(Build(flags).recipe().quantize().weight_range(), v1::RANGE_METHOD_UNSPECIFIED);
  flags.weight_range = "asymmetric";  // asked for in so many words: the server refuses it
  EXPECT_EQ(Build(flags).recipe().quantize().weight_range(), v1::RANGE_METHOD_ASYMMETRIC);
}

TEST(BuildCompressRequest, AsksForASearchWhenAGoalIsGiven) {
  CompressFlags flags = Flags();
  flags.base = "blood@1";
  flags.max_accuracy_drop = 0.006;
  EXPECT_FALSE(Build(flags).has_goal());  // alone it is the guard's
  flags.max_bytes = 2000000;
  flags.max_latency_ms = 3;
  flags.time_budget_seconds = 7200;
  flags.max_tries = 4;
  const v1::JobSpec spec = Build(flags);
  EXPECT_TRUE(ValidateJobSpec(WithDefaults(spec)).empty());
  EXPECT_EQ(spec.recipe().name(), "lossless");
  EXPECT_DOUBLE_EQ(spec.goal().max_accuracy_drop(), 0.006);
  EXPECT_EQ(spec.goal().max_bytes(), 2000000);
  EXPECT_DOUBLE_EQ(spec.goal().max_latency_ms(), 3);
  EXPECT_DOUBLE_EQ(spec.goal().time_budget_seconds(), 7200);
  EXPECT_EQ(spec.goal().max_tries(), 4);
  EXPECT_EQ(spec.recipe().prune().sparsity(), 0);  // the preset's would contradict the search
  EXPECT_EQ(spec.recipe().finetune().epochs(), 8);

  flags.recipe = "paper";  // its asymmetric range gives way, too
  EXPECT_TRUE(ValidateJobSpec(WithDefaults(Build(flags))).empty());

  flags.sparsity = 0.9;
  const absl::Status status = BuildCompressRequest(flags).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("--sparsity"));
  flags.sparsity.reset();
  flags.weights = "int4";
  EXPECT_THAT(std::string(BuildCompressRequest(flags).status().message()), HasSubstr("--weights"));
}

TEST(BuildCompressRequest, AGoalRefusesWhatAFileSaysOfSparsityAndWeights) {
  const TemporaryFolder folder;
  const std::string file = folder.PathOf("goal_recipe.json");
  CompressFlags flags = Flags();
  flags.base = "blood@1";
  flags.max_tries = 2;
  flags.recipe_file = file;
  const auto error_of = [&](const std::string& recipe) {
    EXPECT_TRUE(WriteFileAtomically(file, recipe).ok());
    return std::string(BuildCompressRequest(flags).status().message());
  };
  EXPECT_THAT(error_of(R"({"prune": {"sparsity": 0.8}})"), HasSubstr("prune.sparsity"));
  EXPECT_THAT(error_of(R"({"quantize": {"weights": "WEIGHT_TYPE_INT4"}})"),
              HasSubstr("quantize.weights"));
  EXPECT_EQ(error_of(R"({"finetune": {"epochs": 2}})"), "");
}

TEST(GoalFlags, HaveUnits) {
  const auto parse = [](std::vector<std::string> arguments) {
    CLI::App app;
    CompressFlags flags;
    AddGoalFlags(&app, &flags);
    std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them from the end
    app.parse(arguments);
    return flags;
  };
  EXPECT_EQ(parse({"--max-bytes", "1500"}).max_bytes, 1500);
  EXPECT_EQ(parse({"--max-bytes", "2MB"}).max_bytes, 2e6);
  EXPECT_EQ(parse({"--max-bytes", "1.5 MiB"}).max_bytes, 1.5 * 1024 * 1024);
  EXPECT_EQ(parse({"--max-bytes", "2GB"}).max_bytes, 2e9);
  EXPECT_EQ(parse({"--max-bytes", "1gib"}).max_bytes, 1 << 30);
  EXPECT_EQ(parse({"--time-budget", "90"}).time_budget_seconds, 90);
  EXPECT_EQ(parse({"--time-budget", "2h"}).time_budget_seconds, 7200);
  EXPECT_EQ(parse({"--time-budget", "30min"}).time_budget_seconds, 1800);
  EXPECT_THROW(parse({"--max-bytes", "2 cells"}), CLI::ParseError);
  EXPECT_THROW(parse({"--max-bytes", "0.94"}), CLI::ParseError) << "without its unit";
  EXPECT_THROW(parse({"--max-bytes", "nan"}), CLI::ParseError);
  EXPECT_THROW(parse({"--max-bytes", "-1"}), CLI::ParseError);
  EXPECT_THROW(parse({"--max-latency-ms", "-1"}), CLI::ParseError);
}

TEST(BuildCompressRequest, ZeroLeavesAStageOut) {
  CompressFlags flags = Flags();
  flags.sparsity = 0;
  flags.finetune_epochs = 0;
  const v1::JobSpec spec = Build(flags);
  EXPECT_FALSE(spec.recipe().has_prune());
  EXPECT_FALSE(spec.recipe().has_finetune());
}

TEST(BuildCompressRequest, ABaseModelIsFineTunedNotTrained) {
  CompressFlags flags = Flags();
  flags.base = "blood@1";
  flags.learning_rate = 0.004;
  const v1::JobSpec spec = Build(flags);
  EXPECT_FALSE(spec.recipe().has_train());
  EXPECT_DOUBLE_EQ(spec.recipe().finetune().learning_rate(), 0.004);
  flags.stem = "cifar";  // the base's weights in a network of another stem
  EXPECT_EQ(WithDefaults(Build(flags)).network().stem(), v1::STEM_CIFAR);
  EXPECT_TRUE(ValidateJobSpec(WithDefaults(Build(flags))).empty());
  flags.architecture = "resnet18";
  const absl::Status status = BuildCompressRequest(flags).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("--architecture"));
}

TEST(BuildCompressRequest, ReadsARecipeFile) {
  CompressFlags flags = Flags();
  const TemporaryFolder folder;
  flags.recipe_file = folder.PathOf("half.json");
  ASSERT_TRUE(WriteFileAtomically(flags.recipe_file,
                                  R"({"train": {"epochs": 3}, "prune": {"sparsity": 0.5}})")
                  .ok());
  const v1::JobSpec spec = Build(flags);
  EXPECT_EQ(spec.recipe().name(), "half");
  EXPECT_DOUBLE_EQ(spec.recipe().prune().sparsity(), 0.5);
}

TEST(BuildCompressRequest, MakesLocalPathsAbsoluteForTheWorker) {
  CompressFlags flags = Flags();
  flags.dataset = ".";
  EXPECT_EQ(Build(flags).dataset().uri(), std::filesystem::canonical(".").string());
  flags.dataset = "/only/on/the/server.npz";
  EXPECT_EQ(Build(flags).dataset().uri(), "/only/on/the/server.npz");
  flags.dataset = "missing.npz";
  const absl::Status missing = BuildCompressRequest(flags).status();
  EXPECT_EQ(missing.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(missing.message()), HasSubstr("missing.npz: there is no such file"));
  flags.dataset = "synthetic:100";
  EXPECT_EQ(Build(flags).dataset().uri(), "synthetic:100");
}

}  // namespace
}  // namespace cytopress
