#include "client/cli/compress_request.h"

#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "client/cli/recipe_file.h"
#include "client/names.h"
#include "core/base/status_macros.h"
#include "core/dataset/synthetic_uri.h"
#include "core/jobs/recipes.h"

namespace cytopress {
namespace {

void OverrideStages(const CompressFlags& flags, v1::Recipe* recipe) {
  if (flags.finetune_epochs == 0) recipe->clear_finetune();
  if (flags.finetune_epochs.value_or(0) != 0) {
    recipe->mutable_finetune()->set_epochs(*flags.finetune_epochs);
  }
  if (flags.sparsity == 0.0) recipe->clear_prune();
  if (flags.sparsity.value_or(0) != 0) recipe->mutable_prune()->set_sparsity(*flags.sparsity);
}

void OverridePruning(const CompressFlags& flags, v1::Recipe* recipe) {
  if (!flags.prune_method.empty()) {
    recipe->mutable_prune()->set_method(PruneMethodsByName().at(flags.prune_method));
  }
  if (!flags.pattern.empty()) {
    recipe->mutable_prune()->set_pattern(PrunePatternsByName().at(flags.pattern));
  }
  // A preset's gradual pruning and its sparsity do not go with 2:4.
  if (flags.pattern == "2:4") {
    recipe->mutable_prune()->clear_gradual_fraction();
    if (!flags.sparsity.has_value()) recipe->mutable_prune()->clear_sparsity();
  }
  if (flags.gradual.has_value()) recipe->mutable_prune()->set_gradual_fraction(*flags.gradual);
  // What is gradual needs the fine-tuning that the flags left out.
  if (!recipe->has_finetune() && recipe->has_prune() && !flags.gradual.has_value()) {
    recipe->mutable_prune()->clear_gradual_fraction();
  }
}

bool HasGoal(const CompressFlags& flags) {
  return flags.max_bytes.has_value() || flags.max_latency_ms.has_value() ||
         flags.time_budget_seconds.has_value() || flags.max_tries.has_value();
}

void OverrideQuantization(const CompressFlags& flags, v1::Recipe* recipe) {
  v1::QuantizeOptions* quantize = recipe->mutable_quantize();
  if (!flags.weights.empty()) quantize->set_weights(WeightTypesByName().at(flags.weights));
  if (!flags.weight_range.empty()) {
    quantize->set_weight_range(RangeMethodsByName().at(flags.weight_range));
  }
  if (!flags.activation_range.empty()) {
    quantize->set_activation_range(RangeMethodsByName().at(flags.activation_range));
  }
  if (flags.weight_percentile.has_value()) {
    quantize->set_weight_percentile(*flags.weight_percentile);
  }
  if (flags.activation_percentile.has_value()) {
    quantize->set_activation_percentile(*flags.activation_percentile);
  }
  if (!flags.rounding.empty()) quantize->set_rounding(RoundingsByName().at(flags.rounding));
  if (flags.calibration_images.has_value()) {
    quantize->set_calibration_images(*flags.calibration_images);
  }
  if (flags.group_size.has_value()) quantize->set_group_size(*flags.group_size);
  if (flags.per_tensor_scales.has_value()) {
    quantize->set_per_tensor_scales(*flags.per_tensor_scales);
  }
  // A preset's asymmetric range goes with none of these.
  if (flags.weight_range.empty() && quantize->weight_range() == v1::RANGE_METHOD_ASYMMETRIC &&
      (flags.rounding == "gptq" || flags.group_size.value_or(0) > 0 ||
       flags.aware_epochs.value_or(0) > 0 || quantize->per_tensor_scales() ||
       (HasGoal(flags) && flags.recipe_file.empty()))) {
    quantize->clear_weight_range();
  }
  if (flags.aware_epochs == 0) quantize->clear_aware();
  if (flags.aware_epochs.value_or(0) != 0) {
    quantize->mutable_aware()->set_epochs(*flags.aware_epochs);
  }
  if (flags.reestimate_batch_norm.has_value()) {
    recipe->set_reestimate_batch_norm(*flags.reestimate_batch_norm);
    quantize->set_reestimate_batch_norm(*flags.reestimate_batch_norm);
  }
  if (flags.reduced_range.has_value()) quantize->set_reduced_range(*flags.reduced_range);
  if (flags.temperature_scaling.has_value()) {
    quantize->set_temperature_scaling(*flags.temperature_scaling);
  }
}

void OverrideTraining(const CompressFlags& flags, v1::Recipe* recipe) {
  const bool trains = flags.base.empty();
  if (!trains) recipe->clear_train();
  if (flags.epochs.has_value()) recipe->mutable_train()->set_epochs(*flags.epochs);
  if (trains) recipe->mutable_train();
  if (flags.learning_rate.has_value() && (trains || recipe->has_finetune())) {
    (trains ? recipe->mutable_train() : recipe->mutable_finetune())
        ->set_learning_rate(*flags.learning_rate);
  }
  std::vector<v1::TrainOptions*> rounds;
  if (recipe->has_train()) rounds.push_back(recipe->mutable_train());
  if (recipe->has_finetune()) rounds.push_back(recipe->mutable_finetune());
  if (recipe->quantize().has_aware()) {
    rounds.push_back(recipe->mutable_quantize()->mutable_aware());
  }
  for (v1::TrainOptions* round : rounds) {
    if (flags.batch_size.has_value()) round->set_batch_size(*flags.batch_size);
    if (flags.max_images.has_value()) round->set_max_images(*flags.max_images);
    if (flags.ema_decay.has_value()) round->set_ema_decay(*flags.ema_decay);
  }
  if (flags.finetune_learning_rate.has_value() && recipe->has_finetune()) {
    recipe->mutable_finetune()->set_learning_rate(*flags.finetune_learning_rate);
  }
  if (flags.freeze_batch_norm.has_value() && recipe->has_finetune()) {
    recipe->mutable_finetune()->set_freeze_batch_norm(*flags.freeze_batch_norm);
  }
  if (!flags.distillation.has_value()) return;
  if (recipe->has_finetune()) recipe->mutable_finetune()->set_distillation(*flags.distillation);
  if (recipe->quantize().has_aware()) {
    recipe->mutable_quantize()->mutable_aware()->set_distillation(*flags.distillation);
  }
}

// A flag about a stage that the job does not have would be ignored without a word.
absl::Status CheckStages(const CompressFlags& flags, const v1::Recipe& recipe) {
  const bool finetunes = recipe.has_finetune();
  const bool trains = recipe.has_train() || finetunes;
  const bool any = trains || recipe.quantize().has_aware();
  const bool prunes = recipe.prune().sparsity() > 0 || flags.sweeps || HasGoal(flags) ||
                      (recipe.prune().pattern() == v1::PRUNE_PATTERN_TWO_OF_FOUR &&
                       flags.sparsity.value_or(1) > 0);  // it says the sparsity itself
  constexpr char kFinetuning[] = "fine-tuning", kFinetuneEpochs[] = "--finetune-epochs";
  constexpr char kPruning[] = "pruning", kSparsity[] = "--sparsity";
  const struct {
    const char* flag;
    bool given, has_stage;
    const char *stage, *remedy;
  } needs[] = {
      {"--learning-rate", flags.learning_rate.has_value(), trains, kFinetuning, kFinetuneEpochs},
      {"--batch-size", flags.batch_size.has_value(), any, kFinetuning, kFinetuneEpochs},
      {"--max-images", flags.max_images.has_value(), any, kFinetuning, kFinetuneEpochs},
      {"--ema-decay", flags.ema_decay.has_value(), any, kFinetuning, kFinetuneEpochs},
      {"--finetune-learning-rate", flags.finetune_learning_rate.has_value(), finetunes, kFinetuning,
       kFinetuneEpochs},
      {"--freeze-batch-norm", flags.freeze_batch_norm.value_or(false), finetunes, kFinetuning,
       kFinetuneEpochs},
      {"--distillation", flags.distillation.value_or(0) > 0,
       finetunes || recipe.quantize().has_aware(), "training after the dense model",
       "--finetune-epochs or --aware-epochs"},
      {"--prune-method", !flags.prune_method.empty(), prunes, kPruning, kSparsity},
      {"--pattern", !flags.pattern.empty(), prunes, kPruning, kSparsity},
      {"--gradual", flags.gradual.has_value(), prunes, kPruning, kSparsity}};
  for (const auto& need : needs) {
    if (!need.given || need.has_stage) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(need.flag, " is about ", need.stage, ", which this job does without: give ",
                     need.remedy, " above 0, or leave ", need.flag, " out"));
  }
  return absl::OkStatus();
}

// A percentile is of one range only.
absl::Status CheckPercentiles(const CompressFlags& flags, const v1::QuantizeOptions& quantize) {
  const char* const of_no_use =
      flags.weight_percentile.has_value() && quantize.weight_range() != v1::RANGE_METHOD_PERCENTILE
          ? "weight"
      : flags.activation_percentile.has_value() &&
              quantize.activation_range() != v1::RANGE_METHOD_PERCENTILE &&
              quantize.activation_range() != v1::RANGE_METHOD_UNSPECIFIED  // which is that one
          ? "activation"
          : nullptr;
  if (of_no_use == nullptr) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("--", of_no_use, "-percentile is for --",
                                                 of_no_use,
                                                 "-range percentile: give that, or "
                                                 "leave it out"));
}

