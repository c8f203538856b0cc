#include "core/jobs/job_spec.h"

#include <limits>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "core/artifact/weight_type.h"
#include "core/base/device.h"
#include "core/dataset/synthetic_uri.h"
#include "core/network/network.h"
#include "core/registry/model_registry.h"
#include "google/protobuf/generated_enum_reflection.h"

namespace cytopress {
namespace {

constexpr int kMaxTextLength = 256;
constexpr int kMaxPathLength = 4096;
constexpr int kMaxEpochs = 1000;
constexpr int kMaxBatch = 4096;
constexpr int kLeastGroup = 8, kMostGroup = 4096;
constexpr int kMaxShift = 64;
constexpr int kMaxCalibrationImages = 1000000;
constexpr int kMaxSweepCells = 100;
constexpr int kMaxTries = 50;
// The largest network has a sixth of it.
constexpr int kMaxLayers = 1000;
// The most class names of the greatest length take two thirds of it.
constexpr size_t kMaxSpecBytes = size_t{4} << 20;

class Checker {
 public:
  void Add(absl::string_view field, std::string description) {
    if (violations_.size() == kMaxViolations) return;
    violations_.push_back({std::string(field), std::move(description)});
  }

  // `value` in [low, high]; NaN never is.
  template <typename T>
  void InRange(absl::string_view field, T value, T low, T high) {
    if (value >= low && value <= high) return;
    Add(field, absl::StrCat(value, " is not between ", low, " and ", high));
  }

  // `value` in [0, 1).
  void IsFraction(absl::string_view field, double value) {
    if (value >= 0 && value < 1) return;
    Add(field, absl::StrCat(value, " is not at least 0 and less than 1"));
  }

  // `value` is one that the enumeration names.
  template <typename Enum>
  void IsValid(absl::string_view field, int value) {
    const google::protobuf::EnumDescriptor* type = google::protobuf::GetEnumDescriptor<Enum>();
    if (type->FindValueByNumber(value) != nullptr) return;
    std::vector<std::string> names;
    for (int i = 1; i < type->value_count(); ++i) names.push_back(type->value(i)->name());
    Add(field, absl::StrCat(value, " is unknown; give ", absl::StrJoin(names, " or ")));
  }

  std::vector<FieldViolation> Take() { return std::move(violations_); }

