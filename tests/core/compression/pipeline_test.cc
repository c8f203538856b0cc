// Jobs that make one model.
#include "core/compression/pipeline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "core/artifact/artifact.h"
#include "core/compression/checkpoint.h"
#include "tests/core/compression/pipeline_fixture.h"

namespace cytopress {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

TEST_F(PipelineTest, TrainsCompressesAndPublishesWithALedgerLineForEveryStage) {
  RecordingObserver observer;
  const auto result = Run(TinySpec(), observer);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->model, "tiny@1");
  EXPECT_EQ(result->parent_model, "tiny-dense@1");
  EXPECT_THAT(observer.Stages(), ElementsAre("load", "train", "publish-dense", "prune", "fine-tune",
                                             "quantize", "package", "evaluate", "publish"));
  const v1::LedgerEntry dense_line = Line(observer, "publish-dense");
  const v1::LedgerEntry packed = Line(observer, "package");
  EXPECT_EQ(dense_line.kind(), v1::STAGE_KIND_PUBLISH_DENSE);
  EXPECT_EQ(dense_line.verdict(), v1::GUARD_VERDICT_FINE);
  EXPECT_TRUE(dense_line.has_validation_accuracy());
  EXPECT_EQ(dense_line.published(), "tiny-dense@1");
  EXPECT_EQ(packed.kind(), v1::STAGE_KIND_PACKAGE);
  EXPECT_EQ(packed.verdict(), v1::GUARD_VERDICT_UNSPECIFIED) << "there is nothing to judge";
  EXPECT_FALSE(packed.has_validation_accuracy());
  // What changes weights says what they take: as FP16 until they are quantized.
  EXPECT_NEAR(Line(observer, "train").disk_bytes(), dense_line.disk_bytes(),
              0.02 * dense_line.disk_bytes());
  EXPECT_EQ(Line(observer, "prune").packed_bytes(), dense_line.packed_bytes());
  EXPECT_LT(Line(observer, "prune").disk_bytes(), 0.8 * dense_line.disk_bytes());
  EXPECT_GT(Line(observer, "fine-tune").disk_bytes(), packed.disk_bytes());
  EXPECT_EQ(Line(observer, "quantize").packed_bytes(), packed.packed_bytes());
  EXPECT_NEAR(Line(observer, "quantize").disk_bytes(), packed.disk_bytes(),
              0.15 * packed.disk_bytes());
  EXPECT_EQ(Line(observer, "publish").published(), "tiny@1");

  const v1::Model model = *registry_->Get({"tiny", 1});
  EXPECT_EQ(model.weights(), v1::WEIGHT_TYPE_INT8);
  EXPECT_NEAR(model.size().sparsity(), 0.5, 0.01);
  EXPECT_LT(model.size().disk_bytes(), model.size().packed_bytes());
  EXPECT_LT(model.size().packed_bytes(), model.size().dense_bytes());
  ASSERT_EQ(model.evaluations_size(), 2);
  EXPECT_EQ(model.evaluations(1).split(), "test");
  EXPECT_THAT(model.evaluations(1).engine(), HasSubstr("int8"));
  EXPECT_EQ(model.evaluations(1).confusion_size(), 64);
  EXPECT_EQ(model.provenance().parent(), "tiny-dense@1");
  EXPECT_TRUE(model.provenance().synthetic_data());
  const auto& versions = model.provenance().versions();
  EXPECT_THAT(versions.at("blas"), testing::AnyOf(HasSubstr("blas"), HasSubstr("BLAS")));
  EXPECT_NE(versions.at("instructions"), "unknown");
  EXPECT_EQ(model.class_names_size(), 8);
  EXPECT_EQ(model.ledger_size(), 8);  // "publish" is what writes it

