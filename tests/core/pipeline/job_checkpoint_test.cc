#include "core/pipeline/job_checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/core/compression/test_data.h"

namespace cytopress {
namespace {

using ::testing::HasSubstr;

class JobCheckpointTest : public ::testing::Test {
 protected:
  JobCheckpointTest() { spec_.mutable_dataset()->set_uri("/data/spots.npz"); }

  // As the load stage leaves it.
  PipelineState Loaded(uint64_t seed) const {
    PipelineState state(spec_, context_, torch::kCPU);
    state.dataset = SpotDataset();
    state.network = std::make_unique<TorchNetwork>(SmallNetwork("resnet20", seed));
    state.parent.name = "base@1";
    state.ledger.emplace_back().set_stage("load");
    return state;
  }

  // As a job is in the middle of its stages; no two numbers are the same.
  PipelineState Working() const {
    PipelineState state = Loaded(1);
    state.masks = MagnitudeMasks(*state.network, {}, 0.5);
    state.frozen_grids["conv1.weight"] = {{0.5f, 0.25f}, 16, {1, 7}};
    state.frozen_grids["fc.weight"] = {{0.125f}, 0, {}};
    state.parent.published = state.parent.name = "tiny-dense@3";
    state.published = "tiny-s50-int8@4";
    state.parent.score = {0.97, 0.998, 5, 0.3, 0.2, 6, {{40, 41}, {22, 23}}};
    state.goal = {absl::Seconds(12.5), absl::Seconds(3.5), size_t{7}, 1234, 2};
    state.ledger[0].set_note("of the first attempt");
    state.ledger.emplace_back().set_stage("train");
    return state;
  }

