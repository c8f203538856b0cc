// Jobs that make one model.
#include "core/pipeline/pipeline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/dataset/dataset.h"
#include "core/image/image.h"
#include "tests/core/compression/test_data.h"
#include "tests/core/pipeline/pipeline_fixture.h"

namespace cytopress {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

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
    EXPECT_LT(models[1].evaluations(0).expected_calibration_error(),
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
