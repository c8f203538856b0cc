#include "core/jobs/recipes.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace cytopress {
namespace {

// The recipe of the paper that cytopress follows: half of all prunable weights are removed by
// global magnitude, what is left is fine-tuned at a small rate, then stored in 8 bits, or in 4 from
// the least weight to the largest. Where that breaks a model, or costs it five points, the ledger
// says so and the model is published: this recipe is there to compare with.
v1::Recipe PaperRecipe() {
  v1::Recipe recipe;
  recipe.mutable_train()->set_epochs(12);
  recipe.mutable_prune()->set_sparsity(0.5);
  recipe.mutable_finetune()->set_epochs(4);
  recipe.mutable_finetune()->set_learning_rate(0.005);
  recipe.mutable_quantize()->set_weights(v1::WEIGHT_TYPE_INT8);
  recipe.mutable_quantize()->set_weight_range(v1::RANGE_METHOD_ASYMMETRIC);
  recipe.set_max_accuracy_drop(0.05);
  recipe.set_on_collapse(v1::COLLAPSE_POLICY_REPORT);
  return recipe;
}

// The same stages in minutes on two cores: to see everything happen, not for the best accuracy.
v1::Recipe QuickRecipe() {
  v1::Recipe recipe = PaperRecipe();
  recipe.mutable_train()->set_epochs(3);
  recipe.mutable_finetune()->set_epochs(1);
  recipe.mutable_quantize()->clear_weight_range();
  recipe.clear_max_accuracy_drop();
  return recipe;
}

// Long training and nothing removed: a base model to compress later, or to compare with.
v1::Recipe DenseRecipe() {
  v1::Recipe recipe;
  recipe.mutable_train()->set_epochs(30);
  recipe.mutable_quantize()->set_weights(v1::WEIGHT_TYPE_FP16);
  return recipe;
}

struct Named {
  const char* name;
  v1::Recipe (*make)();
};

constexpr Named kRecipes[] = {
    {"paper", PaperRecipe},
    {"lossless", LosslessRecipe},
    {"quick", QuickRecipe},
    {"dense", DenseRecipe},
};

}  // namespace

absl::StatusOr<v1::Recipe> NamedRecipe(absl::string_view name) {
  for (const Named& named : kRecipes) {
    if (named.name != name) continue;
    v1::Recipe recipe = named.make();
    recipe.set_name(named.name);
    return recipe;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("no recipe \"", name, "\"; there are ", absl::StrJoin(RecipeNames(), ", ")));
}

std::vector<std::string> RecipeNames() {
  std::vector<std::string> names;
  for (const Named& named : kRecipes) names.push_back(named.name);
  return names;
}

v1::Recipe LosslessRecipe() {
  v1::Recipe recipe;
  recipe.mutable_train()->set_epochs(30);
  recipe.mutable_train()->set_batch_size(64);
  recipe.mutable_prune()->set_sparsity(0.8);
  recipe.mutable_prune()->set_gradual_fraction(0.4);
  v1::TrainOptions* finetune = recipe.mutable_finetune();
  finetune->set_epochs(8);
  finetune->set_batch_size(64);
  finetune->set_learning_rate(0.02);
  finetune->set_weight_decay(-1);
  finetune->set_distillation(0.5);
  v1::QuantizeOptions* quantize = recipe.mutable_quantize();
  quantize->set_weights(v1::WEIGHT_TYPE_INT8);
  quantize->set_weight_range(v1::RANGE_METHOD_MSE);
  quantize->set_rounding(v1::ROUNDING_GPTQ);
  quantize->set_reestimate_batch_norm(true);
  quantize->set_reduced_range(true);
  quantize->set_temperature_scaling(true);
  recipe.set_max_accuracy_drop(0.02);
  recipe.set_on_collapse(v1::COLLAPSE_POLICY_MEND);
  return recipe;
}

}  // namespace cytopress