absl::Status CheckBase(const CompressFlags& flags) {
  if (flags.base.empty()) return absl::OkStatus();
  const char* const unfit = !flags.architecture.empty()    ? "--architecture"
                            : flags.image_size.has_value() ? "--image-size"
                            : flags.epochs.has_value()     ? "--epochs"
                                                           : nullptr;
  if (unfit == nullptr) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(unfit, " is for training from scratch; with --base ", flags.base,
                   " the network is already trained: leave one of the two out"));
}

absl::Status CheckGoal(const CompressFlags& flags) {
  const char* const searched = flags.sparsity.has_value() ? "--sparsity"
                               : !flags.weights.empty()   ? "--weights"
                                                          : nullptr;
  if (!HasGoal(flags)) return absl::OkStatus();
  if (flags.max_accuracy_drop == 0.0) {
    return absl::InvalidArgumentError(
        "--max-accuracy-drop 0 asks for no image less, which chance decides: give 0.001, or leave "
        "it out for 0.005");
  }
  if (flags.finetune_epochs == 0) {
    return absl::InvalidArgumentError(
        "--finetune-epochs 0 leaves out what every try of a search needs: give more, or leave it "
        "out");
  }
  if (searched == nullptr) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(searched,
                   " is what --max-bytes, --max-latency-ms, --time-budget and --max-tries have "
                   "searched for: leave it out"));
}

