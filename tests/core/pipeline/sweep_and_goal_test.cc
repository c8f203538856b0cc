// Jobs that make several models: sweeps and goals.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/artifact/artifact.h"
#include "core/base/amounts.h"
#include "core/compression/checkpoint.h"
#include "core/network/network.h"
#include "core/pipeline/pipeline.h"
#include "tests/core/pipeline/pipeline_fixture.h"

namespace cytopress {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

TEST_F(PipelineTest, ASweepPublishesEveryCellFromOneParent) {
  RecordingObserver observer;
  v1::JobSpec spec = TinySpec();
  for (double sparsity : {0.5, 0.0}) spec.mutable_sweep()->add_sparsities(sparsity);
  for (auto weights : {v1::WEIGHT_TYPE_FP16, v1::WEIGHT_TYPE_INT4}) {
    spec.mutable_sweep()->add_weights(weights);
  }
  v1::QuantizeOptions* quantize = spec.mutable_recipe()->mutable_quantize();
  quantize->set_weights(v1::WEIGHT_TYPE_INT4);
  (*quantize->mutable_layer_weights())["layer1.0.conv1"] = v1::WEIGHT_TYPE_INT8;  // not FP16's
  ASSERT_TRUE(Run(spec, observer).ok());
  const std::vector<std::string> cell = {"quantize", "package", "evaluate", "publish"};
  std::vector<std::string> stages = {"load", "train", "publish-dense"};
  const auto add = [&](const std::string& name) {
    stages.insert(stages.end(), cell.begin(), cell.end());
    stages.push_back(name);
  };
  add("tiny-s0-fp16");
  add("tiny-s0-int4");
  stages.insert(stages.end(), {"prune 50 %", "fine-tune 50 %"});
  add("tiny-s50-fp16");
  add("tiny-s50-int4");
  EXPECT_EQ(observer.Stages(), stages);
  const v1::Model dense = *registry_->Get({"tiny-s0-fp16", 1});
  const v1::Model pruned = *registry_->Get({"tiny-s50-int4", 1});
  EXPECT_LT(dense.size().sparsity(), 0.01);
  EXPECT_GE(pruned.size().sparsity(), 0.5 - 1e-6);
  EXPECT_EQ(pruned.weights(), v1::WEIGHT_TYPE_INT4);
  EXPECT_EQ(pruned.certificate().parent(), "tiny-dense@1");
  // A cell's own ledger has no other cell's lines.
  std::vector<std::string> own;
  for (const auto& line : pruned.ledger()) own.push_back(line.stage());
  EXPECT_THAT(own, ElementsAre("load", "train", "publish-dense", "prune 50 %", "fine-tune 50 %",
                               "quantize", "package", "evaluate"));
  // The cell of floats did not change the network that the others are made from.
  EXPECT_EQ(dense.evaluations(1).accuracy(),
            registry_->Get({"tiny-dense", 1})->evaluations(1).accuracy());
}

TEST_F(PipelineTest, AResumedSweepMakesTheSameModels) {
  RecordingObserver whole, stopped, resumed;
  v1::JobSpec spec = TinySpec();
  spec.mutable_recipe()->set_on_collapse(v1::COLLAPSE_POLICY_REPORT);
  for (double sparsity : {0.3, 0.6}) spec.mutable_sweep()->add_sparsities(sparsity);
  spec.mutable_sweep()->add_weights(v1::WEIGHT_TYPE_INT8);
  const auto first = Run(spec, whole, "job-whole");
  ASSERT_TRUE(first.ok()) << first.status();
  spec.set_model_name("resumed");
  stopped.stop_in_stage = "fine-tune 60 %";
  EXPECT_TRUE(absl::IsCancelled(Run(spec, stopped, "job-2").status()));
  ASSERT_TRUE(Run(spec, resumed, "job-2", 2).ok());
  EXPECT_THAT(resumed.Stages(), Not(Contains("fine-tune 30 %")));
  for (const char* cell : {"s30-int8", "s60-int8"}) {
    ExpectSameWeights(absl::StrCat("tiny-", cell), absl::StrCat("resumed-", cell));
  }
}

TEST_F(PipelineTest, FromDenseAModelsLedgerHasOnlyWhatItIsMadeFrom) {
  v1::JobSpec spec = TinySpec();
  spec.mutable_recipe()->set_on_collapse(v1::COLLAPSE_POLICY_REPORT);
  spec.mutable_sweep()->set_from_dense(true);
  for (double sparsity : {0.3, 0.6}) spec.mutable_sweep()->add_sparsities(sparsity);
  spec.mutable_sweep()->add_weights(v1::WEIGHT_TYPE_INT8);
  RecordingObserver observer;
  const auto result = Run(spec, observer);
  ASSERT_TRUE(result.ok()) << result.status();
  std::vector<std::string> own;
  const v1::Model last = *registry_->Get({"tiny-s60-int8", 1});
  for (const v1::LedgerEntry& line : last.ledger()) own.push_back(line.stage());
  EXPECT_THAT(own, ElementsAre("load", "train", "publish-dense", "restart 60 %", "prune 60 %",
                               "fine-tune 60 %", "quantize", "package", "evaluate"));
  EXPECT_THAT(observer.Stages(), Contains("fine-tune 30 %")) << "the job's own has all";
}

TEST_F(PipelineTest, ASweepGoesOnWithoutTheSparsityThatLosesTooMuch) {
  v1::JobSpec spec = LearningSpec();
  v1::Recipe& recipe = *spec.mutable_recipe();
  recipe.clear_finetune();
  recipe.set_max_accuracy_drop(0.1);
  for (double sparsity : {0.0, 0.9999}) spec.mutable_sweep()->add_sparsities(sparsity);
  spec.mutable_sweep()->add_weights(v1::WEIGHT_TYPE_FP16);  // which has no remedies that take long
  RecordingObserver stopped, observer, none;
  stopped.stop_in_stage = "prune 99.99 %";
  EXPECT_TRUE(absl::IsCancelled(Run(spec, stopped).status()));
  const auto result = Run(spec, observer, "job-1", 2);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->model, "tiny-s0-fp16@1") << "published in the first attempt";
  EXPECT_THAT(Line(observer, "prune 99.99 %").guard(), HasSubstr("not mended by: batch-norm"));
  EXPECT_THAT(Line(observer, "tiny-s99.99-fp16").note(), HasSubstr("not published: "));
  EXPECT_EQ(Line(observer, "tiny-s99.99-fp16").kind(), v1::STAGE_KIND_CELL);
  EXPECT_EQ(Line(observer, "tiny-s99.99-fp16").published(), "");
  EXPECT_EQ(Line(stopped, "tiny-s0-fp16").published(), "tiny-s0-fp16@1");
  EXPECT_FALSE(registry_->Get({"tiny-s99.99-fp16", 1}).ok());