  v1::JobSpec spec_;
  PipelineContext context_;
};

TEST_F(JobCheckpointTest, EveryFieldSurvives) {
  const PipelineState put = Working();
  TensorTable table;
  PutState(9, put, table);
  PipelineState taken = Loaded(2);
  const absl::StatusOr<size_t> next = TakeState(table, taken);
  ASSERT_TRUE(next.ok()) << next.status();
  EXPECT_EQ(*next, 9u);
  for (const auto& [name, tensor] : put.network->tensors()) {
    EXPECT_TRUE(taken.network->tensors().at(name).equal(tensor)) << name;
  }
  ASSERT_EQ(taken.masks.size(), put.masks.size());
  for (const auto& [name, mask] : put.masks) EXPECT_TRUE(taken.masks.at(name).equal(mask)) << name;
  ASSERT_EQ(taken.frozen_grids.size(), 2u);
  for (const auto& [name, grid] : put.frozen_grids) {
    EXPECT_EQ(taken.frozen_grids.at(name).scales, grid.scales) << name;
    EXPECT_EQ(taken.frozen_grids.at(name).group_size, grid.group_size) << name;
    EXPECT_EQ(taken.frozen_grids.at(name).multipliers, grid.multipliers) << name;
  }
  EXPECT_EQ(taken.parent.name, "tiny-dense@3");
  EXPECT_EQ(taken.parent.published, "tiny-dense@3");
  EXPECT_EQ(taken.published, "tiny-s50-int8@4");
  EXPECT_EQ(taken.parent.score.accuracy, 0.97);
  EXPECT_EQ(taken.parent.score.auc, 0.998);
  EXPECT_EQ(taken.parent.score.answer, 5);
  EXPECT_EQ(taken.parent.score.answer_share, 0.3);
  EXPECT_EQ(taken.parent.score.class_share, 0.2);
  EXPECT_EQ(taken.parent.score.missed, 6);
  ASSERT_EQ(taken.parent.score.by_class.size(), 2u);
  EXPECT_EQ(taken.parent.score.by_class[0].right, 40);
  EXPECT_EQ(taken.parent.score.by_class[0].images, 41);
  EXPECT_EQ(taken.parent.score.by_class[1].right, 22);
  EXPECT_EQ(taken.parent.score.by_class[1].images, 23);
  EXPECT_EQ(taken.goal.spent, absl::Seconds(12.5));
  EXPECT_EQ(taken.goal.longest_try, absl::Seconds(3.5));
  EXPECT_EQ(taken.goal.out_of_time_at, 7u);
  EXPECT_EQ(taken.goal.least_bytes, 1234);
  EXPECT_EQ(taken.goal.epochs, 2);
  ASSERT_EQ(taken.ledger.size(), 2u);
  EXPECT_EQ(taken.ledger[0].note(), "of the first attempt");
  EXPECT_EQ(taken.ledger[1].stage(), "train");
}

TEST_F(JobCheckpointTest, AJobThatHasNotGotFarKeepsItsParent) {
  const PipelineState put = Loaded(1);
  TensorTable table;
  PutState(1, put, table);
  PipelineState taken = Loaded(2);
  ASSERT_TRUE(TakeState(table, taken).ok());
  EXPECT_EQ(taken.parent.name, "base@1");
  EXPECT_EQ(taken.published, "");
  EXPECT_TRUE(taken.masks.empty());
  EXPECT_FALSE(taken.goal.out_of_time_at.has_value());
}

TEST_F(JobCheckpointTest, ACheckpointOfAnEarlierReleaseHasTheRecipesEpochs) {
  const PipelineState put = Working();
  TensorTable table;
  PutState(9, put, table);
  ASSERT_EQ(table.erase("goal_epochs"), 1u);
  PipelineState taken = Loaded(2);
  const absl::StatusOr<size_t> next = TakeState(table, taken);
  ASSERT_TRUE(next.ok()) << next.status();
  EXPECT_EQ(taken.goal.epochs, 0);
  EXPECT_EQ(taken.goal.least_bytes, 1234);
}

TEST_F(JobCheckpointTest, ACheckpointOfAnEarlierReleaseKnowsNothingOfClasses) {
  const PipelineState put = Working();
  TensorTable table;
  PutState(9, put, table);
  ASSERT_EQ(table.erase("dense_classes"), 1u);
  PipelineState taken = Loaded(2);
  const absl::StatusOr<size_t> next = TakeState(table, taken);
  ASSERT_TRUE(next.ok()) << next.status();
  EXPECT_TRUE(taken.parent.score.by_class.empty());
  EXPECT_EQ(taken.parent.score.accuracy, 0.97);
}

TEST_F(JobCheckpointTest, ClassesHaveTwoNumbersEach) {
  const PipelineState put = Working();
  for (const torch::Tensor& damaged :
       {torch::zeros({3}, torch::kInt64), torch::zeros({4}, torch::kInt16)}) {
    TensorTable table;
    PutState(9, put, table);
    table["dense_classes"] = damaged;
    PipelineState taken = Loaded(2);
    const absl::Status status = TakeState(table, taken).status();
    EXPECT_TRUE(absl::IsDataLoss(status)) << status;
    EXPECT_THAT(status.message(), HasSubstr("dense_classes"));
  }
}

TEST_F(JobCheckpointTest, DamageIsNamedAndLeavesTheStateAlone) {
  const PipelineState put = Working();
  for (const char* key : {"stage", "dataset", "dense", "goal", "published", "published_parent",
                          "network/fc.bias", "group_size/fc.weight", "multipliers/conv1.weight"}) {
    for (const bool missing : {true, false}) {
      TensorTable table;
      PutState(9, put, table);
      table[key] = torch::zeros({3, 1}, torch::kInt16);
      if (missing) table.erase(key);
      PipelineState taken = Loaded(2);
      const torch::Tensor before = taken.network->tensors().at("conv1.weight").clone();
      const absl::Status status = TakeState(table, taken).status();
      EXPECT_TRUE(absl::IsDataLoss(status)) << key << ": " << status;
      EXPECT_THAT(status.message(), HasSubstr(key));
      EXPECT_EQ(taken.parent.name, "base@1") << key;
      EXPECT_TRUE(taken.masks.empty() && taken.frozen_grids.empty()) << key;
      EXPECT_TRUE(taken.network->tensors().at("conv1.weight").equal(before)) << key;
    }
  }
}

TEST_F(JobCheckpointTest, AStageWithinAStageKeepsItsMasksAndGrids) {
  const PipelineState put = Working();
  TensorTable table;
  PutNested("origin", put, table);
  PipelineState taken = Loaded(2);
  EXPECT_TRUE(absl::IsDataLoss(TakeNested("another", table, taken)));
  EXPECT_TRUE(taken.masks.empty() && taken.frozen_grids.empty());
  const absl::Status status = TakeNested("origin", table, taken);
  ASSERT_TRUE(status.ok()) << status;
  ASSERT_EQ(taken.masks.size(), put.masks.size());
  for (const auto& [name, mask] : put.masks) EXPECT_TRUE(taken.masks.at(name).equal(mask)) << name;
  ASSERT_EQ(taken.frozen_grids.size(), 2u);
  EXPECT_EQ(taken.frozen_grids.at("conv1.weight").scales, std::vector<float>({0.5f, 0.25f}));
  EXPECT_TRUE(absl::IsDataLoss(TakeNested("origin", {}, taken)));
}

TEST_F(JobCheckpointTest, AnOriginIsThatOfOnePlanForOneNetworkAndItsData) {
  PipelineState state = Loaded(1);
  const std::string origin = NestedOrigin("try 1", state);
  EXPECT_EQ(NestedOrigin("try 1", Loaded(1)), origin);
  EXPECT_NE(NestedOrigin("try 2", state), origin);
  EXPECT_NE(NestedOrigin("try 1", Loaded(2)), origin);
  state.try_plan = "conv1 0.5";
  EXPECT_NE(NestedOrigin("try 1", state), origin);
  state.try_plan = "";
  state.dataset.content_hash = "others";
  EXPECT_NE(NestedOrigin("try 1", state), origin);
}

TEST_F(JobCheckpointTest, OtherDataAreRefused) {
  const PipelineState put = Working();
  TensorTable table;
  PutState(9, put, table);
  PipelineState taken = Loaded(2);
  taken.dataset.content_hash = "others";
  const absl::Status status = TakeState(table, taken).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(status.message(), HasSubstr("/data/spots.npz have changed"));
}

}  // namespace
}  // namespace cytopress
