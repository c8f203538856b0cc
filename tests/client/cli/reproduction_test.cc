#include "client/cli/reproduction.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <vector>

#include "core/jobs/recipes.h"

namespace cytopress {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

v1::Model Made(const std::string& name) {
  v1::Model model;
  model.set_name(name);
  model.set_version(2);
  model.set_weights(v1::WEIGHT_TYPE_INT8);
  v1::Provenance* provenance = model.mutable_provenance();
  provenance->set_dataset_hash("abcd");
  provenance->set_processor("A processor");
  provenance->set_threads(2);
  (*provenance->mutable_versions())["libtorch"] = "1.13.0";
  v1::JobSpec* spec = provenance->mutable_spec();
  spec->set_model_name("blood");
  spec->mutable_dataset()->set_uri("blood.npz");
  *spec->mutable_recipe() = *NamedRecipe("paper");
  spec->mutable_recipe()->set_seed(7);
  for (const char* split : {"val", "test"}) {
    v1::Evaluation* evaluation = model.add_evaluations();
    evaluation->set_split(split);
    evaluation->set_accuracy(0.97);
    evaluation->set_auc(0.998);
    evaluation->set_right("\x07");
  }
  return model;
}

StoredModel Stored() {
  StoredModel stored;
  stored.model = Made("blood");
  StoredTensor tensor;
  tensor.shape = {1, 3};
  tensor.integers = {1, 0, -3};
  tensor.scales = {0.5f};
  tensor.encoding = Encoding::kInt8;
  stored.artifact.tensors = {{"conv1.weight", tensor}, {"fc.weight", tensor}};
  stored.artifact.activation_ranges = {{"input", 1.0f}};
  return stored;
}

TEST(PlanReproduction, RunsTheSameRecipeOnTheSameParent) {
  v1::Model model = Made("blood");
  model.mutable_provenance()->mutable_spec()->set_base_model("parent");
  model.mutable_provenance()->set_parent("parent@3");
  const absl::StatusOr<Reproduction> plan = PlanReproduction(model, "again");
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->model_name, "again");
  EXPECT_EQ(plan->spec.model_name(), "again");
  EXPECT_EQ(plan->spec.base_model(), "parent@3");  // not the newest
  EXPECT_EQ(plan->spec.recipe().seed(), 7);
  EXPECT_DOUBLE_EQ(plan->spec.recipe().prune().sparsity(), 0.5);
}

TEST(PlanReproduction, OfASweepOnlyWhatTheModelWasMadeFrom) {
  v1::Model model = Made("blood-s50-int8");
  v1::Sweep* sweep = model.mutable_provenance()->mutable_spec()->mutable_sweep();
  for (const double sparsity : {0.8, 0.0, 0.5, 0.2}) sweep->add_sparsities(sparsity);
  sweep->add_weights(v1::WEIGHT_TYPE_INT8);
  sweep->add_weights(v1::WEIGHT_TYPE_INT4);
  absl::StatusOr<Reproduction> plan = PlanReproduction(model, "again");
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->model_name, "again-s50-int8");
  EXPECT_THAT(plan->spec.sweep().sparsities(), ElementsAre(0.5, 0.2));
  EXPECT_THAT(plan->spec.sweep().weights(), ElementsAre(v1::WEIGHT_TYPE_INT8));
  sweep->set_from_dense(true);
  plan = PlanReproduction(model, "again");
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_THAT(plan->spec.sweep().sparsities(), ElementsAre(0.5));
  model.set_name("blood-s70-int8");
  EXPECT_EQ(PlanReproduction(model, "again").status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST(PlanReproduction, OfADenseParentOnlyTheTraining) {
  v1::Model model = Made("blood-dense");
  model.set_weights(v1::WEIGHT_TYPE_FP16);
  model.mutable_provenance()->mutable_spec()->mutable_sweep()->add_sparsities(0.5);
  const absl::StatusOr<Reproduction> plan = PlanReproduction(model, "again");
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_TRUE(plan->spec.recipe().has_train());
  EXPECT_FALSE(plan->spec.recipe().has_prune());
  EXPECT_FALSE(plan->spec.recipe().has_finetune());
  EXPECT_FALSE(plan->spec.has_sweep());
  EXPECT_EQ(plan->spec.recipe().quantize().weights(), v1::WEIGHT_TYPE_FP16);
}

TEST(PlanReproduction, OfAGoalsDenseParentOnlyTheTraining) {
  v1::Model model = Made("blood-dense");
  model.set_weights(v1::WEIGHT_TYPE_FP16);
  model.mutable_provenance()->mutable_spec()->mutable_goal()->set_max_bytes(1000000);
  const absl::StatusOr<Reproduction> plan = PlanReproduction(model, "again");
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->model_name, "again");
  EXPECT_FALSE(plan->spec.has_goal());
  EXPECT_EQ(plan->spec.recipe().quantize().weights(), v1::WEIGHT_TYPE_FP16);
}