  spec.set_base_model("tiny-dense");
  spec.clear_network();
  spec.mutable_sweep()->clear_sparsities();
  spec.mutable_sweep()->add_sparsities(0.9999);
  const absl::Status status = Run(spec, none, "job-2").status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(status.message(), HasSubstr("the sweep has published no model"));
}

TEST_F(PipelineTest, TheCellsOfASweepMendWhatTheyTrain) {
  v1::JobSpec spec = LearningSpec();
  v1::Recipe& recipe = *spec.mutable_recipe();
  recipe.clear_finetune();
  recipe.set_max_accuracy_drop(0.1);
  *recipe.mutable_quantize()->mutable_aware() = recipe.train();
  spec.mutable_sweep()->add_sparsities(0.9);
  spec.mutable_sweep()->add_weights(v1::WEIGHT_TYPE_INT8);
  RecordingObserver observer;
  const auto result = Run(spec, observer);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->model, "tiny-s90-int8@1");
  EXPECT_THAT(Line(observer, "prune 90 %").guard(), HasSubstr("; tiny-s90-int8 follows"));
}

// A published cell is not trained any more, though the next sparsity is.
TEST_F(PipelineTest, NoTrainingFollowsACollapsedCell) {
  v1::JobSpec spec = LearningSpec();
  v1::Recipe& recipe = *spec.mutable_recipe();
  recipe.mutable_prune()->set_gradual_fraction(0.4);
  recipe.mutable_finetune()->set_max_images(32);  // one step, which mends little
  recipe.set_max_accuracy_drop(0.05);
  recipe.set_on_collapse(v1::COLLAPSE_POLICY_REPORT);
  for (double sparsity : {0.999, 0.9995}) spec.mutable_sweep()->add_sparsities(sparsity);
  spec.mutable_sweep()->add_weights(v1::WEIGHT_TYPE_FP16);
  RecordingObserver observer;
  ASSERT_TRUE(Run(spec, observer).ok());
  const v1::LedgerEntry cell = Line(observer, "tiny-s99.9-fp16");
  EXPECT_EQ(cell.published(), "tiny-s99.9-fp16@1");
  EXPECT_THAT(cell.guard(), HasSubstr("below the dense model"));
  EXPECT_THAT(cell.verdict(),
              testing::AnyOf(v1::GUARD_VERDICT_COLLAPSED, v1::GUARD_VERDICT_LOST_TOO_MUCH));
}