  const v1::Model dense = *registry_->Get({"tiny-dense", 1});
  EXPECT_EQ(dense.weights(), v1::WEIGHT_TYPE_FP16);
  EXPECT_LT(dense.size().sparsity(), 0.01);
  EXPECT_EQ(dense.evaluations(0).engine(), "onednn-fp32");
  // There is nothing to compare it with.
  const v1::Certificate& measured = dense.certificate();
  EXPECT_EQ(measured.parent(), "");
  EXPECT_FALSE(measured.has_parent_test());
  EXPECT_EQ(measured.mcnemar_p_value(), 0);
  EXPECT_GT(measured.latency_seconds(), 0);
  EXPECT_EQ(measured.lowest_recall(),
            dense.evaluations(1).class_recall(measured.lowest_recall_class()));
  EXPECT_EQ(measured.weights_only_test().accuracy(), dense.evaluations(1).accuracy());

  const v1::Evaluation& test = model.evaluations(1);
  EXPECT_LE(test.auc_low(), test.auc());
  EXPECT_GE(test.auc_high(), test.auc());
  ASSERT_TRUE(model.has_certificate());
  const v1::Certificate& certificate = model.certificate();
  EXPECT_EQ(certificate.parent(), "tiny-dense@1");
  EXPECT_EQ(certificate.parent_test().accuracy(), dense.evaluations(1).accuracy());
  // The images that only one of the two has right are the difference between their accuracies.
  EXPECT_NEAR(
      static_cast<double>(certificate.only_model_right() - certificate.only_parent_right()) /
          static_cast<double>(test.images()),
      test.accuracy() - dense.evaluations(1).accuracy(), 1e-9);
  EXPECT_GT(certificate.mcnemar_p_value(), 0);
  EXPECT_EQ(certificate.weights_only_test().engine(), "onednn-fp32");
  EXPECT_EQ(certificate.lowest_recall(), test.class_recall(certificate.lowest_recall_class()));
  EXPECT_GT(certificate.latency_seconds(), 0);
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
  EXPECT_EQ(Line(second, "load").guard(), "");
  EXPECT_EQ(Line(second, "load").disk_bytes(),
            registry_->Get({"tiny-dense", 1})->size().disk_bytes());
  // What is made from it is compared with the file.
  EXPECT_DOUBLE_EQ(Line(second, "load").validation_accuracy(),
                   registry_->Get({"tiny-dense", 1})->evaluations(0).accuracy());
  const v1::Model model = *registry_->Get({"again", 1});
  EXPECT_EQ(model.provenance().parent(), "tiny-dense@1");
  EXPECT_GE(model.size().sparsity(), 0.8 - 1e-6);
  EXPECT_LT(model.size().disk_bytes(), registry_->Get({"tiny", 1})->size().disk_bytes());
}

TEST_F(PipelineTest, ABaseModelOfOtherDataIsRemarkedOn) {
  v1::JobSpec spec = LearningSpec();
  spec.mutable_recipe()->mutable_train()->set_epochs(1);
  spec.mutable_recipe()->clear_prune();
  spec.mutable_recipe()->clear_finetune();
  RecordingObserver first, second;
  ASSERT_TRUE(Run(spec, first).ok());
  Dataset changed = SpotDataset();
  std::swap(changed.train, changed.test);
  spec.set_model_name("again");
  spec.set_base_model("tiny");
  spec.clear_network();
  *spec.mutable_dataset() = LearningSpec(changed).dataset();
  ASSERT_TRUE(Run(spec, second, "job-2").ok());
  EXPECT_THAT(Line(second, "load").guard(), HasSubstr("other data: tiny@1 was made from spots"));
  EXPECT_EQ(Line(second, "load").verdict(), v1::GUARD_VERDICT_OTHER_DATA);
  EXPECT_EQ(registry_->Get({"again", 1})->ledger(0).guard(), Line(second, "load").guard());
}