TEST(PlanReproduction, OfAGoalsTryTheTriesUpToIt) {
  v1::Model model = Made("blood-try2");
  v1::Goal* goal = model.mutable_provenance()->mutable_spec()->mutable_goal();
  goal->set_max_bytes(1000000);
  goal->set_max_tries(6);
  goal->set_time_budget_seconds(60);
  absl::StatusOr<Reproduction> plan = PlanReproduction(model, "again");
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->model_name, "again-try2");
  EXPECT_TRUE(plan->job_may_fail);
  EXPECT_EQ(plan->spec.model_name(), "again");
  EXPECT_EQ(plan->spec.goal().max_tries(), 2);
  EXPECT_EQ(plan->spec.goal().max_bytes(), 1000000);
  EXPECT_EQ(plan->spec.goal().time_budget_seconds(), 0);
  model.set_name("blood");
  plan = PlanReproduction(model, "again");
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->model_name, "again");
  EXPECT_FALSE(plan->job_may_fail);
  EXPECT_EQ(plan->spec.goal().max_tries(), 6);
}

TEST(PlanReproduction, NeedsAReceipt) {
  v1::Model model = Made("blood");
  model.mutable_provenance()->clear_dataset_hash();
  EXPECT_EQ(PlanReproduction(model, "again").status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST(CompareModels, IsEqualWhenEveryBitIs) {
  const ComparedModels compared = CompareModels(Stored(), Stored(), 0.01);
  EXPECT_TRUE(compared.equal);
  EXPECT_TRUE(compared.same_bits);
  for (const ComparedItem& item : compared.items) EXPECT_TRUE(item.same) << item.name;
}

TEST(CompareModels, NamesTheTensorThatDiffers) {
  StoredModel other = Stored();
  other.artifact.tensors["fc.weight"].integers[1] = 1;
  const ComparedModels compared = CompareModels(Stored(), other, 0.01);
  EXPECT_FALSE(compared.equal);
  EXPECT_FALSE(compared.same_bits);
  EXPECT_TRUE(compared.same_environment);
  std::string tensors;
  for (const ComparedItem& item : compared.items) {
    if (item.name == "tensors") tensors = item.reproduced;
  }
  EXPECT_EQ(tensors, "1 of 2 the same; not: fc.weight");
}

TEST(CompareModels, EveryPartOfATensorCounts) {
  for (const auto& change : std::vector<std::function<void(StoredTensor*)>>{
           [](StoredTensor* t) { t->encoding = Encoding::kInt4; },
           [](StoredTensor* t) {
             t->shape = {3, 1};
           },
           [](StoredTensor* t) { t->floats = {1}; }, [](StoredTensor* t) { t->integers[2] = 3; },
           [](StoredTensor* t) { t->scales = {0.25f}; }, [](StoredTensor* t) { t->group_size = 2; },
           [](StoredTensor* t) { t->multipliers = {2}; }}) {
    StoredModel other = Stored();
    change(&other.artifact.tensors["fc.weight"]);
    EXPECT_FALSE(CompareModels(Stored(), other, 0.01).same_bits);
  }
  StoredModel more = Stored();
  more.artifact.tensors["fc.bias"] = StoredTensor();
  EXPECT_FALSE(CompareModels(Stored(), more, 0.01).same_bits);
  EXPECT_FALSE(CompareModels(more, Stored(), 0.01).same_bits);
}

TEST(CompareModels, ProcessorDeviceAndThreadsMakeAnotherEnvironment) {
  for (const auto& change : std::vector<std::function<void(v1::Provenance*)>>{
           [](v1::Provenance* p) { p->set_processor("Another"); },
           [](v1::Provenance* p) { p->set_device("cuda:0"); },
           [](v1::Provenance* p) { p->set_threads(4); },
           [](v1::Provenance* p) { (*p->mutable_versions())["onednn"] = "2.7"; }}) {
    StoredModel other = Stored();
    change(other.model.mutable_provenance());
    const ComparedModels compared = CompareModels(Stored(), other, 0.01);
    EXPECT_FALSE(compared.same_environment);
    EXPECT_TRUE(compared.same_bits);
    EXPECT_TRUE(compared.equal);
  }
}

TEST(CompareModels, GpusNeedNotGiveTheSameBits) {
  StoredModel original = Stored(), other = Stored();
  other.artifact.tensors["fc.weight"].integers[1] = 1;
  for (StoredModel* model : {&original, &other}) {
    model->model.mutable_provenance()->set_device("cuda:0");
  }
  const ComparedModels compared = CompareModels(original, other, 0.01);
  EXPECT_FALSE(compared.same_environment);
  EXPECT_TRUE(compared.equal);
  EXPECT_THAT(compared.verdict, HasSubstr("GPUs add up in any order"));
}

TEST(CompareModels, NoticesWhatOnlyTheScoresShow) {
  StoredModel other = Stored();
  other.model.mutable_evaluations(1)->set_right("\x0b");
  EXPECT_FALSE(CompareModels(Stored(), other, 0.01).equal);
  other = Stored();
  other.model.mutable_evaluations(1)->add_confusion(1);
  EXPECT_FALSE(CompareModels(Stored(), other, 0.01).equal);
  other = Stored();
  other.model.mutable_evaluations(0)->set_accuracy(0.971);
  EXPECT_FALSE(CompareModels(Stored(), other, 0.01).equal);
  other = Stored();
  other.model.mutable_evaluations(1)->set_auc(0.997);
  EXPECT_FALSE(CompareModels(Stored(), other, 0.01).equal);
  other = Stored();
  other.artifact.activation_ranges["input"] = 2;
  EXPECT_FALSE(CompareModels(Stored(), other, 0.01).equal);
}

TEST(CompareModels, ComparesScoresWhenTheEnvironmentsDiffer) {
  StoredModel other = Stored();
  other.artifact.tensors["fc.weight"].integers[1] = 1;
  (*other.model.mutable_provenance()->mutable_versions())["libtorch"] = "2.1.0";
  other.model.mutable_evaluations(1)->set_accuracy(0.965);
  ComparedModels compared = CompareModels(Stored(), other, 0.01);
  EXPECT_FALSE(compared.same_environment);
  EXPECT_TRUE(compared.equal);
  EXPECT_THAT(compared.verdict, HasSubstr("0.005000, within the tolerance of 0.01"));
  EXPECT_TRUE(CompareModels(Stored(), other, 0.005).equal);
  compared = CompareModels(Stored(), other, 0.004);
  EXPECT_FALSE(compared.equal);
  other.model.mutable_evaluations(1)->set_auc(0.99);
  compared = CompareModels(Stored(), other, 0.005);
  EXPECT_FALSE(compared.equal);
  EXPECT_THAT(compared.verdict, HasSubstr("0.008000, beyond the tolerance of 0.005"));
}

TEST(CompareModels, TwoWithoutAnAucAreTheSame) {
  StoredModel a = Stored(), b = Stored();
  a.model.mutable_evaluations(1)->set_auc(std::nan(""));
  b.model.mutable_evaluations(1)->set_auc(std::nan(""));
  EXPECT_TRUE(CompareModels(a, b, 0.01).same_bits);
  b.model.mutable_evaluations(1)->set_auc(0.998);
  b.model.mutable_provenance()->set_threads(1);
  EXPECT_FALSE(CompareModels(a, b, 0.01).equal) << "only one has an AUC";
}

TEST(CompareModels, WhatMeasuredTimesDecidedNeedNotComeAgain) {
  StoredModel original = Stored(), other = Stored();
  other.artifact.tensors["fc.weight"].integers[1] = 1;
  v1::Goal* goal = original.model.mutable_provenance()->mutable_spec()->mutable_goal();
  EXPECT_THAT(CompareModels(original, other, 0.01).verdict, HasSubstr("every bit should be"));
  goal->set_time_budget_seconds(60);
  EXPECT_THAT(CompareModels(original, other, 0.01).verdict, HasSubstr("measured times"));
  EXPECT_FALSE(CompareModels(original, other, 0.01).equal);
  original.model.set_name("blood-try2");  // made again without the budget
  EXPECT_THAT(CompareModels(original, other, 0.01).verdict, HasSubstr("every bit should be"));
  goal->set_max_latency_ms(5);
  EXPECT_THAT(CompareModels(original, other, 0.01).verdict, HasSubstr("measured times"));
  original.model.set_name("blood-dense");  // made before any time was measured
  EXPECT_THAT(CompareModels(original, other, 0.01).verdict, HasSubstr("every bit should be"));
}

TEST(CompareModels, RefusesOtherData) {
  StoredModel other = Stored();
  other.model.mutable_provenance()->set_dataset_hash("ffff");
  const ComparedModels compared = CompareModels(Stored(), other, 0.01);
  EXPECT_FALSE(compared.equal);
  EXPECT_THAT(compared.verdict, HasSubstr("different data"));
}

}  // namespace
}  // namespace cytopress