TEST_F(PipelineTest, AGoalIsReachedByTheSmallestAccurateTry) {
  v1::JobSpec spec = LearningSpec();
  spec.mutable_recipe()->clear_prune();
  spec.mutable_goal()->set_max_accuracy_drop(0.1);
  spec.mutable_goal()->set_max_tries(3);
  RecordingObserver observer;
  const auto result = Run(spec, observer);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->model, "tiny@1");
  const v1::Model best = *registry_->Get({"tiny", 1});
  int accurate = 0;
  for (int i = 1; i <= 3; ++i) {
    const v1::LedgerEntry line = Line(observer, absl::StrCat("try ", i));
    const auto model = registry_->Get({absl::StrCat("tiny-try", i), 1});
    EXPECT_THAT(line.note(), testing::HasSubstr(model.ok() ? "published as" : "not published"));
    EXPECT_EQ(line.kind(), v1::STAGE_KIND_TRY);
    EXPECT_EQ(line.published(), model.ok() ? absl::StrCat("tiny-try", i, "@1") : "");
    if (!model.ok()) continue;
    ++accurate;
    EXPECT_LE(best.size().disk_bytes(), model->size().disk_bytes());
    EXPECT_EQ(line.sparsity(), model->size().sparsity());
    EXPECT_GE(model->evaluations(0).accuracy(), 0.85);
    EXPECT_EQ(model->size().sparsity() > 0.3, true) << line.note();
  }
  EXPECT_GE(accurate, 1);
  EXPECT_EQ(observer.ledger.back().stage(), "publish");
  EXPECT_EQ(observer.ledger.back().sparsity(), best.size().sparsity());
  EXPECT_LT(best.size().disk_bytes(), best.size().dense_bytes() / 20);
}

TEST_F(PipelineTest, ATryIsJudgedAfterItsLastTraining) {
  v1::JobSpec spec = LearningSpec();
  v1::Recipe& recipe = *spec.mutable_recipe();
  recipe.clear_prune();
  recipe.mutable_finetune()->set_max_images(32);  // one step, which mends little
  *recipe.mutable_quantize()->mutable_aware() = recipe.finetune();
  spec.mutable_goal()->set_max_accuracy_drop(0.1);
  spec.mutable_goal()->set_max_bytes(8000);
  spec.mutable_goal()->set_max_tries(1);
  RecordingObserver observer;
  Run(spec, observer).IgnoreError();  // whether it does mend is another question
  EXPECT_THAT(Line(observer, "try 1 fine-tune").guard(), HasSubstr("; tiny-try1 follows"));
}

// No other budget would help.
TEST_F(PipelineTest, TrainingThatDivergesEndsAGoal) {
  v1::JobSpec spec = LearningSpec();
  spec.mutable_recipe()->clear_prune();
  *spec.mutable_recipe()->mutable_finetune() = spec.recipe().train();
  spec.mutable_recipe()->mutable_finetune()->set_learning_rate(100);
  spec.mutable_recipe()->mutable_finetune()->set_weight_decay(0.99);  // grows by 98 a step
  spec.mutable_goal()->set_max_tries(3);
  RecordingObserver observer;
  const absl::Status status = Run(spec, observer).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(status.message(), HasSubstr("training diverged"));
  EXPECT_THAT(observer.Stages(), Not(Contains("try 1")));
}

TEST_F(PipelineTest, AResumedGoalHasSpentWhatItSpentBefore) {
  v1::JobSpec spec = LearningSpec();
  spec.mutable_recipe()->clear_prune();
  spec.mutable_goal()->set_max_accuracy_drop(0.1);
  spec.mutable_goal()->set_max_tries(3);
  spec.mutable_goal()->set_time_budget_seconds(3600);
  RecordingObserver stopped, resumed;
  stopped.stop_in_stage = "try 2: fine-tune";
  EXPECT_TRUE(absl::IsCancelled(Run(spec, stopped).status()));
  const std::string path = WorkFolder("job-1") + "/checkpoint.pt";
  TensorTable table = *LoadTensors(path);
  const double spent = table.at("goal")[0].item<double>();
  EXPECT_GT(spent, 0);
  // The dense model is no part of the search.
  EXPECT_LE(spent, absl::ToDoubleSeconds(RealClock()->Steady() - stopped.began.at("try 1")) + 1e-3);
  // As if there were ten seconds left, and a try took twenty.
  table.at("goal")[0] = 3590;
  table.at("goal")[1] = 20;
  ASSERT_TRUE(SaveTensors(table, path).ok());
  const auto result = Run(spec, resumed, "job-1", 2);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(Line(resumed, "try 2").note(), HasSubstr("after the time budget"));
  EXPECT_THAT(Line(resumed, "try 3").note(), HasSubstr("after the time budget"));
  EXPECT_EQ(Line(resumed, "try 3").sparsity(), 0);
  EXPECT_EQ(resumed.ledger.back().sparsity(), registry_->Get({"tiny", 1})->size().sparsity());
  EXPECT_TRUE(registry_->Get({"tiny-try1", 1}).ok());
  EXPECT_FALSE(registry_->Get({"tiny-try2", 1}).ok());
}