TEST_F(PipelineTest, ABaseModelsClassesAreFoundByTheirNames) {
  v1::JobSpec spec = LearningSpec();
  spec.mutable_recipe()->clear_prune();
  spec.mutable_recipe()->clear_finetune();
  for (const char* name : {"dark", "bright"}) spec.mutable_dataset()->add_class_names(name);
  RecordingObserver first, second, third;
  ASSERT_TRUE(Run(spec, first).ok());
  Dataset turned = SpotDataset();
  for (Split* split : {&turned.train, &turned.val, &turned.test}) {
    for (int& label : split->labels) label = 1 - label;
  }
  *spec.mutable_dataset() = LearningSpec(turned).dataset();
  for (const char* name : {"bright", "dark"}) spec.mutable_dataset()->add_class_names(name);
  spec.set_model_name("again");
  spec.set_base_model("tiny");
  spec.clear_network();
  ASSERT_TRUE(Run(spec, second, "job-2").ok());
  EXPECT_EQ(Line(second, "load").validation_accuracy(),
            registry_->Get({"tiny", 1})->evaluations(0).accuracy());
  EXPECT_THAT(Line(second, "load").guard(), Not(HasSubstr("by their position")));
  EXPECT_THAT(registry_->Get({"again", 1})->class_names(), ElementsAre("dark", "bright"));

  spec.mutable_dataset()->set_class_names(0, "day");
  spec.mutable_dataset()->set_class_names(1, "night");
  spec.set_model_name("other");
  Run(spec, third, "job-3").IgnoreError();  // the guard may refuse what it makes of them
  EXPECT_THAT(Line(third, "load").guard(),
              HasSubstr("classes go by their position: 'day' for 'dark', 'night' for 'bright'"));
  EXPECT_LT(Line(third, "load").validation_accuracy(), 0.5);
}

TEST_F(PipelineTest, ABaseModelSeesImagesAsItIsUsedTo) {
  v1::JobSpec spec = LearningSpec();
  spec.mutable_recipe()->clear_prune();
  spec.mutable_recipe()->clear_finetune();
  spec.mutable_recipe()->mutable_quantize()->set_weights(v1::WEIGHT_TYPE_FP32);
  RecordingObserver first, second;
  ASSERT_TRUE(Run(spec, first).ok());
  // One from elsewhere, where images of a .npz were not normalized as they are here.
  Artifact artifact = *ParseArtifact(*registry_->Read({"tiny", 1}));
  artifact.preprocessing.mean = {0.1f, 0.2f, 0.3f};
  artifact.preprocessing.stddev = {0.9f, 0.8f, 0.7f};
  artifact.evaluations.clear();
  artifact.certificate.reset();
  artifact.provenance.Clear();
  ASSERT_TRUE(registry_->Publish("elsewhere", *SerializeArtifact(artifact), "").ok());
  spec.set_model_name("again");
  spec.set_base_model("elsewhere");
  spec.clear_network();
  spec.mutable_recipe()->clear_train();
  const auto result = Run(spec, second, "job-2");
  ASSERT_TRUE(result.ok()) << result.status();
  const v1::Model again = *registry_->Get({"again", 1});
  EXPECT_THAT(again.preprocessing().mean(), ElementsAre(0.1f, 0.2f, 0.3f));
  EXPECT_THAT(again.preprocessing().stddev(), ElementsAre(0.9f, 0.8f, 0.7f));
  EXPECT_DOUBLE_EQ(again.evaluations(0).accuracy(), Line(second, "load").validation_accuracy());
  // By LibTorch, which normalizes by itself.
  EXPECT_NEAR(again.certificate().weights_only_test().auc(), again.evaluations(1).auc(), 1e-3);
  EXPECT_EQ(Line(second, "load").guard(), "") << "nothing is known of its data";
}