 private:
  std::vector<FieldViolation> violations_;
};

void CheckModelNames(const v1::JobSpec& spec, Checker* checker) {
  const std::string& name = spec.model_name();
  if (IsValidModelName(name)) {
    const std::string parent = ParentModelName(name);
    if (!PublishesParent(spec) || IsValidModelName(parent)) return;
    checker->Add("model_name", absl::StrCat("is too long: the dense model would be called ", parent,
                                            "; give a shorter name, or a base_model"));
    return;
  }
  checker->Add("model_name", std::string(CheckModelName(name).message()));
}

void CheckBaseModel(const v1::JobSpec& spec, Checker* checker) {
  if (spec.base_model().empty()) return;
  const absl::Status parsed = ParseModelVersion(spec.base_model()).status();
  if (!parsed.ok()) checker->Add("base_model", std::string(parsed.message()));
  v1::NetworkSpec but_the_stem = spec.network();
  but_the_stem.clear_stem();
  if (but_the_stem.ByteSizeLong() > 0) {
    checker->Add("network",
                 "is given together with base_model, which has its own network; only the stem may "
                 "be another: leave the rest, or the base model, out");
  }
}

void CheckDataset(const v1::DatasetSource& dataset, Checker* checker) {
  if (dataset.uri().empty()) {
    checker->Add("dataset.uri",
                 "is empty: give the path of an .npz file or a folder of images by class on the "
                 "worker's machine, or \"synthetic\"");
  } else if (dataset.uri().size() > kMaxPathLength || absl::StrContains(dataset.uri(), '\0')) {
    checker->Add("dataset.uri", absl::StrCat("is no path: it is ", dataset.uri().size(),
                                             " bytes long or holds a zero byte"));
  }
  if (IsSynthetic(dataset.uri())) {
    const absl::Status status = SyntheticImages(dataset.uri()).status();
    if (!status.ok()) checker->Add("dataset.uri", std::string(status.message()));
  }
  if (dataset.class_names_size() > kMaxClasses) {
    checker->Add("dataset.class_names",
                 absl::StrCat(dataset.class_names_size(), " names; at most ", kMaxClasses));
    return;
  }
  std::set<absl::string_view> seen;
  for (int i = 0; i < dataset.class_names_size(); ++i) {
    const std::string& name = dataset.class_names(i);
    const std::string field = absl::StrCat("dataset.class_names[", i, "]");
    if (name.empty() || name.size() > kMaxTextLength) {
      checker->Add(field, absl::StrCat("is ", name.size(), " bytes long; 1 to ", kMaxTextLength));
    } else if (!seen.insert(name).second) {
      checker->Add(field, absl::StrCat("\"", name, "\" is there twice; names must differ"));
    }
  }
}

// Builds a small network with one field at a time taken from the request, so that core/network
// decides what is allowed and the answer names the field.
void CheckNetwork(const v1::NetworkSpec& network, Checker* checker) {
  checker->IsValid<v1::Stem>("network.stem", network.stem());
  const auto check = [&](absl::string_view field, const NetworkSpec& spec) {
    const absl::Status status = BuildNetwork(spec).status();
    if (status.ok()) return;
    absl::string_view message = status.message();
    if (!absl::ConsumePrefix(&message, absl::StrCat(field, ": "))) {
      absl::ConsumePrefix(&message, "network.input_height/width: ");
    }
    checker->Add(field, std::string(message));
  };
  NetworkSpec plain;
  plain.classes = 2;
  if (!network.architecture().empty()) {
    NetworkSpec spec = plain;
    spec.architecture = network.architecture();
    check("network.architecture", spec);
  }
  const auto check_number = [&](absl::string_view field, int value, int NetworkSpec::*member) {
    if (value == 0) return;
    NetworkSpec spec = plain;
    spec.*member = value;
    check(field, spec);
  };
  check_number("network.classes", network.classes(), &NetworkSpec::classes);
  check_number("network.input_channels", network.input_channels(), &NetworkSpec::input_channels);
  check_number("network.input_height", network.input_height(), &NetworkSpec::input_height);
  check_number("network.input_width", network.input_width(), &NetworkSpec::input_width);
}

void CheckTraining(const std::string& prefix, const v1::TrainOptions& train, Checker* checker) {
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
bool CheckLayers(absl::string_view field, const Map& layers, Checker* checker) {
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

void CheckPruning(const v1::Recipe& recipe, Checker* checker) {
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

void CheckQuantization(const v1::QuantizeOptions& quantize, Checker* checker) {
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
  checker->InRange("recipe.quantize.weight_percentile", quantize.weight_percentile(), 0.0, 100.0);
  checker->IsValid<v1::RangeMethod>("recipe.quantize.weight_range", quantize.weight_range());
  checker->IsValid<v1::RangeMethod>("recipe.quantize.activation_range",
                                    quantize.activation_range());
  checker->IsValid<v1::Rounding>("recipe.quantize.rounding", quantize.rounding());
  if (CheckLayers("recipe.quantize.layer_weights", quantize.layer_weights(), checker)) {
    for (const auto& [layer, type] : quantize.layer_weights()) {
      if (IsInteger(type)) continue;
      checker->Add(absl::StrCat("recipe.quantize.layer_weights[", layer, "]"),
                   "is neither WEIGHT_TYPE_INT8 nor WEIGHT_TYPE_INT4");
    }
  }
  if (!quantize.layer_weights().empty() && quantize.weights() != v1::WEIGHT_TYPE_INT4) {
    checker->Add("recipe.quantize.layer_weights",
                 "goes with recipe.quantize.weights WEIGHT_TYPE_INT4, whose files may hold both");
  }
  if (!quantize.has_aware()) return;
  CheckTraining("recipe.quantize.aware", quantize.aware(), checker);
  if (!IsInteger(quantize.weights())) {
    checker->Add("recipe.quantize.aware",
                 "is training for integers, and recipe.quantize.weights are none; give "
                 "WEIGHT_TYPE_INT8 or WEIGHT_TYPE_INT4");
  }
}

void CheckSweep(const v1::JobSpec& spec, Checker* checker) {
  if (!spec.has_sweep()) return;
  const v1::Sweep& sweep = spec.sweep();
  const int64_t cells = int64_t{sweep.sparsities_size()} * sweep.weights_size();
  if (cells < 1 || cells > kMaxSweepCells) {
    checker->Add("sweep", absl::StrCat("has ", sweep.sparsities_size(), " sparsities and ",
                                       sweep.weights_size(), " weight types: give 1 to ",
                                       kMaxSweepCells, " models in all"));
    return;
  }
  std::set<std::string> seen;
  for (int i = 0; i < sweep.sparsities_size(); ++i) {
    const std::string field = absl::StrCat("sweep.sparsities[", i, "]");
    checker->IsFraction(field, sweep.sparsities(i));
    const std::string model =
        SweepModelName(spec.model_name(), sweep.sparsities(i), v1::WEIGHT_TYPE_INT8);
    if (!seen.insert(model).second) {
      checker->Add(field, absl::StrCat(sweep.sparsities(i),
                                       " is there twice, or differs too little from another: both "
                                       "would be the model ",
                                       model));
    }
  }
  std::set<int> types;
  for (int i = 0; i < sweep.weights_size(); ++i) {
    const std::string field = absl::StrCat("sweep.weights[", i, "]");
    if (sweep.weights(i) == v1::WEIGHT_TYPE_UNSPECIFIED) checker->Add(field, "is not given");
    checker->IsValid<v1::WeightType>(field, sweep.weights(i));
    if (!types.insert(sweep.weights(i)).second) checker->Add(field, "is there twice");
  }
  if (spec.recipe().prune().pattern() == v1::PRUNE_PATTERN_TWO_OF_FOUR) {
    checker->Add("recipe.prune.pattern",
                 "PRUNE_PATTERN_TWO_OF_FOUR has one sparsity only and a sweep has several; choose "
                 "another pattern, or compress without a sweep");
  }
  if (!IsValidModelName(spec.model_name())) return;
  std::string longest;
  for (const double sparsity : sweep.sparsities()) {
    for (const int weights : sweep.weights()) {
      if (!v1::WeightType_IsValid(weights)) continue;
      const std::string name =
          SweepModelName(spec.model_name(), sparsity, static_cast<v1::WeightType>(weights));
      if (name.size() > longest.size()) longest = name;
    }
  }
  if (!IsValidModelName(longest)) {
    checker->Add("model_name", absl::StrCat("is too long for a sweep, which would call a model ",
                                            longest, "; give a shorter name"));
  }
}

void CheckGoal(const v1::JobSpec& spec, Checker* checker) {
  if (!spec.has_goal()) return;
  const v1::Goal& goal = spec.goal();
  checker->IsFraction("goal.max_accuracy_drop", goal.max_accuracy_drop());
  checker->InRange("goal.max_bytes", goal.max_bytes(), int64_t{0},
                   std::numeric_limits<int64_t>::max());
  const double largest = std::numeric_limits<double>::max();
  checker->InRange("goal.max_latency_ms", goal.max_latency_ms(), 0.0, largest);
  checker->InRange("goal.time_budget_seconds", goal.time_budget_seconds(), 0.0, largest);
  checker->InRange("goal.max_tries", goal.max_tries(), 0, kMaxTries);
  if (spec.has_sweep()) {
    checker->Add("goal", "is given together with sweep; leave one of the two out");
  }
  if (spec.recipe().prune().pattern() == v1::PRUNE_PATTERN_TWO_OF_FOUR) {
    checker->Add(
        "recipe.prune.pattern",
        "PRUNE_PATTERN_TWO_OF_FOUR has one sparsity only, and a goal searches for several; "
        "choose another pattern");
  } else if (spec.recipe().prune().sparsity() > 0) {
    checker->Add("recipe.prune.sparsity",
                 "is given together with goal, which searches for it; leave one of the two out");
  }
  if (!spec.recipe().prune().layer_sparsity().empty()) {
    checker->Add("recipe.prune.layer_sparsity",
                 "is given together with goal, which searches for it; leave one of the two out");
  }
  if (spec.recipe().quantize().weight_range() == v1::RANGE_METHOD_ASYMMETRIC) {
    checker->Add("recipe.quantize.weight_range",
                 "RANGE_METHOD_ASYMMETRIC stores INT4 weights in the bytes of INT8, and a goal "
                 "weighs one against the other; choose RANGE_METHOD_MIN_MAX, "
                 "RANGE_METHOD_PERCENTILE or RANGE_METHOD_MSE");
  }
  const std::string longest = GoalTryName(spec.model_name(), kMaxTries);
  if (IsValidModelName(spec.model_name()) && !IsValidModelName(longest)) {
    checker->Add("model_name",
                 absl::StrCat("is too long for a goal, whose tries are called like ", longest));
  }
}

void CheckRecipe(const v1::JobSpec& spec, Checker* checker) {
  const v1::Recipe& recipe = spec.recipe();
  if (recipe.name().size() > kMaxTextLength) {
    checker->Add("recipe.name", absl::StrCat("is ", recipe.name().size(), " bytes long; at most ",
                                             kMaxTextLength));
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
  // A sweep and a goal choose the types of their models themselves.
  if (recipe.quantize().group_size() != 0 && !spec.has_sweep() && !spec.has_goal() &&
      recipe.quantize().weights() != v1::WEIGHT_TYPE_INT4) {
    checker->Add("recipe.quantize.group_size",
                 "is for WEIGHT_TYPE_INT4 only; choose that type or leave it out");
  }
  checker->IsValid<v1::CollapsePolicy>("recipe.on_collapse", recipe.on_collapse());
  checker->InRange("recipe.max_accuracy_drop", recipe.max_accuracy_drop(), 0.0, 1.0);
}

void CheckDevice(const std::string& device, Checker* checker) {
  if (device.empty()) return;
  const absl::StatusOr<std::string> name = ParseDeviceName(device);
  // "cuda:00" would wait for ever: workers are called "cuda:0".
  if (name.ok() && *name == device) return;
  checker->Add("device",
               absl::StrCat("\"", device, "\" is not \"cpu\" or \"cuda:N\"; empty for any device"));
}

}  // namespace

std::vector<FieldViolation> ValidateJobSpec(const v1::JobSpec& spec) {
  Checker checker;
  if (const size_t bytes = spec.ByteSizeLong(); bytes > kMaxSpecBytes) {
    checker.Add("", absl::StrCat("has ", bytes, " bytes; at most ", kMaxSpecBytes,
                                 ": give shorter names, or fewer"));
    return checker.Take();
  }
  CheckModelNames(spec, &checker);
  CheckDataset(spec.dataset(), &checker);
  CheckBaseModel(spec, &checker);
  CheckNetwork(spec.network(), &checker);
  CheckRecipe(spec, &checker);
  CheckSweep(spec, &checker);
  CheckGoal(spec, &checker);
  CheckDevice(spec.device(), &checker);
  return checker.Take();
}

}  // namespace cytopress
