#include "core/jobs/job_spec.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/network/network.h"
#include "core/registry/model_registry.h"

namespace cytopress {
namespace {

constexpr int kMaxClasses = 10000;
constexpr int kMaxTextLength = 256;
constexpr int kMaxPathLength = 4096;
constexpr int kMaxEpochs = 1000;
constexpr int kMaxBatch = 4096;
constexpr int kMaxShift = 64;
constexpr int kMaxCalibrationImages = 1000000;
constexpr int kMaxDeviceDigits = 3;

class Checker {
 public:
  void Add(absl::string_view field, std::string description) {
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

  std::vector<FieldViolation> Take() { return std::move(violations_); }

 private:
  std::vector<FieldViolation> violations_;
};

void CheckModelName(const std::string& name, Checker* checker) {
  if (IsValidModelName(name)) return;
  checker->Add("model_name",
               absl::StrCat("\"", name,
                            "\" is not a model name: give 1 to 63 of a-z, 0-9, '.', '_' and '-', "
                            "starting with a letter or digit"));
}

void CheckBaseModel(const v1::JobSpec& spec, Checker* checker) {
  if (spec.base_model().empty()) return;
  if (!ParseModelVersion(spec.base_model()).ok()) {
    checker->Add("base_model", absl::StrCat("\"", spec.base_model(),
                                            "\" is neither \"name\" nor \"name@version\""));
  }
  if (spec.network().ByteSizeLong() > 0) {
    checker->Add(
        "network",
        "is given together with base_model: a base model has its own network; leave one of "
        "them out");
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

absl::StatusOr<Stem> StemOf(v1::Stem stem) {
  switch (stem) {
    case v1::STEM_UNSPECIFIED:
    case v1::STEM_IMAGENET:
      return Stem::kImagenet;
    case v1::STEM_CIFAR:
      return Stem::kCifar;
    case v1::STEM_STRIDE2:
      return Stem::kStride2;
    default:
      return absl::InvalidArgumentError(absl::StrCat(
          static_cast<int>(stem), " is no stem; give STEM_IMAGENET, STEM_CIFAR or STEM_STRIDE2"));
  }
}

// Builds a small network with one field at a time taken from the request, so that core/network
// decides what is allowed and the answer names the field.
void CheckNetwork(const v1::NetworkSpec& network, Checker* checker) {
  const absl::StatusOr<Stem> stem = StemOf(network.stem());
  if (!stem.ok()) checker->Add("network.stem", std::string(stem.status().message()));
  const auto check = [&](absl::string_view field, const NetworkSpec& spec) {
    const absl::Status status = BuildNetwork(spec).status();
    if (status.ok()) return;
    absl::string_view message = status.message();
    absl::ConsumePrefix(&message, absl::StrCat(field, ": "));
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
  checker->IsFraction(prefix + ".weight_decay", train.weight_decay());
  checker->IsFraction(prefix + ".label_smoothing", train.label_smoothing());
  checker->InRange(prefix + ".shift_pixels", train.shift_pixels(), -1, kMaxShift);
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

void CheckRecipe(const v1::Recipe& recipe, Checker* checker) {
  if (recipe.name().size() > kMaxTextLength) {
    checker->Add("recipe.name", absl::StrCat("is ", recipe.name().size(), " bytes long; at most ",
                                             kMaxTextLength));
  }
  if (recipe.has_train()) CheckTraining("recipe.train", recipe.train(), checker);
  if (recipe.has_finetune()) CheckTraining("recipe.finetune", recipe.finetune(), checker);
  checker->IsFraction("recipe.prune.sparsity", recipe.prune().sparsity());
  if (!v1::PruneMethod_IsValid(recipe.prune().method())) {
    checker->Add("recipe.prune.method",
                 absl::StrCat(static_cast<int>(recipe.prune().method()),
                              " is no method; give PRUNE_METHOD_GLOBAL_MAGNITUDE"));
  }
  if (!v1::WeightType_IsValid(recipe.quantize().weights())) {
    checker->Add("recipe.quantize.weights",
                 absl::StrCat(static_cast<int>(recipe.quantize().weights()),
                              " is no weight type; give WEIGHT_TYPE_FP32, _FP16, _INT8 or _INT4"));
  }
  checker->InRange("recipe.quantize.calibration_images", recipe.quantize().calibration_images(), 0,
                   kMaxCalibrationImages);
  checker->InRange("recipe.quantize.activation_percentile",
                   recipe.quantize().activation_percentile(), 0.0, 100.0);
  checker->InRange("recipe.max_accuracy_drop", recipe.max_accuracy_drop(), 0.0, 1.0);
}

void CheckDevice(const std::string& device, Checker* checker) {
  if (device.empty() || device == "cpu") return;
  absl::string_view number = device;
  if (absl::ConsumePrefix(&number, "cuda:") && !number.empty() &&
      number.size() <= kMaxDeviceDigits &&
      std::all_of(number.begin(), number.end(), absl::ascii_isdigit)) {
    return;
  }
  checker->Add("device",
               absl::StrCat("\"", device, "\" is not \"cpu\" or \"cuda:N\"; empty for any device"));
}

}  // namespace

std::vector<FieldViolation> ValidateJobSpec(const v1::JobSpec& spec) {
  Checker checker;
  CheckModelName(spec.model_name(), &checker);
  CheckDataset(spec.dataset(), &checker);
  CheckBaseModel(spec, &checker);
  CheckNetwork(spec.network(), &checker);
  CheckRecipe(spec.recipe(), &checker);
  CheckDevice(spec.device(), &checker);
  return checker.Take();
}

}  // namespace cytopress
