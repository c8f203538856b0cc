#include "core/pipeline/mending.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/core/compression/test_data.h"

namespace cytopress {
namespace {

using ::testing::HasSubstr;

StageOutcome Outcome(const std::string& note, double accuracy, double answer_share) {
  StageOutcome outcome;
  outcome.note = note;
  outcome.score.emplace();
  outcome.score->accuracy = accuracy;
  outcome.score->answer_share = answer_share;
  return outcome;
}

// What tells networks apart.
void SetBias(const PipelineState& state, float value) {
  torch::NoGradGuard no_grad;
  torch::Tensor bias = state.network->tensors().at("fc.bias");
  bias.fill_(value);
}

float BiasOf(const PipelineState& state) {
  return state.network->Export().at("fc.bias").values.front();
}

// Has what comes of each of its remedies. They set the network's bias to their number, from 1.
class FakeStage : public Stage {
 public:
  v1::StageKind kind() const override { return v1::STAGE_KIND_QUANTIZE; }
  std::string name() const override { return "fake"; }
  double Cost(const PipelineState&) const override { return 1; }
  absl::StatusOr<StageOutcome> Run(PipelineState&, StageContext&) override {
    return absl::UnimplementedError("not to be run");
  }
  absl::StatusOr<std::optional<StageOutcome>> Mend(PipelineState& state, StageContext&,
                                                   int attempt) override {
    attempts.push_back(attempt);
    if (attempt >= static_cast<int>(remedies.size())) return std::nullopt;
    if (state.network != nullptr) SetBias(state, static_cast<float>(attempt + 1));
    return std::optional<StageOutcome>(remedies[attempt]);
  }
  absl::Status CheckInvariant(const PipelineState&) const override { return invariant; }

  std::vector<StageOutcome> remedies;
  std::vector<int> attempts;
  absl::Status invariant;
};

class MendingTest : public testing::Test {
 protected:
  MendingTest() {
    state_.dataset.class_names = {"basophil", "eosinophil"};
    state_.parent.score.accuracy = 0.97;
    state_.parent.score.answer_share = 0.3;
  }

  absl::StatusOr<std::optional<Finding>> Judge(const WhatFollows& following = {}) {
    return JudgeAndMend(stage_, state_, stage_context_, following, outcome_);
  }

