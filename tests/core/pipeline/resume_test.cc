// Jobs that are stopped and go on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "core/base/file.h"
#include "core/compression/checkpoint.h"
#include "core/dataset/dataset.h"
#include "core/pipeline/pipeline.h"
#include "tests/core/compression/test_data.h"
#include "tests/core/pipeline/pipeline_fixture.h"

namespace cytopress {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

TEST_F(PipelineTest, ProgressOfAResumedJobGoesOnFromWhereItWas) {
  RecordingObserver stopped, resumed;
  stopped.stop_in_stage = "fine-tune";
  EXPECT_TRUE(absl::IsCancelled(Run(TinySpec(), stopped).status()));
  ASSERT_TRUE(Run(TinySpec(), resumed, "job-1", 2).ok());
  const auto is_loaded = [](const v1::Progress& progress) { return progress.stage() != "load"; };
  const auto first = std::find_if(resumed.progresses.begin(), resumed.progresses.end(), is_loaded);
  ASSERT_NE(first, resumed.progresses.end());
  EXPECT_EQ(first->stage(), "fine-tune");
  EXPECT_GT(first->fraction(), 0.1);
  EXPECT_DOUBLE_EQ(first->fraction(), stopped.progresses.back().fraction());
}

// Stopped in the second epoch, resumed by another attempt: the same file as without the stop.
TEST_F(PipelineTest, AResumedJobEndsWithTheSameWeights) {
  RecordingObserver whole, stopped, resumed;
  ASSERT_TRUE(Run(TinySpec(), whole, "job-whole").ok());
  v1::JobSpec spec = TinySpec();
  spec.set_model_name("resumed");
  stopped.stop_in_stage = "train";
  stopped.stop_in_epoch = 2;
  EXPECT_TRUE(absl::IsCancelled(Run(spec, stopped, "job-2").status()));
  EXPECT_THAT(stopped.Stages(), ElementsAre("load"));
  ASSERT_TRUE(Run(spec, resumed, "job-2", 2).ok());
  EXPECT_EQ(resumed.FirstEpoch("train"), 2);
  ExpectSameWeights("tiny", "resumed");
}

TEST_F(PipelineTest, AStagesTimeIsThatOfAllAttempts) {
  RecordingObserver stopped, resumed;
  stopped.stop_in_stage = "train";
  stopped.stop_in_epoch = 2;
  EXPECT_TRUE(absl::IsCancelled(Run(TinySpec(), stopped).status()));
  const std::string path = WorkFolder("job-1") + "/checkpoint.pt";
  TensorTable table = *LoadTensors(path);
  ASSERT_EQ(table.count("stage_seconds"), 1u);
  EXPECT_GT(table.at("stage_seconds").item<double>(), 0);
  table["stage_seconds"] = torch::tensor(1000.0, torch::kFloat64);  // much longer ago
  ASSERT_TRUE(SaveTensors(table, path).ok());
  ASSERT_TRUE(Run(TinySpec(), resumed, "job-1", 2).ok());
  EXPECT_GT(Line(resumed, "train").seconds(), 1000);
  for (const char* const other : {"load", "publish-dense"}) {
    EXPECT_LT(Line(resumed, other).seconds(), 1000) << other;
  }
}

TEST_F(PipelineTest, StartsOverOnlyFromADamagedCheckpointAndKeepsIt) {
  RecordingObserver stopped, failed, resumed;
  stopped.stop_in_stage = "train";
  stopped.stop_in_epoch = 2;
  EXPECT_TRUE(absl::IsCancelled(Run(TinySpec(), stopped).status()));
  const std::string path = WorkFolder("job-1") + "/checkpoint.pt";
  ASSERT_TRUE(std::filesystem::remove(path));
  std::filesystem::create_directory(path);
  EXPECT_THAT(Run(TinySpec(), failed, "job-1", 2).status().message(),
              HasSubstr("checkpoint.pt is not a regular file"));
  EXPECT_THAT(failed.Stages(), ElementsAre());
  std::filesystem::remove(path);
  ASSERT_TRUE(WriteFileAtomically(path, "damaged").ok());
  const auto result = Run(TinySpec(), resumed, "job-1", 3);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(resumed.Stages(), Contains("train"));
  EXPECT_EQ(*ReadFile(path + ".bad", 100), "damaged");
}

TEST_F(PipelineTest, StartsOverFromACheckpointThatLacksSomething) {
  for (const std::string key : {"dense", "momentum/fc.weight"}) {
    const std::string job = "job-" + key.substr(0, 1);
    RecordingObserver stopped, second;
    stopped.stop_in_stage = second.stop_in_stage = "train";
    stopped.stop_in_epoch = 2;
    second.stop_in_epoch = 1;
    EXPECT_TRUE(absl::IsCancelled(Run(TinySpec(), stopped, job).status()));
    const std::string path = WorkFolder(job) + "/checkpoint.pt";
    TensorTable table = *LoadTensors(path);
    ASSERT_EQ(table.erase(key), 1u) << key;
    ASSERT_TRUE(SaveTensors(table, path).ok());
    // What training itself has saved is looked at only when it begins, which takes the attempt.
    const absl::Status status = Run(TinySpec(), second, job, 2).status();
    EXPECT_TRUE(key == "dense" ? absl::IsCancelled(status) : absl::IsDataLoss(status)) << status;
    EXPECT_TRUE(std::filesystem::exists(path + ".bad")) << key;
    EXPECT_FALSE(std::filesystem::exists(path)) << key;
  }
}

// One try. All that it prunes is removed in the first epoch: later ones need the masks.
class ResumedTryTest : public PipelineTest {
 protected:
  v1::JobSpec GoalSpec(const std::string& name) const {
    v1::JobSpec spec = LearningSpec();
    spec.set_model_name(name);
    v1::Recipe& recipe = *spec.mutable_recipe();
    recipe.clear_prune();
    recipe.mutable_prune()->set_gradual_fraction(0.25);
    recipe.mutable_finetune()->set_epochs(3);
    recipe.mutable_finetune()->clear_max_images();
    spec.mutable_goal()->set_max_accuracy_drop(0.3);
    spec.mutable_goal()->set_max_tries(1);
    return spec;
  }