TEST_F(PipelineTest, AGoalOutOfReachIsSaidSo) {
  v1::JobSpec spec = LearningSpec();
  spec.mutable_recipe()->clear_prune();
  spec.mutable_goal()->set_max_accuracy_drop(0.2);
  spec.mutable_goal()->set_max_bytes(2000000);
  spec.mutable_goal()->set_max_latency_ms(1e-6);
  spec.mutable_goal()->set_max_tries(3);
  // The first try is made all the same, as short as can be.
  spec.mutable_goal()->set_time_budget_seconds(1e-3);
  spec.mutable_recipe()->mutable_finetune()->set_epochs(3);
  RecordingObserver observer;
  const auto result = Run(spec, observer);
  EXPECT_TRUE(absl::IsFailedPrecondition(result.status()));
  EXPECT_THAT(result.status().message(), testing::HasSubstr("no try keeps to the goal"));
  EXPECT_THAT(Line(observer, "try 1 fine-tune").note(),
              HasSubstr("1 of 3 epochs, to keep to the time budget"));
  EXPECT_THAT(Line(observer, "try 1").note(), HasSubstr(" s after the time budget"));
  EXPECT_THAT(Line(observer, "try 2").note(), HasSubstr("left out"));
  // Its end is nearly that of the job.
  double tried = 0;
  for (const v1::Progress& progress : observer.progresses) {
    if (progress.stage() == "try 1") tried = progress.fraction();
  }
  EXPECT_GT(tried, 0.95);
  EXPECT_FALSE(registry_->Get({"tiny", 1}).ok());
  const auto nearest = registry_->Get({"tiny-try1", 1});
  ASSERT_TRUE(nearest.ok()) << nearest.status();
  EXPECT_EQ(nearest->provenance().spec().recipe().finetune().epochs(), 1);
  EXPECT_THAT(result.status().message(), HasSubstr("the nearest is published as tiny-try1@1: "));
  const double milliseconds = 1e3 * nearest->certificate().latency_seconds();
  EXPECT_GT(milliseconds, 0);
  EXPECT_THAT(
      result.status().message(),
      HasSubstr(absl::StrFormat(": %s, %.3g ms, validation accuracy ",
                                ReadableBytes(nearest->size().disk_bytes()), milliseconds)));
  EXPECT_THAT(std::string(result.status().message()),
              EndsWith("; allow a larger max_accuracy_drop, max_bytes, max_latency_ms or time "
                       "budget"));
}

TEST_F(PipelineTest, ASweepOfLayersThatAreAllFixedIsRefusedBeforeTraining) {
  v1::JobSpec spec = TinySpec();
  for (double sparsity : {0.3, 0.5}) spec.mutable_sweep()->add_sparsities(sparsity);
  spec.mutable_sweep()->add_weights(v1::WEIGHT_TYPE_INT8);
  NetworkSpec described;
  described.architecture = spec.network().architecture();
  described.classes = 2;
  const Network network = *BuildNetwork(described);
  for (const Layer& layer : network.layers) {
    if (!IsPrunable(layer)) continue;
    (*spec.mutable_recipe()->mutable_prune()->mutable_layer_sparsity())[layer.name] = 0.5;
  }
  RecordingObserver observer;
  const auto result = Run(spec, observer);
  EXPECT_TRUE(absl::IsInvalidArgument(result.status()));
  EXPECT_THAT(result.status().message(), HasSubstr("recipe.prune.layer_sparsity: gives every"));
  EXPECT_THAT(observer.Stages(), ElementsAre());
}

TEST_F(PipelineTest, AFileSizeOutOfReachIsRefusedBeforeTraining) {
  v1::JobSpec spec = TinySpec();
  spec.mutable_recipe()->clear_prune();
  spec.mutable_goal()->set_max_bytes(3000);
  RecordingObserver observer;
  const auto result = Run(spec, observer);
  EXPECT_TRUE(absl::IsInvalidArgument(result.status()));
  EXPECT_THAT(result.status().message(),
              HasSubstr("goal.max_bytes: 3000 (3.0 kB) is out of reach"));
  EXPECT_THAT(observer.Stages(), ElementsAre());
}

}  // namespace
}  // namespace cytopress