// A preset's sparsity and weights give way to the search; those that a user wrote down do not.
absl::Status CheckRecipeOfGoal(const CompressFlags& flags, const v1::Recipe& recipe) {
  if (!HasGoal(flags) || flags.recipe_file.empty()) return absl::OkStatus();
  const bool sparsity = recipe.prune().sparsity() > 0;
  const bool weights = recipe.quantize().weights() != v1::WEIGHT_TYPE_UNSPECIFIED;
  if (!sparsity && !weights) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      flags.recipe_file, " has ", sparsity ? "prune.sparsity" : "quantize.weights",
      ", which is what --max-bytes, --max-latency-ms, --time-budget and --max-tries have searched "
      "for: leave it out"));
}

// The recipe keeps its way of fine-tuning and rounding; what is removed is searched for.
v1::Goal BuildGoal(const CompressFlags& flags, v1::Recipe* recipe) {
  recipe->mutable_prune()->clear_sparsity();
  v1::Goal goal;
  const double of_recipe = flags.recipe_file.empty() ? 0 : recipe->max_accuracy_drop();
  goal.set_max_accuracy_drop(flags.max_accuracy_drop.value_or(of_recipe));
  goal.set_max_bytes(static_cast<int64_t>(flags.max_bytes.value_or(0)));
  goal.set_max_latency_ms(flags.max_latency_ms.value_or(0));
  goal.set_time_budget_seconds(flags.time_budget_seconds.value_or(0));
  goal.set_max_tries(flags.max_tries.value_or(0));
  return goal;
}

}  // namespace

