#include "core/compression/pipeline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "core/artifact/artifact.h"

namespace cytopress {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Remembers everything; asks to stop when told.
class RecordingObserver : public JobObserver {
 public:
  absl::Status OnProgress(const v1::Progress& progress) override {
    progresses.push_back(progress);
    return absl::OkStatus();
  }
  absl::Status OnLedger(const v1::LedgerEntry& entry) override {
    ledger.push_back(entry);
    return absl::OkStatus();
  }
  bool ShouldStop() override {
    return !progresses.empty() && progresses.back().stage() == stop_in_stage &&
           progresses.back().epoch() >= stop_in_epoch;
  }
  std::vector<std::string> Stages() const {
    std::vector<std::string> stages;
    for (const auto& entry : ledger) stages.push_back(entry.stage());
    return stages;
  }

  std::vector<v1::Progress> progresses;
  std::vector<v1::LedgerEntry> ledger;
  std::string stop_in_stage = "never";
  int stop_in_epoch = 0;
};

class PipelineTest : public ::testing::Test {
 protected:
  PipelineTest() {
    root_ = testing::TempDir() + "/pipeline_" +
            testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(root_);
    registry_ = std::make_unique<ModelRegistry>(*ModelRegistry::Open(root_ + "/models"));
  }
  ~PipelineTest() override { std::filesystem::remove_all(root_); }

  static v1::JobSpec TinySpec() {
    v1::JobSpec spec;
    spec.set_model_name("tiny");
    spec.mutable_dataset()->set_uri("synthetic:400");
    spec.mutable_network()->set_architecture("resnet18");
    v1::Recipe& recipe = *spec.mutable_recipe();
    recipe.set_seed(5);
    recipe.mutable_train()->set_epochs(2);
    recipe.mutable_train()->set_max_images(128);
    recipe.mutable_train()->set_batch_size(32);
    recipe.mutable_prune()->set_sparsity(0.5);
    recipe.mutable_finetune()->set_epochs(1);
    recipe.mutable_finetune()->set_max_images(128);
    recipe.mutable_finetune()->set_batch_size(32);
    recipe.mutable_quantize()->set_weights(v1::WEIGHT_TYPE_INT8);
    recipe.mutable_quantize()->set_calibration_images(64);
    return spec;
  }

  absl::StatusOr<PipelineResult> Run(const v1::JobSpec& spec, RecordingObserver& observer,
                                     const std::string& job_id = "job-1", int attempt = 1) {
    PipelineContext context;
    context.registry = registry_.get();
    context.observer = &observer;
    context.job_id = job_id;
    context.work_folder = root_ + "/work/" + job_id;
    context.threads = 1;
    context.attempt = attempt;
    return RunPipeline(spec, context);
  }

  std::string root_;
  std::unique_ptr<ModelRegistry> registry_;
};

TEST_F(PipelineTest, TrainsCompressesAndPublishesWithALedgerLineForEveryStage) {
  RecordingObserver observer;
  const auto result = Run(TinySpec(), observer);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->model, "tiny@1");
  EXPECT_EQ(result->parent_model, "tiny-dense@1");
  EXPECT_THAT(observer.Stages(), ElementsAre("load", "train", "publish-dense", "prune", "fine-tune",
                                             "quantize", "package", "evaluate", "publish"));

  const v1::Model model = *registry_->Get({"tiny", 1});
  EXPECT_EQ(model.weights(), v1::WEIGHT_TYPE_INT8);
  EXPECT_NEAR(model.size().sparsity(), 0.5, 0.01);
  EXPECT_LT(model.size().disk_bytes(), model.size().packed_bytes());
  EXPECT_LT(model.size().packed_bytes(), model.size().dense_bytes());
  ASSERT_EQ(model.evaluations_size(), 2);
  EXPECT_EQ(model.evaluations(1).split(), "test");
  EXPECT_EQ(model.evaluations(1).engine(), "onednn-int8");
  EXPECT_EQ(model.evaluations(1).confusion_size(), 64);
  EXPECT_EQ(model.provenance().parent(), "tiny-dense@1");
  EXPECT_TRUE(model.provenance().synthetic_data());
  EXPECT_EQ(model.class_names_size(), 8);
  EXPECT_EQ(model.ledger_size(), 8);  // "publish" is what writes it