  void StopInTry(const v1::JobSpec& spec, const std::string& job_id) {
    RecordingObserver stopped;
    stopped.stop_in_stage = kFinetune;
    stopped.stop_in_epoch = 2;
    ASSERT_TRUE(absl::IsCancelled(Run(spec, stopped, job_id).status()));
    ASSERT_TRUE(std::filesystem::exists(Nested(job_id)));
  }

  std::string Nested(const std::string& job_id) const { return WorkFolder(job_id) + "/nested1.pt"; }

  static constexpr char kFinetune[] = "try 1: fine-tune";
};

TEST_F(ResumedTryTest, EndsWithTheSameWeights) {
  RecordingObserver whole, resumed;
  const auto first = Run(GoalSpec("tiny"), whole, "job-whole");
  ASSERT_TRUE(first.ok()) << first.status();
  StopInTry(GoalSpec("resumed"), "job-2");
  const auto result = Run(GoalSpec("resumed"), resumed, "job-2", 2);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(whole.FirstEpoch(kFinetune), 1);
  EXPECT_EQ(resumed.FirstEpoch(kFinetune), 2);
  ExpectSameWeights("tiny-try1", "resumed-try1");
  ExpectSameWeights("tiny", "resumed");
  EXPECT_EQ(Line(whole, "try 1 fine-tune").note(), Line(resumed, "try 1 fine-tune").note());
  EXPECT_FALSE(std::filesystem::exists(Nested("job-2")));
  EXPECT_FALSE(std::filesystem::exists(Nested("job-2") + ".bad"));
}

// Until the first file that holds it, what was trained is in its own last checkpoint alone.
TEST_F(ResumedTryTest, TrainsNothingAgainForItsCell) {
  RecordingObserver whole, stopped, resumed;
  const auto first = Run(GoalSpec("tiny"), whole, "job-whole");
  ASSERT_TRUE(first.ok()) << first.status();
  stopped.stop_in_stage = "try 1: quantize";
  EXPECT_TRUE(absl::IsCancelled(Run(GoalSpec("resumed"), stopped, "job-2").status()));
  const auto result = Run(GoalSpec("resumed"), resumed, "job-2", 2);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(stopped.FirstEpoch(kFinetune), 1);
  EXPECT_EQ(resumed.FirstEpoch(kFinetune), 0);
  ExpectSameWeights("tiny-try1", "resumed-try1");
  ExpectSameWeights("tiny", "resumed");
  const v1::LedgerEntry before = Line(stopped, "try 1 fine-tune");
  const v1::LedgerEntry after = Line(resumed, "try 1 fine-tune");
  EXPECT_EQ(after.note(), before.note());
  EXPECT_EQ(after.validation_accuracy(), before.validation_accuracy());
  EXPECT_EQ(after.images_per_second(), before.images_per_second());
}

// The fine-tuning before it ends as it did, without training.
TEST_F(ResumedTryTest, GoesOnWithQuantizationAwareTraining) {
  const std::string training = "try 1: quantization-aware training";
  const auto aware = [&](const std::string& name) {
    v1::JobSpec spec = GoalSpec(name);
    *spec.mutable_recipe()->mutable_quantize()->mutable_aware() = spec.recipe().finetune();
    return spec;
  };
  RecordingObserver whole, stopped, resumed;
  const auto first = Run(aware("tiny"), whole, "job-whole");
  ASSERT_TRUE(first.ok()) << first.status();
  stopped.stop_in_stage = training;
  stopped.stop_in_epoch = 2;
  EXPECT_TRUE(absl::IsCancelled(Run(aware("resumed"), stopped, "job-2").status()));
  const auto result = Run(aware("resumed"), resumed, "job-2", 2);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(resumed.FirstEpoch(kFinetune), 0);
  EXPECT_EQ(resumed.FirstEpoch(training), 2);
  ExpectSameWeights("tiny-try1", "resumed-try1");
}

TEST_F(ResumedTryTest, HasTakenWhatItTookBefore) {
  v1::JobSpec spec = GoalSpec("tiny");
  spec.mutable_goal()->set_max_tries(2);
  spec.mutable_goal()->set_time_budget_seconds(900);
  StopInTry(spec, "job-1");
  TensorTable table = *LoadTensors(Nested("job-1"));
  EXPECT_EQ(table.at("epochs").item<int64_t>(), 3);
  // As if there had been time for two epochs, and so much had been taken all the same.
  table["epochs"] = torch::tensor(int64_t{2});
  table["stage_seconds"] = torch::tensor({1000.0, 500.0}, torch::kFloat64);
  ASSERT_TRUE(SaveTensors(table, Nested("job-1")).ok());
  RecordingObserver resumed;
  const auto result = Run(spec, resumed, "job-1", 2);
  ASSERT_TRUE(result.ok()) << result.status();
  const v1::LedgerEntry finetune = Line(resumed, "try 1 fine-tune");
  EXPECT_THAT(finetune.note(), HasSubstr("2 of 3 epochs, to keep to the time budget"));
  EXPECT_GT(finetune.seconds(), 500);
  EXPECT_LT(finetune.seconds(), 1000);
  EXPECT_GT(Line(resumed, "try 1").seconds(), 1000);
  EXPECT_LT(Line(resumed, "try 1 restart").seconds(), 500);
  EXPECT_THAT(Line(resumed, "try 1").note(), HasSubstr(" s after the time budget"));
  EXPECT_THAT(Line(resumed, "try 2").note(), HasSubstr("left out"));
}

TEST_F(ResumedTryTest, BeginsAnewWhenItsCheckpointDoesNotFit) {
  StopInTry(GoalSpec("tiny"), "job-1");
  const TensorTable good = *LoadTensors(Nested("job-1"));
  int attempt = 1;
  const auto resume = [&](absl::StatusCode code, int first_epoch) {
    RecordingObserver resumed;
    resumed.stop_in_stage = kFinetune;
    resumed.stop_in_epoch = 1;
    EXPECT_EQ(Run(GoalSpec("tiny"), resumed, "job-1", ++attempt).status().code(), code);
    EXPECT_EQ(resumed.FirstEpoch(kFinetune), first_epoch);
    EXPECT_THAT(resumed.Stages(), Not(Contains("train"))) << "the dense model is kept";
    EXPECT_FALSE(std::filesystem::exists(Nested("job-1")));
    EXPECT_TRUE(std::filesystem::remove(Nested("job-1") + ".bad"));
  };
  ASSERT_TRUE(WriteFileAtomically(Nested("job-1"), "damaged").ok());
  resume(absl::StatusCode::kCancelled, 1);
  TensorTable other = good;
  other["origin"] = torch::zeros_like(good.at("origin"));
  ASSERT_TRUE(SaveTensors(other, Nested("job-1")).ok());
  resume(absl::StatusCode::kCancelled, 1);
  // What training itself has saved is looked at only when it begins, which takes the attempt.
  other = good;
  ASSERT_EQ(other.erase("momentum/fc.weight"), 1u);
  ASSERT_TRUE(SaveTensors(other, Nested("job-1")).ok());
  resume(absl::StatusCode::kDataLoss, 0);
}

TEST_F(PipelineTest, AResumedCellGoesOnWithItsTraining) {
  const auto sweep = [&](const std::string& name) {
    v1::JobSpec spec = LearningSpec();
    spec.set_model_name(name);
    v1::Recipe& recipe = *spec.mutable_recipe();
    recipe.set_on_collapse(v1::COLLAPSE_POLICY_REPORT);
    *recipe.mutable_quantize()->mutable_aware() = recipe.finetune();
    recipe.mutable_quantize()->mutable_aware()->set_epochs(2);
    spec.mutable_sweep()->add_sparsities(0.5);
    spec.mutable_sweep()->add_weights(v1::WEIGHT_TYPE_INT8);
    return spec;
  };
  RecordingObserver whole, stopped, resumed;
  const auto first = Run(sweep("tiny"), whole, "job-whole");
  ASSERT_TRUE(first.ok()) << first.status();
  stopped.stop_in_stage = "resumed-s50-int8: quantization-aware training";
  stopped.stop_in_epoch = 2;
  EXPECT_TRUE(absl::IsCancelled(Run(sweep("resumed"), stopped, "job-2").status()));
  const auto result = Run(sweep("resumed"), resumed, "job-2", 2);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(resumed.FirstEpoch(stopped.stop_in_stage), 2);
  ExpectSameWeights("tiny-s50-int8", "resumed-s50-int8");
}

// What is half mended when the job stops is no dense model when it goes on.
TEST_F(PipelineTest, AResumedJobKeepsTheParentThatItPublished) {
  RecordingObserver stopped, resumed;
  v1::JobSpec spec = LearningSpec();
  spec.mutable_recipe()->mutable_prune()->set_sparsity(0.9);
  *spec.mutable_recipe()->mutable_finetune() = spec.recipe().train();
  spec.mutable_recipe()->set_max_accuracy_drop(0.1);
  stopped.stop_in_stage = "fine-tune";
  EXPECT_TRUE(absl::IsCancelled(Run(spec, stopped).status()));
  EXPECT_THAT(Line(stopped, "prune").guard(), HasSubstr("; fine-tune follows"));
  const auto result = Run(spec, resumed, "job-1", 2);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->parent_model, "tiny-dense@1");
  EXPECT_THAT(resumed.Stages(), Not(Contains("publish-dense")));
  EXPECT_EQ(registry_->Get({"tiny", 1})->certificate().parent(), "tiny-dense@1");
}

TEST_F(PipelineTest, AJobDoesNotGoOnWithOtherData) {
  RecordingObserver stopped, resumed;
  stopped.stop_in_stage = "train";
  stopped.stop_in_epoch = 2;
  EXPECT_TRUE(absl::IsCancelled(Run(LearningSpec(), stopped).status()));
  Dataset changed = SpotDataset();
  std::swap(changed.train, changed.test);
  const absl::Status status = Run(LearningSpec(changed), resumed, "job-1", 2).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(status.message(), HasSubstr("dataset.uri: the data at "));
}

}  // namespace
}  // namespace cytopress
