// Stages by themselves.
#include "core/pipeline/stages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/time/time.h"
#include "core/artifact/artifact.h"
#include "core/compression/fisher.h"
#include "core/compression/pruning.h"
#include "core/compression/weight_rounding.h"
#include "core/jobs/job_defaults.h"
#include "core/pipeline/base_model.h"
#include "tests/core/pipeline/stages_fixture.h"

namespace cytopress {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

TEST_F(StagesTest, TheScoreOfTheServedParentIsWhatOthersAreComparedWith) {
  state_.parent.score.accuracy = 2;  // as no other arithmetic has it
  const auto outcome = MakePublishParentStage()->Run(state_, stage_context_);
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  const double served = registry_->Get({"tiny-dense", 1})->evaluations(0).accuracy();
  EXPECT_EQ(state_.parent.score.accuracy, served);
  ASSERT_TRUE(outcome->score);
  EXPECT_EQ(outcome->score->accuracy, served);
}

// As a job does that has lost its checkpoint.
TEST_F(StagesTest, AParentThatIsPublishedAlreadyCountsNotTheOneThatIsTrainedAgain) {
  torch::NoGradGuard no_grad;
  state_.network->tensors().at("fc.weight").zero_();
  state_.network->tensors().at("fc.bias").copy_(torch::tensor({1.0f, 0.0f}));
  ASSERT_TRUE(MakePublishParentStage()->Run(state_, stage_context_).ok());
  EXPECT_EQ(state_.parent.score.answer, 0);
  state_.network->tensors().at("fc.bias").copy_(torch::tensor({0.0f, 1.0f}));
  state_.parent.name.clear();
  state_.parent.published.clear();
  const auto outcome = MakePublishParentStage()->Run(state_, stage_context_);
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(outcome->published, "tiny-dense@1");
  EXPECT_EQ(state_.parent.score.answer, 0);
  EXPECT_EQ(state_.parent.score.accuracy,
            registry_->Get({"tiny-dense", 1})->evaluations(0).accuracy());
  ASSERT_TRUE(outcome->score);
  EXPECT_EQ(outcome->score->answer, 0);
}

TEST_F(StagesTest, ANoteSaysAmongWhichWeightsTheSmallestWerePruned) {
  const auto note = [this](v1::PruneMethod method) {
    PruneStageOptions options;
    options.prune.set_sparsity(0.5);
    options.prune.set_method(method);
    const auto outcome = MakePruneStage("prune", options)->Run(state_, stage_context_);
    EXPECT_TRUE(outcome.ok()) << outcome.status();
    return outcome.ok() ? outcome->note : "";
  };
  EXPECT_THAT(note(v1::PRUNE_METHOD_GLOBAL_MAGNITUDE), EndsWith("magnitudes of all layers"));
  EXPECT_THAT(note(v1::PRUNE_METHOD_LAYER_MAGNITUDE), EndsWith("magnitudes of each layer"));
  EXPECT_THAT(note(v1::PRUNE_METHOD_FISHER), EndsWith("unstructured, least part in the loss"));
  EXPECT_THAT(note(v1::PRUNE_METHOD_COST_AWARE_FISHER),
              EndsWith("least part in the loss for what they cost"));
}

TEST_F(StagesTest, PrunesByTheFisherInformationOfTheNetworkThatComes) {
  at::set_num_threads(1);
  {
    torch::NoGradGuard no_grad;  // a fresh network's branches are switched off
    for (const auto& [name, tensor] : state_.network->tensors()) {
      if (tensor.dim() == 1 && absl::EndsWith(name, "bn2.weight")) tensor.fill_(1);
    }
  }
  PruneStageOptions options;
  options.prune.set_sparsity(0.5);
  options.prune.set_method(v1::PRUNE_METHOD_FISHER);
  const auto fisher = MeasureFisher(*state_.network, state_.dataset, kFisherImages,
                                    spec_.recipe().seed(), [](double) { return absl::OkStatus(); });
  ASSERT_TRUE(fisher.ok()) << fisher.status();
  const Masks expected = FisherMasks(*state_.network, options.prune, 0.5, *fisher);
  ASSERT_TRUE(MakePruneStage("prune", options)->Run(state_, stage_context_).ok());
  for (const auto& [name, mask] : expected) EXPECT_TRUE(state_.masks.at(name).equal(mask)) << name;
}

TEST_F(StagesTest, ATryWithTheChoicesOfAnotherIsNotTrainedAgain) {
  for (const auto& [name, tensor] : state_.network->tensors()) {
    if (tensor.dim() != 4) continue;
    torch::NoGradGuard no_grad;
    tensor.zero_();  // costs nothing and takes no bytes: all budgets have the same choices
  }
  spec_.mutable_goal()->set_max_tries(2);
  spec_.mutable_recipe()->mutable_quantize()->set_calibration_images(16);
  spec_ = WithDefaults(spec_);
  ASSERT_TRUE(MakePublishParentStage()->Run(state_, stage_context_).ok());
  std::vector<std::string> ran;
  stage_context_.run = [&](Stage& stage, const Stage*, double, double) {
    ran.push_back(stage.name());
    const bool trains = stage.name() == "try 1 fine-tune" || stage.name() == "try 2 fine-tune";
    return trains ? absl::OkStatus() : stage.Run(state_, stage_context_).status();
  };
  std::vector<std::unique_ptr<Stage>> stages;
  AddGoalStages(spec_, stages);
  ASSERT_EQ(stages.size(), 3u);
  ASSERT_TRUE(stages[0]->Run(state_, stage_context_).ok());
  EXPECT_THAT(ran, Contains("try 1 fine-tune"));
  ran.clear();
  const auto second = stages[1]->Run(state_, stage_context_);
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_THAT(ran, ElementsAre("try 2 restart"));
  EXPECT_THAT(second->note, HasSubstr("the same as try 1"));
  EXPECT_EQ(*registry_->Read({"tiny-try2", 1}), *registry_->Read({"tiny-try1", 1}));
}

// A network that an earlier job has pruned, and three steps of training for it.
class PrunedBaseTest : public StagesTest {
 protected:
  PrunedBaseTest() {
    ApplyMasks(MagnitudeMasks(*state_.network, {}, 0.8), *state_.network);
    spec_.mutable_recipe()->mutable_quantize()->set_weights(v1::WEIGHT_TYPE_INT8);
    v1::TrainOptions& options = *spec_.mutable_recipe()->mutable_finetune();
    options.set_epochs(1);
    options.set_max_images(96);
    options.set_batch_size(32);
    options.set_learning_rate(0.2);
    options.set_precision("fp32");
    *spec_.mutable_recipe()->mutable_quantize()->mutable_aware() = options;
    spec_ = WithDefaults(spec_);
  }
};

TEST_F(PrunedBaseTest, QuantizationAwareTrainingKeepsItsZeros) {
  const std::unique_ptr<Stage> stage = MakeQatStage(spec_.recipe().quantize());
  const auto outcome = stage->Run(state_, stage_context_);
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_GE(Sparsity(*state_.network), 0.8 - 1e-6);
  EXPECT_FALSE(state_.masks.empty()) << "no later stage may break them either";
  EXPECT_THAT(outcome->note, HasSubstr("zeros kept"));
}

TEST_F(PrunedBaseTest, QuantizationAwareTrainingKeepsNoZerosThatOnlyRoundingMade) {
  state_.base_sparsity = 0;
  const auto outcome = MakeQatStage(spec_.recipe().quantize())->Run(state_, stage_context_);
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_TRUE(state_.masks.empty());
  EXPECT_THAT(outcome->note, Not(HasSubstr("zeros kept")));
}

TEST_F(PrunedBaseTest, QuantizationAwareTrainingStaysOnTheScalesOfItsStart) {
  WeightGrids expected = FindWeightGrids(*state_.network, spec_.recipe().quantize());
  const std::unique_ptr<Stage> stage = MakeQatStage(spec_.recipe().quantize());
  for (const bool resumed : {false, true}) {
    if (resumed) {  // from a checkpoint of other scales
      for (auto& [name, grid] : expected) {
        for (float& scale : grid.scales) scale *= 2;
      }
      state_.frozen_grids = expected;
    }
    const auto outcome = stage->Run(state_, stage_context_);
    ASSERT_TRUE(outcome.ok()) << outcome.status();
    ASSERT_EQ(state_.frozen_grids.size(), expected.size());
    for (const auto& [name, grid] : expected) {
      EXPECT_EQ(state_.frozen_grids.at(name).scales, grid.scales) << resumed << ' ' << name;
    }
    const std::vector<float> weights = state_.network->Export().at("conv1.weight").values;
    const std::vector<float>& scales = expected.at("conv1.weight").scales;
    const size_t row = weights.size() / scales.size();
    for (size_t i = 0; i < weights.size(); ++i) {
      const double steps = weights[i] / scales[i / row];
      EXPECT_NEAR(steps, std::round(steps), 1e-3) << "weights are left rounded";
    }
  }
}

TEST(SparsityBeforeRoundingTest, IsThatOfTheLastLineBeforeQuantization) {
  std::vector<v1::LedgerEntry> ledger;
  const auto add = [&](v1::StageKind kind, double sparsity) {
    ledger.emplace_back().set_kind(kind);
    ledger.back().set_sparsity(sparsity);
  };
  add(v1::STAGE_KIND_UNSPECIFIED, 0.3);
  EXPECT_FALSE(SparsityBeforeRounding(ledger).has_value());
  add(v1::STAGE_KIND_LOAD, 0);
  add(v1::STAGE_KIND_QUANTIZE, 0.25);
  EXPECT_EQ(SparsityBeforeRounding(ledger), 0);
  ledger.pop_back();
  add(v1::STAGE_KIND_FINE_TUNE, 0.5);
  add(v1::STAGE_KIND_QUANTIZATION_AWARE_TRAINING, 0.6);
  add(v1::STAGE_KIND_QUANTIZE, 0.7);
  add(v1::STAGE_KIND_PACKAGE, 0.7);
  EXPECT_EQ(SparsityBeforeRounding(ledger), 0.5);
}

TEST_F(PrunedBaseTest, FineTuningWithoutPruningSaysThatItTrainsTheZerosAgain) {
  FinetuneOptions options;
  options.train = spec_.recipe().finetune();
  const auto outcome = MakeFinetuneStage("fine-tune", options)->Run(state_, stage_context_);
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  // On maps of one position most of a kernel meets padding only and learns nothing.
  EXPECT_LT(Sparsity(*state_.network), 0.75);
  EXPECT_THAT(outcome->note,
              HasSubstr("zeros trained again: 80.0 % of the prunable weights before, "));
}

// What a search for a goal does with its time budget.
TEST_F(PrunedBaseTest, ATimeLimitLeavesOutEpochsAndChangesNothingElse) {
  const TensorMap before = state_.network->Export();
  FinetuneOptions options;
  options.train = spec_.recipe().finetune();
  options.gradual.emplace();
  options.gradual->set_sparsity(0.5);
  options.gradual->set_gradual_fraction(0.4);
  const auto train = [&](int epochs, absl::Duration limit) {
    EXPECT_TRUE(state_.network->Import(before).ok());
    state_.masks.clear();
    options.train.set_epochs(epochs);
    options.time_limit = limit;
    const auto outcome = MakeFinetuneStage("fine-tune", options)->Run(state_, stage_context_);
    EXPECT_TRUE(outcome.ok()) << outcome.status();
    EXPECT_GE(Sparsity(*state_.network), 0.5 - 1e-6);
    return outcome.ok() ? outcome->note : "";
  };
  const auto all = [this] {
    std::vector<torch::Tensor> parts;
    for (const auto& [name, tensor] : state_.network->tensors()) {
      if (tensor.is_floating_point()) parts.push_back(tensor.detach().flatten());
    }
    for (const auto& [name, mask] : state_.masks)
      parts.push_back(mask.flatten().to(torch::kFloat32));
    return torch::cat(parts);
  };
  train(1, absl::InfiniteDuration());
  const torch::Tensor one_epoch = all();
  EXPECT_THAT(train(2, absl::ZeroDuration()), HasSubstr("1 of 2 epochs, to keep to the time"));
  EXPECT_EQ(state_.goal.epochs, 1);
  EXPECT_TRUE(torch::allclose(all(), one_epoch, 1e-3, 1e-5));
  state_.goal.epochs = 0;
  EXPECT_THAT(train(2, absl::Hours(1)), HasSubstr("2 epochs, peak"));
  EXPECT_EQ(state_.goal.epochs, 0);
  options.cost_after = 1e9;  // for which an hour is little
  EXPECT_THAT(train(2, absl::Hours(1)), HasSubstr("1 of 2 epochs"));
}

TEST_F(StagesTest, AServedFileIsMendedByOtherRangesOfItsActivations) {
  torch::NoGradGuard no_grad;
  for (const auto& [name, tensor] : state_.network->tensors()) {
    if (tensor.dim() == 4 && name != "conv1.weight") tensor.zero_();  // takes no time to compress
  }
  v1::QuantizeOptions& options = *spec_.mutable_recipe()->mutable_quantize();
  options.set_weights(v1::WEIGHT_TYPE_INT8);
  options.set_calibration_images(16);
  options.set_activation_percentile(90);
  spec_ = WithDefaults(spec_);
  ASSERT_TRUE(MakeQuantizeStage(spec_.recipe().quantize())->Run(state_, stage_context_).ok());
  ASSERT_TRUE(MakePackageStage()->Run(state_, stage_context_).ok());
  const std::unique_ptr<Stage> stage = MakeEvaluateStage(spec_.recipe().quantize());
  const auto range = [this] {
    return ParseArtifact(*ReadFile(state_.artifact_path, kMaxArtifactFileBytes))
        ->activation_ranges.at("conv1");
  };
  const float percentile = range();
  float last = percentile;
  const std::vector<std::string> methods = {"MSE", "MIN_MAX"};
  for (int attempt = 0; attempt < 2; ++attempt) {
    const auto mended = stage->Mend(state_, stage_context_, attempt);
    ASSERT_TRUE(mended.ok()) << mended.status();
    ASSERT_TRUE(mended->has_value());
    EXPECT_THAT((*mended)->note, HasSubstr("ranges of the activations by " + methods[attempt]));
    EXPECT_TRUE((*mended)->score.has_value());
    EXPECT_GE(range(), last);
    EXPECT_GT(range(), percentile) << "the file has the new ones";
    last = range();
  }
  const auto third = stage->Mend(state_, stage_context_, 2);
  ASSERT_TRUE(third.ok()) << third.status();
  EXPECT_FALSE(third->has_value());
}

TEST_F(StagesTest, AnEvaluationHearsBetweenBatchesThatItIsToStop) {
  torch::NoGradGuard no_grad;
  for (const auto& [name, tensor] : state_.network->tensors()) {
    if (tensor.dim() == 4 && name != "conv1.weight") tensor.zero_();  // takes no time to compress
  }
  v1::QuantizeOptions& options = *spec_.mutable_recipe()->mutable_quantize();
  options.set_weights(v1::WEIGHT_TYPE_INT8);
  options.set_calibration_images(16);
  spec_ = WithDefaults(spec_);
  ASSERT_TRUE(MakePublishParentStage()->Run(state_, stage_context_).ok());
  ASSERT_TRUE(MakeQuantizeStage(spec_.recipe().quantize())->Run(state_, stage_context_).ok());
  ASSERT_TRUE(MakePackageStage()->Run(state_, stage_context_).ok());
  const std::unique_ptr<Stage> stage = MakeEvaluateStage(spec_.recipe().quantize());
  std::vector<double> shares;
  size_t stop_at = 1000;
  stage_context_.progress = [&](double share, const v1::Progress&) {
    shares.push_back(share);
    return shares.size() < stop_at ? absl::OkStatus() : absl::CancelledError("stop");
  };
  const auto whole = stage->Run(state_, stage_context_);
  ASSERT_TRUE(whole.ok()) << whole.status();
  // Two splits and the weights alone, in two batches each at least, and the timings.
  ASSERT_GE(shares.size(), 40u);
  EXPECT_TRUE(std::is_sorted(shares.begin(), shares.end()));
  EXPECT_NEAR(shares.back(), 1, 1e-9);
  for (const size_t at : {size_t{1}, size_t{3}, size_t{5}, shares.size()}) {
    shares.clear();
    stop_at = at;
    EXPECT_TRUE(absl::IsCancelled(stage->Run(state_, stage_context_).status())) << at;
    EXPECT_EQ(shares.size(), at);
  }
}

}  // namespace
}  // namespace cytopress
