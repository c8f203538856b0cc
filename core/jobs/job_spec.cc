#include "core/jobs/job_spec.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <google/protobuf/unknown_field_set.h>

#include <algorithm>
#include <limits>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/artifact/artifact.h"
#include "core/base/device.h"
#include "core/dataset/synthetic_uri.h"
#include "core/jobs/job_defaults.h"
#include "core/jobs/model_names.h"
#include "core/jobs/recipe_checks.h"
#include "core/jobs/spec_checker.h"
#include "core/network/network.h"
#include "core/registry/model_registry.h"

namespace cytopress {
namespace {

constexpr int kMaxPathLength = 4096;
constexpr int kMaxSweepCells = 100;
constexpr int kMaxTries = 50;
// The most class names of the greatest length take two thirds of it.
constexpr size_t kMaxSpecBytes = size_t{4} << 20;

// A job of a newer client would be another one without what it asks for there.
void CheckUnknownFields(const google::protobuf::Message& message, const std::string& name,
                        SpecChecker* checker) {
  for (FieldViolation& unknown : UnknownFields(message, name)) {
    checker->Add(name, std::move(unknown.description));
  }
  const google::protobuf::Reflection* const reflection = message.GetReflection();
  std::vector<const google::protobuf::FieldDescriptor*> fields;
  reflection->ListFields(message, &fields);
  for (const google::protobuf::FieldDescriptor* field : fields) {
    // No list of a specification is one of messages, but for the entries of maps.
    if (field->is_repeated() ||
        field->cpp_type() != google::protobuf::FieldDescriptor::CPPTYPE_MESSAGE) {
      continue;
    }
    CheckUnknownFields(reflection->GetMessage(message, field),
                       absl::StrCat(name, name.empty() ? "" : ".", field->name()), checker);
  }
}

void CheckModelNames(const v1::JobSpec& spec, SpecChecker* checker) {
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

void CheckBaseModel(const v1::JobSpec& spec, SpecChecker* checker) {
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

void CheckClassNames(const v1::JobSpec& spec, SpecChecker* checker) {
  const v1::DatasetSource& dataset = spec.dataset();
  const int names = dataset.class_names_size();
  if (names > kMaxClasses) {
    checker->Add("dataset.class_names", absl::StrCat(names, " names; at most ", kMaxClasses));
    return;
  }
  const int classes = spec.network().classes();
  if (names > 0 && classes != 0 && names != classes) {
    checker->Add("dataset.class_names",
                 absl::StrCat(names, " names, where network.classes is ", classes,
                              "; give as many, or leave one of the two out"));
  }
  std::set<absl::string_view> seen;
  for (int i = 0; i < names; ++i) {
    const std::string& name = dataset.class_names(i);
    const std::string field = absl::StrCat("dataset.class_names[", i, "]");
    if (name.empty() || name.size() > kMaxClassNameBytes) {
      checker->Add(field,
                   absl::StrCat("is ", name.size(), " bytes long; 1 to ", kMaxClassNameBytes));
    } else if (absl::c_any_of(name, absl::ascii_iscntrl)) {
      checker->Add(field, "has ASCII control characters; leave them out");
    } else if (!seen.insert(name).second) {
      checker->Add(field, absl::StrCat("\"", name, "\" is there twice; names must differ"));
    }
  }
}

void CheckDataset(const v1::JobSpec& spec, SpecChecker* checker) {
  const v1::DatasetSource& dataset = spec.dataset();
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
  CheckClassNames(spec, checker);
}

// Builds a small network with one field at a time taken from the request, so that core/network
// decides what is allowed and the answer names the field.
void CheckNetwork(const v1::NetworkSpec& network, SpecChecker* checker) {
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

// The longest name that the sweep makes.
void CheckSweepNames(const v1::JobSpec& spec, SpecChecker* checker) {
  if (!IsValidModelName(spec.model_name())) return;
  std::string longest;
  for (const double sparsity : spec.sweep().sparsities()) {
    for (const int weights : spec.sweep().weights()) {
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

void CheckSweep(const v1::JobSpec& spec, SpecChecker* checker) {
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
  CheckSweepNames(spec, checker);
}

void CheckGoal(const v1::JobSpec& spec, SpecChecker* checker) {
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
  if (!spec.recipe().quantize().layer_weights().empty()) {
    checker->Add("recipe.quantize.layer_weights",
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

void CheckDevice(const std::string& device, SpecChecker* checker) {
  if (device.empty()) return;
  const absl::StatusOr<std::string> name = ParseDeviceName(device);
  // "cuda:00" would wait for ever: workers are called "cuda:0".
  if (name.ok() && *name == device) return;
  checker->Add("device",
               absl::StrCat("\"", device, "\" is not \"cpu\" or \"cuda:N\"; empty for any device"));
}

}  // namespace

std::vector<FieldViolation> UnknownFields(const google::protobuf::Message& message,
                                          const std::string& name) {
  const google::protobuf::UnknownFieldSet& unknown =
      message.GetReflection()->GetUnknownFields(message);
  const int count = std::min<int>(unknown.field_count(), kMaxViolations);
  std::vector<FieldViolation> violations;
  for (int i = 0; i < count; ++i) {
    violations.push_back({name, absl::StrCat("holds field ", unknown.field(i).number(),
                                             ", which this release does not know; update it, or "
                                             "leave the field out")});
  }
  return violations;
}

std::vector<FieldViolation> ValidateJobSpec(const v1::JobSpec& spec) {
  SpecChecker checker;
  if (const size_t bytes = spec.ByteSizeLong(); bytes > kMaxSpecBytes) {
    checker.Add("", absl::StrCat("has ", bytes, " bytes; at most ", kMaxSpecBytes,
                                 ": give shorter names, or fewer"));
    return checker.Take();
  }
  CheckUnknownFields(spec, "", &checker);
  CheckModelNames(spec, &checker);
  CheckDataset(spec, &checker);
  CheckBaseModel(spec, &checker);
  CheckNetwork(spec.network(), &checker);
  CheckRecipe(spec, &checker);
  CheckSweep(spec, &checker);
  CheckGoal(spec, &checker);
  CheckDevice(spec.device(), &checker);
  return checker.Take();
}

}  // namespace cytopress
