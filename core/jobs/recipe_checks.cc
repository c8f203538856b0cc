#include "core/jobs/recipe_checks.h"

#include <string>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/artifact/weight_type.h"

namespace cytopress {
namespace {

constexpr int kMaxEpochs = 1000;
constexpr int kMaxBatch = 4096;
constexpr int kLeastGroup = 8, kMostGroup = 4096;
constexpr int kMaxShift = 64;
constexpr int kMaxCalibrationImages = 1000000;
// The largest network has a sixth of it.
constexpr int kMaxLayers = 1000;

void CheckTraining(const std::string& prefix, const v1::TrainOptions& train, SpecChecker* checker) {
  checker->InRange(prefix + ".epochs", train.epochs(), 0, kMaxEpochs);
  checker->InRange(prefix + ".batch_size", train.batch_size(), 0, kMaxBatch);
  checker->InRange(prefix + ".learning_rate", train.learning_rate(), 0.0, 100.0);
  checker->InRange(prefix + ".warmup_fraction", train.warmup_fraction(), 0.0, 1.0);
  checker->IsFraction(prefix + ".momentum", train.momentum());
  if (train.weight_decay() != -1) {  // zero
    checker->IsFraction(prefix + ".weight_decay", train.weight_decay());
  }
  checker->InRange(prefix + ".distillation", train.distillation(), 0.0, 1.0);
  checker->InRange(prefix + ".distillation_temperature", train.distillation_temperature(), 0.0,
                   100.0);
  checker->IsFraction(prefix + ".ema_decay", train.ema_decay());
  checker->IsFraction(prefix + ".label_smoothing", train.label_smoothing());
  checker->InRange(prefix + ".shift_pixels", train.shift_pixels(), -1, kMaxShift);
  checker->InRange(prefix + ".rotate_degrees", train.rotate_degrees(), 0.0, 180.0);
  checker->InRange(prefix + ".zoom", train.zoom(), 0.0, 0.5);
  checker->InRange(prefix + ".color_jitter", train.color_jitter(), 0.0, 0.5);
  checker->InRange(prefix + ".mixup_alpha", train.mixup_alpha(), 0.0, 4.0);
  if (train.mixup_alpha() > 0 && train.distillation() > 0) {
    checker->Add(prefix + ".mixup_alpha",
                 "does not go with distillation, whose teacher has answered unmixed images; leave "
                 "one of the two out");
  }
  if (train.max_images() < 0) {
    checker->Add(prefix + ".max_images",
                 absl::StrCat(train.max_images(), " is negative; 0 takes all images"));
  }
  const std::string& precision = train.precision();
  if (!precision.empty() && precision != "auto" && precision != "fp32" && precision != "bf16") {
    checker->Add(prefix + ".precision",
                 absl::StrCat("\"", precision, "\" is not \"auto\", \"fp32\" or \"bf16\""));
  }
}

// Of settings by layer, in whose fields the names stand then. False when they are not to be looked
// at any further.
template <typename Map>
bool CheckLayers(absl::string_view field, const Map& layers, SpecChecker* checker) {
  if (layers.size() > kMaxLayers) {
    checker->Add(field, absl::StrCat("names ", layers.size(), " layers; at most ", kMaxLayers,
                                     ": leave out those that the network does not have"));
    return false;
  }
  for (const auto& [layer, setting] : layers) {
    if (layer.size() <= kMaxTextLength) continue;
    checker->Add(field, absl::StrCat("names a layer of ", layer.size(), " bytes; at most ",
                                     kMaxTextLength, ": give the names that the network has"));
    return false;
  }
  return true;
}

void CheckPruning(const v1::Recipe& recipe, SpecChecker* checker) {
  const v1::PruneOptions& prune = recipe.prune();
  checker->IsFraction("recipe.prune.sparsity", prune.sparsity());
  checker->IsValid<v1::PruneMethod>("recipe.prune.method", prune.method());
  checker->IsValid<v1::PrunePattern>("recipe.prune.pattern", prune.pattern());
  checker->InRange("recipe.prune.gradual_fraction", prune.gradual_fraction(), 0.0, 1.0);
  if (CheckLayers("recipe.prune.layer_sparsity", prune.layer_sparsity(), checker)) {
    for (const auto& [layer, sparsity] : prune.layer_sparsity()) {
      checker->IsFraction(absl::StrCat("recipe.prune.layer_sparsity[", layer, "]"), sparsity);
    }
  }
  if (!prune.layer_sparsity().empty() && prune.sparsity() <= 0) {
    checker->Add("recipe.prune.layer_sparsity",
                 "is of single layers; give recipe.prune.sparsity for the others as well, however "
                 "small");
  }
  if (!prune.layer_sparsity().empty() && prune.pattern() == v1::PRUNE_PATTERN_TWO_OF_FOUR) {
    checker->Add("recipe.prune.layer_sparsity",
                 "does not go with PRUNE_PATTERN_TWO_OF_FOUR, which removes half of every layer; "
                 "leave one of the two out");
  }
  if (prune.gradual_fraction() > 0 && !recipe.has_finetune()) {
    checker->Add("recipe.prune.gradual_fraction",
                 "is a share of the fine-tuning, and the recipe has none; add recipe.finetune or "
                 "leave it out");
  }
  if (prune.gradual_fraction() > 0 && prune.pattern() == v1::PRUNE_PATTERN_TWO_OF_FOUR) {
    checker->Add("recipe.prune.gradual_fraction",
                 "does not go with PRUNE_PATTERN_TWO_OF_FOUR, which has one sparsity only; leave "
                 "one of the two out");
  }
  if (prune.pattern() == v1::PRUNE_PATTERN_TWO_OF_FOUR && prune.sparsity() != 0 &&
      prune.sparsity() != 0.5) {
    checker->Add("recipe.prune.sparsity",
                 absl::StrCat(prune.sparsity(),
                              " does not go with PRUNE_PATTERN_TWO_OF_FOUR, which always removes "
                              "half; leave it out, or choose another pattern"));
  }
}

void CheckAsymmetric(const v1::QuantizeOptions& quantize, SpecChecker* checker) {
  if (quantize.weight_range() == v1::RANGE_METHOD_ASYMMETRIC &&
      (quantize.group_size() != 0 || quantize.per_tensor_scales() || quantize.has_aware() ||
       quantize.rounding() == v1::ROUNDING_GPTQ)) {
    checker->Add(
        "recipe.quantize.weight_range",
        "RANGE_METHOD_ASYMMETRIC is for ROUNDING_NEAREST with one range an output channel; "
        "leave out group_size, per_tensor_scales and aware, or choose another range");
  }
  if (quantize.activation_range() == v1::RANGE_METHOD_ASYMMETRIC) {
    checker->Add("recipe.quantize.activation_range",
                 "RANGE_METHOD_ASYMMETRIC is for weights; choose RANGE_METHOD_MIN_MAX, "
                 "RANGE_METHOD_PERCENTILE or RANGE_METHOD_MSE");
  }
}

// The types of a job's models, which a sweep and a goal choose themselves.
std::vector<v1::WeightType> TypesOf(const v1::JobSpec& spec) {
  if (spec.has_goal()) return {v1::WEIGHT_TYPE_INT4};  // by default, of each layer
  if (!spec.has_sweep()) return {spec.recipe().quantize().weights()};
  std::vector<v1::WeightType> types;
  for (const int type : spec.sweep().weights()) types.push_back(static_cast<v1::WeightType>(type));
  return types;
}

void CheckLayerWeights(const v1::QuantizeOptions& quantize, SpecChecker* checker) {
  if (CheckLayers("recipe.quantize.layer_weights", quantize.layer_weights(), checker)) {
    for (const auto& [layer, type] : quantize.layer_weights()) {
      if (IsInteger(type)) continue;
      checker->Add(absl::StrCat("recipe.quantize.layer_weights[", layer, "]"),
                   "is neither WEIGHT_TYPE_INT8 nor WEIGHT_TYPE_INT4");
    }
  }
}

// What is of some types only.
void CheckTypes(const v1::JobSpec& spec, SpecChecker* checker) {
  const v1::QuantizeOptions& quantize = spec.recipe().quantize();
  const std::vector<v1::WeightType> types = TypesOf(spec);
  const bool any_int4 = absl::c_linear_search(types, v1::WEIGHT_TYPE_INT4);
  if (!quantize.layer_weights().empty() && !any_int4) {
    checker->Add("recipe.quantize.layer_weights",
                 "goes with weights of WEIGHT_TYPE_INT4, whose files may hold both types");
  }
  if (quantize.group_size() != 0 && !any_int4) {
    checker->Add("recipe.quantize.group_size",
                 "is for WEIGHT_TYPE_INT4 only; choose that type or leave it out");
  }
  if (quantize.has_aware() && absl::c_none_of(types, IsInteger)) {
    checker->Add("recipe.quantize.aware",
                 "is training for integers, and the weights are none; give WEIGHT_TYPE_INT8 or "
                 "WEIGHT_TYPE_INT4");
  }
}

void CheckQuantization(const v1::QuantizeOptions& quantize, SpecChecker* checker) {
  checker->IsValid<v1::WeightType>("recipe.quantize.weights", quantize.weights());
  checker->InRange("recipe.quantize.calibration_images", quantize.calibration_images(), 0,
                   kMaxCalibrationImages);
  checker->InRange("recipe.quantize.activation_percentile", quantize.activation_percentile(), 0.0,
                   100.0);
  if (quantize.group_size() != 0) {
    checker->InRange("recipe.quantize.group_size", quantize.group_size(), kLeastGroup, kMostGroup);
  }
  if (quantize.per_tensor_scales() && quantize.group_size() != 0) {
    checker->Add("recipe.quantize.per_tensor_scales",
                 "contradicts recipe.quantize.group_size, which asks for many scales; leave one of "
                 "the two out");
  }
  if (quantize.per_tensor_scales() && quantize.rounding() == v1::ROUNDING_GPTQ) {
    checker->Add("recipe.quantize.per_tensor_scales",
                 "is for ROUNDING_NEAREST, the plain way; choose that rounding or leave it out");
  }
  if (quantize.per_tensor_scales() && (quantize.has_aware() || quantize.reestimate_batch_norm())) {
    checker->Add("recipe.quantize.per_tensor_scales",
                 absl::StrCat("does not go with recipe.quantize.",
                              quantize.has_aware() ? "aware" : "reestimate_batch_norm",
                              ", which changes the batch norms after the scales are chosen by "
                              "them; switch one of the two off"));
  }
  CheckAsymmetric(quantize, checker);
  checker->InRange("recipe.quantize.weight_percentile", quantize.weight_percentile(), 0.0, 100.0);
  checker->IsValid<v1::RangeMethod>("recipe.quantize.weight_range", quantize.weight_range());
  checker->IsValid<v1::RangeMethod>("recipe.quantize.activation_range",
                                    quantize.activation_range());
  checker->IsValid<v1::Rounding>("recipe.quantize.rounding", quantize.rounding());
  CheckLayerWeights(quantize, checker);
  if (quantize.has_aware()) CheckTraining("recipe.quantize.aware", quantize.aware(), checker);
}

}  // namespace

void CheckRecipe(const v1::JobSpec& spec, SpecChecker* checker) {
  const v1::Recipe& recipe = spec.recipe();
  if (recipe.name().size() > kMaxTextLength) {
    checker->Add("recipe.name", absl::StrCat("is ", recipe.name().size(), " bytes long; at most ",
                                             kMaxTextLength));
  }
  if (absl::c_any_of(recipe.name(), absl::ascii_iscntrl)) {
    checker->Add("recipe.name", "has ASCII control characters; leave them out");
  }
  if (recipe.has_train()) CheckTraining("recipe.train", recipe.train(), checker);
  if (recipe.train().freeze_batch_norm()) {
    checker->Add("recipe.train.freeze_batch_norm",
                 "would freeze batch norms that have not seen an image; set it in recipe.finetune");
  }
  if (recipe.train().distillation() > 0) {
    checker->Add("recipe.train.distillation",
                 absl::StrCat(recipe.train().distillation(),
                              ", but while the dense model is trained there is none to learn from; "
                              "set it in recipe.finetune"));
  }
  if (recipe.has_finetune()) CheckTraining("recipe.finetune", recipe.finetune(), checker);
  CheckPruning(recipe, checker);
  CheckQuantization(recipe.quantize(), checker);
  CheckTypes(spec, checker);
  checker->IsValid<v1::CollapsePolicy>("recipe.on_collapse", recipe.on_collapse());
  checker->InRange("recipe.max_accuracy_drop", recipe.max_accuracy_drop(), 0.0, 1.0);
}

}  // namespace cytopress