  v1::JobSpec spec_;
  PipelineContext context_;
  PipelineState state_{spec_, context_, torch::kCPU};
  StageContext stage_context_;
  FakeStage stage_;
  StageOutcome outcome_ = Outcome("to the nearest", 0.2, 1);
};

TEST_F(MendingTest, AGoodModelKeepsItsOwnRemark) {
  outcome_ = Outcome("to the nearest", 0.96, 0.3);
  auto remark = Judge();
  ASSERT_TRUE(remark.ok()) << remark.status();
  EXPECT_FALSE(remark->has_value());
  outcome_.remark = Finding{v1::GUARD_VERDICT_LOST_TOO_MUCH, "look here"};
  remark = Judge();
  ASSERT_TRUE(remark.ok()) << remark.status();
  ASSERT_TRUE(remark->has_value());
  EXPECT_EQ((*remark)->text, "look here");
  EXPECT_TRUE(stage_.attempts.empty());
}

TEST_F(MendingTest, TheFirstRemedyThatHelpsIsTheOutcome) {
  stage_.remedies = {Outcome("scales of channels", 0.4, 0.9), Outcome("compensated", 0.95, 0.3),
                     Outcome("never tried", 0.96, 0.3)};
  const auto remark = Judge();
  ASSERT_TRUE(remark.ok()) << remark.status();
  ASSERT_TRUE(remark->has_value());
  EXPECT_EQ((*remark)->verdict, v1::GUARD_VERDICT_MENDED);
  EXPECT_EQ((*remark)->text,
            "collapsed: 100 % of the answers are 'basophil' (validation accuracy 0.2000, 0.7700 "
            "below the dense model); not mended by: scales of channels (collapsed: 90 % of the "
            "answers are 'basophil' (validation accuracy 0.4000, 0.5700 below the dense model)); "
            "mended: compensated");
  EXPECT_EQ(outcome_.note, "compensated");
  EXPECT_EQ(outcome_.score->accuracy, 0.95);
  EXPECT_THAT(stage_.attempts, testing::ElementsAre(0, 1));
}

TEST_F(MendingTest, WithoutARemedyThatHelpsTheModelIsRefused) {
  stage_.remedies = {Outcome("scales of channels", 0.4, 0.9)};
  const absl::Status refused = Judge().status();
  EXPECT_TRUE(IsModelRefused(refused)) << refused;
  EXPECT_THAT(std::string(refused.message()), HasSubstr("after the stage fake: collapsed: 100 %"));
  EXPECT_THAT(std::string(refused.message()), HasSubstr("; not mended by: scales of channels ("));
}

TEST_F(MendingTest, WhereModelsAreJudgedLaterABetterOneStaysWithItsFinding) {
  state_.network = std::make_unique<TorchNetwork>(SmallNetwork("resnet20"));
  spec_.mutable_recipe()->set_max_accuracy_drop(0.01);
  stage_.remedies = {Outcome("scales of channels", 0.9, 0.3)};
  const auto remark = Judge({"", /*judged_later=*/true});
  ASSERT_TRUE(remark.ok()) << remark.status();
  ASSERT_TRUE(remark->has_value());
  EXPECT_EQ((*remark)->verdict, v1::GUARD_VERDICT_LOST_TOO_MUCH) << "not COLLAPSED any more";
  EXPECT_EQ(outcome_.note, "scales of channels");
  EXPECT_EQ(BiasOf(state_), 1) << "that of the first remedy";
}

TEST_F(MendingTest, WhereModelsAreJudgedLaterRemediesThatMakeItWorseAreUndone) {
  state_.network = std::make_unique<TorchNetwork>(SmallNetwork("resnet20"));
  SetBias(state_, 0.5f);
  spec_.mutable_recipe()->set_max_accuracy_drop(0.01);
  outcome_ = Outcome("to the nearest", 0.95, 0.3);
  stage_.remedies = {Outcome("scales of channels", 0.2, 1), Outcome("compensated", 0.94, 0.3)};
  const auto remark = Judge({"", /*judged_later=*/true});
  ASSERT_TRUE(remark.ok()) << remark.status();
  ASSERT_TRUE(remark->has_value());
  EXPECT_EQ((*remark)->verdict, v1::GUARD_VERDICT_LOST_TOO_MUCH);
  EXPECT_THAT((*remark)->text, HasSubstr("; not mended by: compensated (lost too much: "));
  EXPECT_THAT((*remark)->text, HasSubstr("; the most accurate of these is kept"));
  EXPECT_EQ(outcome_.note, "to the nearest");
  EXPECT_EQ(outcome_.score->accuracy, 0.95);
  EXPECT_EQ(BiasOf(state_), 0.5f);
}

TEST_F(MendingTest, NothingIsTriedWhereTrainingFollowsOrOnlyAReportIsWanted) {
  stage_.remedies = {Outcome("scales of channels", 0.96, 0.3)};
  auto remark = Judge({"fine-tune"});
  ASSERT_TRUE(remark.ok()) << remark.status();
  ASSERT_TRUE(remark->has_value());
  EXPECT_EQ((*remark)->verdict, v1::GUARD_VERDICT_TRAINING_FOLLOWS);
  EXPECT_THAT((*remark)->text, HasSubstr("; fine-tune follows"));
  spec_.mutable_recipe()->set_on_collapse(v1::COLLAPSE_POLICY_REPORT);
  remark = Judge();
  ASSERT_TRUE(remark.ok()) << remark.status();
  ASSERT_TRUE(remark->has_value());
  EXPECT_EQ((*remark)->verdict, v1::GUARD_VERDICT_COLLAPSED);
  EXPECT_TRUE(stage_.attempts.empty());
}

TEST_F(MendingTest, ARemedyThatBreaksTheNetworkIsAnError) {
  stage_.remedies = {Outcome("scales of channels", 0.96, 0.3)};
  stage_.invariant = absl::InternalError("a pruned weight is not zero");
  EXPECT_EQ(Judge().status(), stage_.invariant);
}

}  // namespace
}  // namespace cytopress
