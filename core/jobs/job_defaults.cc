// What an absent field of a specification stands for, and the recipes that have a name.

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "core/artifact/weight_type.h"
#include "core/jobs/job_spec.h"

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

// Everything that is known to keep the accuracy: weights go gradually and are made up for at a high
// learning rate and with the dense model's answers, ranges are clipped where the error is smallest,
// rounding errors compensate each other, statistics are measured again, and confidences are
// calibrated.
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

template <typename T>
T Or(T value, T fallback) {
  return value == T{} ? fallback : value;
}

void FillTraining(int epochs, double learning_rate, v1::TrainOptions* options) {
  options->set_epochs(Or(options->epochs(), epochs));
  options->set_batch_size(Or(options->batch_size(), 128));
  options->set_learning_rate(Or(options->learning_rate(), learning_rate));
  if (!options->has_warmup_fraction()) options->set_warmup_fraction(0.1);
  if (!options->has_momentum()) options->set_momentum(0.9);
  if (!options->has_weight_decay()) options->set_weight_decay(5e-4);
  if (!options->has_label_smoothing()) options->set_label_smoothing(0.1);
  if (!options->has_shift_pixels()) options->set_shift_pixels(2);
  options->set_distillation_temperature(Or(options->distillation_temperature(), 2.0));
  if (options->precision().empty()) options->set_precision("auto");
}

void FillPruning(v1::PruneOptions* options) {
  options->set_method(Or(options->method(), v1::PRUNE_METHOD_GLOBAL_MAGNITUDE));
  options->set_pattern(Or(options->pattern(), v1::PRUNE_PATTERN_UNSTRUCTURED));
  if (options->pattern() == v1::PRUNE_PATTERN_TWO_OF_FOUR) {
    options->set_sparsity(Or(options->sparsity(), 0.5));
  }
}

void FillQuantization(v1::QuantizeOptions* options) {
  options->set_weights(Or(options->weights(), v1::WEIGHT_TYPE_FP16));
  options->set_calibration_images(Or(options->calibration_images(), 512));
  options->set_activation_percentile(Or(options->activation_percentile(), 99.99));
  options->set_weight_range(Or(options->weight_range(), v1::RANGE_METHOD_MIN_MAX));
  options->set_weight_percentile(Or(options->weight_percentile(), 99.9));
  options->set_activation_range(Or(options->activation_range(), v1::RANGE_METHOD_PERCENTILE));
  options->set_rounding(Or(options->rounding(), v1::ROUNDING_NEAREST));
  if (options->has_aware()) FillTraining(2, 0.005, options->mutable_aware());
}

// A goal says what to keep to; how to keep the accuracy is the lossless recipe's, unless said.
void FillGoal(v1::Goal* goal, v1::Recipe* recipe) {
  goal->set_max_accuracy_drop(Or(goal->max_accuracy_drop(), 0.005));
  goal->set_max_tries(Or(goal->max_tries(), 6));
  const v1::Recipe lossless = LosslessRecipe();
  recipe->set_max_accuracy_drop(goal->max_accuracy_drop());
  // A policy that only reports would let every try count as accurate.
  if (recipe->on_collapse() == v1::COLLAPSE_POLICY_REPORT) {
    recipe->set_on_collapse(v1::COLLAPSE_POLICY_MEND);
  }
  if (!recipe->prune().has_gradual_fraction()) {
    recipe->mutable_prune()->set_gradual_fraction(lossless.prune().gradual_fraction());
  }
  if (!recipe->has_finetune()) *recipe->mutable_finetune() = lossless.finetune();
  if (!recipe->has_quantize()) *recipe->mutable_quantize() = lossless.quantize();
  recipe->mutable_quantize()->set_weights(v1::WEIGHT_TYPE_INT4);  // what a layer has by default
}

}  // namespace

v1::JobSpec WithDefaults(v1::JobSpec spec) {
  v1::Recipe* recipe = spec.mutable_recipe();
  if (recipe->name().empty()) recipe->set_name("custom");
  if (spec.base_model().empty()) {
    v1::NetworkSpec* network = spec.mutable_network();
    if (network->architecture().empty()) network->set_architecture("resnet50");
    if (network->stem() == v1::STEM_UNSPECIFIED) network->set_stem(v1::STEM_IMAGENET);
    FillTraining(12, 0.05, recipe->mutable_train());
  } else {
    const v1::Stem stem = spec.network().stem();
    spec.clear_network();
    if (stem != v1::STEM_UNSPECIFIED) spec.mutable_network()->set_stem(stem);
    recipe->clear_train();
  }
  if (spec.has_goal()) FillGoal(spec.mutable_goal(), recipe);
  if (recipe->has_prune()) FillPruning(recipe->mutable_prune());
  recipe->set_on_collapse(Or(recipe->on_collapse(), v1::COLLAPSE_POLICY_MEND));
  if (recipe->has_finetune()) FillTraining(4, 0.02, recipe->mutable_finetune());
  FillQuantization(recipe->mutable_quantize());
  return spec;
}

bool PublishesParent(const v1::JobSpec& spec) {
  if (!spec.base_model().empty()) return false;
  const v1::Recipe& recipe = spec.recipe();
  const v1::WeightType weights = recipe.quantize().weights();
  return spec.has_sweep() || spec.has_goal() || recipe.prune().sparsity() > 0 ||
         recipe.finetune().distillation() > 0 || IsInteger(weights);
}

std::string ParentModelName(const std::string& model_name) {
  return absl::StrCat(model_name, "-dense");
}

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

std::string SweepModelName(const std::string& model_name, double sparsity, v1::WeightType weights) {
  return absl::StrFormat("%s-s%g-%s", model_name, 100 * sparsity, WeightTypeName(weights));
}

std::string GoalTryName(const std::string& model_name, int number) {
  return absl::StrCat(model_name, "-try", number);
}

std::optional<int> GoalTryNumber(absl::string_view name, const std::string& model_name) {
  int number = 0;
  if (!absl::ConsumePrefix(&name, absl::StrCat(model_name, "-try")) ||
      !absl::SimpleAtoi(name, &number) || number < 1) {
    return std::nullopt;
  }
  return number;
}

std::vector<std::string> RecipeNames() {
  std::vector<std::string> names;
  for (const Named& named : kRecipes) names.push_back(named.name);
  return names;
}

}  // namespace cytopress
