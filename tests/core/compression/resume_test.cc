// Jobs that are stopped and go on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "core/artifact/artifact.h"
#include "core/base/file.h"
#include "core/compression/checkpoint.h"
#include "core/compression/pipeline.h"
#include "core/dataset/dataset.h"
#include "tests/core/compression/pipeline_fixture.h"
#include "tests/core/compression/test_data.h"

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
  int first_epoch = 0;
  for (const v1::Progress& progress : resumed.progresses) {
    if (progress.stage() == "train" && progress.epoch() > 0 && first_epoch == 0) {
      first_epoch = progress.epoch();
    }
  }
  EXPECT_EQ(first_epoch, 2);
  const Artifact a = *ParseArtifact(*registry_->Read({"tiny", 1}));
  const Artifact b = *ParseArtifact(*registry_->Read({"resumed", 1}));
  ASSERT_EQ(a.tensors.size(), b.tensors.size());
  for (const auto& [name, tensor] : a.tensors) {
    EXPECT_EQ(tensor.integers, b.tensors.at(name).integers) << name;
    EXPECT_EQ(tensor.scales, b.tensors.at(name).scales) << name;
  }
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
  EXPECT_LT(Line(resumed, "publish-dense").seconds(), 1000);
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