  const v1::Model dense = *registry_->Get({"tiny-dense", 1});
  EXPECT_EQ(dense.weights(), v1::WEIGHT_TYPE_FP16);
  EXPECT_LT(dense.size().sparsity(), 0.01);
  EXPECT_EQ(dense.evaluations(0).engine(), "onednn-fp32");
}

TEST_F(PipelineTest, ProgressNeverGoesBackAndTellsTheTimeLeft) {
  RecordingObserver observer;
  ASSERT_TRUE(Run(TinySpec(), observer).ok());
  double last = 0;
  bool eta_seen = false;
  for (const v1::Progress& progress : observer.progresses) {
    EXPECT_GE(progress.fraction(), last - 1e-9) << progress.stage();
    EXPECT_LE(progress.fraction(), 1 + 1e-9);
    // Loading finds out how much there is to do.
    if (progress.stage() != "load") last = progress.fraction();
    eta_seen = eta_seen || progress.eta_seconds() > 0;
  }
  EXPECT_TRUE(eta_seen);
  EXPECT_NEAR(last, 1, 1e-9);
}

TEST_F(PipelineTest, CompressesAPublishedBaseModelWithoutTrainingIt) {
  RecordingObserver first, second;
  ASSERT_TRUE(Run(TinySpec(), first).ok());
  v1::JobSpec spec = TinySpec();
  spec.set_model_name("again");
  spec.set_base_model("tiny-dense");
  spec.clear_network();
  spec.mutable_recipe()->clear_train();
  spec.mutable_recipe()->mutable_prune()->set_sparsity(0.8);
  spec.mutable_recipe()->mutable_quantize()->set_weights(v1::WEIGHT_TYPE_INT4);
  const auto result = Run(spec, second, "job-2");
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(second.Stages(), ElementsAre("load", "prune", "fine-tune", "quantize", "package",
                                           "evaluate", "publish"));
  const v1::Model model = *registry_->Get({"again", 1});
  EXPECT_EQ(model.provenance().parent(), "tiny-dense@1");
  EXPECT_GE(model.size().sparsity(), 0.8 - 1e-6);
  EXPECT_LT(model.size().disk_bytes(), registry_->Get({"tiny", 1})->size().disk_bytes());
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

TEST_F(PipelineTest, RefusesToPublishWhatLostTooMuch) {
  RecordingObserver observer;
  v1::JobSpec spec = TinySpec();
  spec.mutable_recipe()->mutable_prune()->set_sparsity(0.99);
  spec.mutable_recipe()->clear_finetune();
  spec.mutable_recipe()->mutable_train()->set_epochs(4);
  spec.mutable_recipe()->mutable_train()->clear_max_images();
  spec.mutable_recipe()->set_max_accuracy_drop(0.001);
  const absl::Status status = Run(spec, observer).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(status.message(), HasSubstr("recipe.max_accuracy_drop"));
  EXPECT_FALSE(registry_->Get({"tiny", 1}).ok());
}

TEST_F(PipelineTest, BadInputNamesTheField) {
  RecordingObserver observer;
  v1::JobSpec spec = TinySpec();
  spec.mutable_recipe()->mutable_prune()->set_sparsity(1.5);
  EXPECT_THAT(Run(spec, observer).status().message(), HasSubstr("recipe.prune.sparsity"));
  spec = TinySpec();
  spec.mutable_dataset()->set_uri("/nowhere.npz");
  EXPECT_THAT(Run(spec, observer).status().message(), HasSubstr("/nowhere.npz"));
}

}  // namespace
}  // namespace cytopress
