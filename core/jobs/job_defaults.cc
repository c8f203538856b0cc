#include "core/jobs/job_defaults.h"

#include "core/artifact/weight_type.h"
#include "core/jobs/recipes.h"

namespace cytopress {
namespace {

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

}  // namespace cytopress