absl::StatusOr<std::string> AbsoluteDataset(const std::string& uri) {
  if (IsSynthetic(uri)) return uri;
  std::error_code error;
  if (!std::filesystem::exists(uri, error)) {
    if (uri.empty() || std::filesystem::path(uri).is_absolute()) return uri;
    return absl::NotFoundError(
        absl::StrCat("--dataset ", uri,
                     ": there is no such file or folder here; of one that is "
                     "only on the worker's machine, give the absolute path"));
  }
  const std::filesystem::path absolute = std::filesystem::canonical(uri, error);
  return error ? uri : absolute.string();
}

absl::StatusOr<v1::CompressRequest> BuildCompressRequest(const CompressFlags& flags) {
  CYTOPRESS_RETURN_IF_ERROR(CheckBase(flags));
  CYTOPRESS_RETURN_IF_ERROR(CheckGoal(flags));
  v1::CompressRequest request;
  request.set_request_id(flags.request_id);
  v1::JobSpec* spec = request.mutable_spec();
  spec->set_model_name(flags.name);
  CYTOPRESS_ASSIGN_OR_RETURN(*spec->mutable_dataset()->mutable_uri(),
                             AbsoluteDataset(flags.dataset));
  for (const std::string& name : flags.class_names) spec->mutable_dataset()->add_class_names(name);
  if (flags.dataset_seed.has_value()) spec->mutable_dataset()->set_seed(*flags.dataset_seed);
  spec->set_base_model(flags.base);
  spec->set_device(flags.device);
  if (!flags.architecture.empty()) spec->mutable_network()->set_architecture(flags.architecture);
  if (!flags.stem.empty()) spec->mutable_network()->set_stem(StemsByName().at(flags.stem));
  if (flags.image_size.has_value()) {
    spec->mutable_network()->set_input_height(*flags.image_size);
    spec->mutable_network()->set_input_width(*flags.image_size);
  }
  CYTOPRESS_ASSIGN_OR_RETURN(*spec->mutable_recipe(),
                             flags.recipe_file.empty()
                                 ? NamedRecipe(flags.recipe.empty() ? "lossless" : flags.recipe)
                                 : ReadRecipeFile(flags.recipe_file));
  v1::Recipe* recipe = spec->mutable_recipe();
  CYTOPRESS_RETURN_IF_ERROR(CheckRecipeOfGoal(flags, *recipe));
  OverrideStages(flags, recipe);
  OverridePruning(flags, recipe);
  OverrideQuantization(flags, recipe);
  OverrideTraining(flags, recipe);
  CYTOPRESS_RETURN_IF_ERROR(CheckStages(flags, *recipe));
  CYTOPRESS_RETURN_IF_ERROR(CheckPercentiles(flags, recipe->quantize()));
  if (!flags.on_collapse.empty()) {
    recipe->set_on_collapse(CollapsePoliciesByName().at(flags.on_collapse));
  }
  if (flags.seed.has_value()) recipe->set_seed(*flags.seed);
  if (flags.max_accuracy_drop.has_value()) {
    recipe->set_max_accuracy_drop(*flags.max_accuracy_drop);
  }
  if (HasGoal(flags)) *spec->mutable_goal() = BuildGoal(flags, recipe);
  return request;
}

}  // namespace cytopress