TEST_F(PipelineTest, ABaseModelsWeightsGoOnUnderAnotherStem) {
  RecordingObserver first, second;
  v1::JobSpec spec = TinySpec();
  spec.mutable_network()->set_stem(v1::STEM_STRIDE2);
  ASSERT_TRUE(Run(spec, first).ok());
  spec.set_model_name("finer");
  spec.set_base_model("tiny-dense");
  spec.clear_network();
  spec.mutable_network()->set_stem(v1::STEM_CIFAR);
  spec.mutable_recipe()->clear_train();
  spec.mutable_recipe()->clear_prune();
  const auto result = Run(spec, second, "job-2");
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(registry_->Get({"tiny-dense", 1})->network().stem(), v1::STEM_STRIDE2);
  EXPECT_EQ(registry_->Get({"finer", 1})->network().stem(), v1::STEM_CIFAR);
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

TEST_F(PipelineTest, RefusesToPublishWhatLostTooMuch) {
  RecordingObserver observer;
  v1::JobSpec spec = LearningSpec();
  spec.mutable_recipe()->mutable_prune()->set_sparsity(0.9999);
  spec.mutable_recipe()->clear_finetune();
  spec.mutable_recipe()->set_max_accuracy_drop(0.001);
  const absl::Status status = Run(spec, observer).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(status.message(),
              HasSubstr("the collapse guard refuses the model after the stage prune"));
  EXPECT_THAT(status.message(), HasSubstr("batch-norm statistics measured again"));
  EXPECT_THAT(status.message(), HasSubstr("recipe.max_accuracy_drop"));
  EXPECT_FALSE(registry_->Get({"tiny", 1}).ok());
}

TEST_F(PipelineTest, ReportsACollapseWhenThatIsAllThatIsAskedFor) {
  RecordingObserver observer;
  v1::JobSpec spec = LearningSpec();
  spec.mutable_recipe()->mutable_prune()->set_sparsity(0.99);
  spec.mutable_recipe()->clear_finetune();
  spec.mutable_recipe()->set_max_accuracy_drop(0.05);
  spec.mutable_recipe()->set_on_collapse(v1::COLLAPSE_POLICY_REPORT);
  ASSERT_TRUE(Run(spec, observer).ok());
  EXPECT_THAT(Line(observer, "prune").guard(), HasSubstr("below the dense model"));
  EXPECT_GE(Line(observer, "prune").verdict(), v1::GUARD_VERDICT_LOST_TOO_MUCH);
  EXPECT_EQ(Line(observer, "train").guard(), "");
  EXPECT_EQ(registry_->Get({"tiny", 1})->weights(), v1::WEIGHT_TYPE_INT8);
}

TEST_F(PipelineTest, ADenseModelThatGivesOneAnswerIsPublishedWithARemark) {
  RecordingObserver observer;
  Dataset dark = SpotDataset();
  std::fill(dark.train.labels.begin() + 1, dark.train.labels.end(), 0);
  dark.train.labels.front() = 1;
  v1::JobSpec spec = LearningSpec(dark);
  spec.mutable_recipe()->clear_prune();
  spec.mutable_recipe()->clear_finetune();
  ASSERT_TRUE(Run(spec, observer).ok());
  EXPECT_THAT(Line(observer, "train").guard(),
              HasSubstr("of the dense model's answers are 'class 0'"));
  EXPECT_TRUE(registry_->Get({"tiny-dense", 1}).ok());
}

TEST_F(PipelineTest, FineTuningIsTheRemedyOfPruning) {
  RecordingObserver observer;
  v1::JobSpec spec = LearningSpec();
  spec.mutable_recipe()->mutable_prune()->set_sparsity(0.9);
  *spec.mutable_recipe()->mutable_finetune() = spec.recipe().train();
  spec.mutable_recipe()->set_max_accuracy_drop(0.1);
  const auto result = Run(spec, observer);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(Line(observer, "prune").guard(), HasSubstr("; fine-tune follows"));
  EXPECT_EQ(Line(observer, "prune").verdict(), v1::GUARD_VERDICT_TRAINING_FOLLOWS);
  EXPECT_EQ(Line(observer, "fine-tune").guard(), "");
  EXPECT_EQ(Line(observer, "fine-tune").verdict(), v1::GUARD_VERDICT_FINE);
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

TEST_F(PipelineTest, TheLosslessStagesRunInTheirOrder) {
  RecordingObserver observer;
  v1::JobSpec spec = LearningSpec();
  v1::Recipe& recipe = *spec.mutable_recipe();
  recipe.mutable_prune()->set_sparsity(0.8);
  recipe.mutable_prune()->set_pattern(v1::PRUNE_PATTERN_BLOCK4);
  recipe.mutable_prune()->set_gradual_fraction(0.5);
  *recipe.mutable_finetune() = recipe.train();
  recipe.mutable_finetune()->set_distillation(0.5);
  recipe.set_reestimate_batch_norm(true);
  recipe.mutable_quantize()->set_weights(v1::WEIGHT_TYPE_INT4);
  recipe.mutable_quantize()->set_weight_range(v1::RANGE_METHOD_MSE);
  *recipe.mutable_quantize()->mutable_aware() = recipe.train();
  recipe.mutable_quantize()->mutable_aware()->set_epochs(1);
  recipe.mutable_quantize()->set_temperature_scaling(true);
  const auto result = Run(spec, observer);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(observer.Stages(), ElementsAre("load", "train", "publish-dense", "fine-tune",
                                             "quantization-aware training", "quantize",
                                             "temperature", "package", "evaluate", "publish"));
  EXPECT_THAT(Line(observer, "fine-tune").note(), HasSubstr("1x4 blocks"));
  // The dense model's answers are part of the way.
  const auto trains = std::find_if(
      observer.progresses.begin(), observer.progresses.end(),
      [](const v1::Progress& now) { return now.stage() == "fine-tune" && now.epoch() > 0; });
  ASSERT_NE(trains, observer.progresses.end());
  EXPECT_EQ(std::prev(trains)->stage(), "fine-tune");
  EXPECT_GT(std::prev(trains)->fraction(), std::prev(trains, 2)->fraction());
  EXPECT_GE(registry_->Get({"tiny", 1})->size().sparsity(), 0.8 - 1e-6);
  // The frozen scales are those that the weights were trained on: nothing is lost any more.
  EXPECT_NEAR(Line(observer, "quantize").validation_accuracy(),
              Line(observer, "quantization-aware training").validation_accuracy(), 0.02);
}

TEST_F(PipelineTest, ConfidencesStayWhereValidationHasNoWrongAnswer) {
  RecordingObserver observer;
  v1::JobSpec spec = LearningSpec();
  spec.mutable_recipe()->clear_prune();
  spec.mutable_recipe()->clear_finetune();
  spec.mutable_recipe()->mutable_quantize()->set_temperature_scaling(true);
  ASSERT_TRUE(Run(spec, observer).ok());
  if (Line(observer, "quantize").validation_accuracy() < 1) {
    GTEST_SKIP() << "on this CPU training left a wrong answer";
  }
  EXPECT_EQ(Line(observer, "temperature").validation_accuracy(), 1);
  EXPECT_THAT(Line(observer, "temperature").note(), HasSubstr("confidences stay as they are"));
}

TEST_F(PipelineTest, TemperatureChangesConfidencesAndNoAnswer) {
  RecordingObserver observer;
  v1::JobSpec spec = LearningSpec();
  spec.mutable_recipe()->mutable_train()->set_epochs(1);  // not enough to be right everywhere
  spec.mutable_recipe()->clear_prune();
  spec.mutable_recipe()->clear_finetune();
  ASSERT_TRUE(Run(spec, observer).ok());
  spec.set_base_model("tiny-dense@1");
  spec.clear_network();
  spec.mutable_recipe()->clear_train();
  v1::QuantizeOptions& quantize = *spec.mutable_recipe()->mutable_quantize();
  for (auto weights : {v1::WEIGHT_TYPE_FP16, v1::WEIGHT_TYPE_INT8}) {
    spec.set_model_name(absl::StrCat("as-", weights));
    quantize.set_weights(weights);
    std::vector<v1::Model> models;
    for (bool scaling : {false, true}) {
      RecordingObserver own;
      quantize.set_temperature_scaling(scaling);
      const auto result = Run(spec, own, absl::StrCat("job-", spec.model_name(), scaling));
      ASSERT_TRUE(result.ok()) << result.status();
      models.push_back(*registry_->Get({spec.model_name(), scaling ? 2 : 1}));
      if (!scaling) continue;
      EXPECT_THAT(Line(own, "temperature").note(), HasSubstr("at temperature "));
    }
    for (int split = 0; split < 2; ++split) {
      EXPECT_EQ(models[1].evaluations(split).right(), models[0].evaluations(split).right());
    }
    EXPECT_NE(models[1].evaluations(0).expected_calibration_error(),
              models[0].evaluations(0).expected_calibration_error());
  }
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

// Before anything is trained.
TEST_F(PipelineTest, WhatTheDataOrTheNetworkDoNotHaveIsRefusedAtTheStart) {
  const auto refusal = [&](const std::function<void(v1::JobSpec&)>& ask) {
    RecordingObserver observer;
    v1::JobSpec spec = TinySpec();
    spec.mutable_recipe()->mutable_quantize()->set_weights(v1::WEIGHT_TYPE_INT4);
    ask(spec);
    const absl::Status status = Run(spec, observer).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_TRUE(observer.ledger.empty());
    return std::string(status.message());
  };
  EXPECT_THAT(refusal([](v1::JobSpec& s) { s.mutable_network()->set_classes(5); }),
              HasSubstr("network.classes: 5 is asked for"));
  EXPECT_THAT(refusal([](v1::JobSpec& s) { s.mutable_network()->set_input_width(64); }),
              HasSubstr("network.input_width: 64 is asked for"));
  EXPECT_THAT(refusal([](v1::JobSpec& s) {
                (*s.mutable_recipe()->mutable_prune()->mutable_layer_sparsity())["layer9"] = 0.5;
              }),
              HasSubstr("recipe.prune.layer_sparsity[layer9]"));
  EXPECT_THAT(refusal([](v1::JobSpec& s) {
                (*s.mutable_recipe()->mutable_quantize()->mutable_layer_weights())["layer9"] =
                    v1::WEIGHT_TYPE_INT8;
              }),
              HasSubstr("recipe.quantize.layer_weights[layer9]"));
}

TEST_F(PipelineTest, AFolderIsScaledToWhatTheRequestOrTheBaseModelTakes) {
  const std::string folder = root_ + "/cells";
  for (const char* cell : {"round", "square"}) {
    for (int i = 0; i < 10; ++i) {
      Image image{32, 32, 3, std::vector<uint8_t>(32 * 32 * 3, 40)};
      image.pixels[cell[0] + 100 * i] = 200;  // no two are alike
      const std::string path = absl::StrCat(folder, "/", cell);
      std::filesystem::create_directories(path);
      ASSERT_TRUE(WriteFileAtomically(absl::StrCat(path, "/", i, ".png"), *EncodePng(image)).ok());
    }
  }
  RecordingObserver observer;
  v1::JobSpec spec = TinySpec();
  spec.mutable_dataset()->set_uri(folder);
  spec.mutable_network()->set_input_height(32);
  spec.mutable_network()->set_input_width(32);
  ASSERT_TRUE(Run(spec, observer).ok());
  EXPECT_EQ(registry_->Get({"tiny-dense", 1})->network().input_height(), 32);
  spec.clear_network();
  spec.set_base_model("tiny-dense@1");
  spec.set_model_name("again");
  ASSERT_TRUE(Run(spec, observer, "job-2").ok());
  EXPECT_EQ(registry_->Get({"again", 1})->network().input_height(), 32);
}

}  // namespace
}  // namespace cytopress
