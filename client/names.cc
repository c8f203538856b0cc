#include "client/names.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/generated_enum_reflection.h>

#include <algorithm>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"

namespace cytopress {
namespace {

// Names as in the .proto file, RANGE_METHOD_MIN_MAX as "min-max"; without UNSPECIFIED and
// `left_out`.
template <typename Enum>
std::map<std::string, Enum> ProtocolNames(const std::set<Enum>& left_out = {}) {
  const google::protobuf::EnumDescriptor& values = *google::protobuf::GetEnumDescriptor<Enum>();
  // Such as RANGE_METHOD_.
  const std::string prefix(absl::StripSuffix(values.FindValueByNumber(0)->name(), "UNSPECIFIED"));
  std::map<std::string, Enum> names;
  for (int i = 0; i < values.value_count(); ++i) {
    const auto value = static_cast<Enum>(values.value(i)->number());
    if (value == Enum() || left_out.count(value) > 0) continue;
    const std::string name(absl::StripPrefix(values.value(i)->name(), prefix));
    names[absl::StrReplaceAll(absl::AsciiStrToLower(name), {{"_", "-"}})] = value;
  }
  return names;
}

template <typename Enum>
std::string Find(const std::map<std::string, Enum>& by_name, Enum value) {
  for (const auto& [name, candidate] : by_name) {
    if (candidate == value) return name;
  }
  return "-";
}

}  // namespace

const std::map<std::string, v1::WeightType>& WeightTypesByName() {
  static const auto* const kNames = new auto(ProtocolNames<v1::WeightType>());
  return *kNames;
}

const std::map<std::string, v1::Stem>& StemsByName() {
  static const auto* const kNames = new auto(ProtocolNames<v1::Stem>());
  return *kNames;
}

const std::map<std::string, v1::ModelFormat>& ModelFormatsByName() {
  static const auto* const kNames = new std::map<std::string, v1::ModelFormat>{
      {"cyp", v1::MODEL_FORMAT_CYTOPRESS}, {"onnx", v1::MODEL_FORMAT_ONNX}};
  return *kNames;
}

const std::map<std::string, v1::PruneMethod>& PruneMethodsByName() {
  static const auto* const kNames = new std::map<std::string, v1::PruneMethod>{
      {"global", v1::PRUNE_METHOD_GLOBAL_MAGNITUDE},
      {"layer", v1::PRUNE_METHOD_LAYER_MAGNITUDE},
      {"fisher", v1::PRUNE_METHOD_FISHER},
      {"cost-aware", v1::PRUNE_METHOD_COST_AWARE_FISHER}};
  return *kNames;
}

const std::map<std::string, v1::PrunePattern>& PrunePatternsByName() {
  static const auto* const kNames =
      new std::map<std::string, v1::PrunePattern>{{"unstructured", v1::PRUNE_PATTERN_UNSTRUCTURED},
                                                  {"block4", v1::PRUNE_PATTERN_BLOCK4},
                                                  {"2:4", v1::PRUNE_PATTERN_TWO_OF_FOUR}};
  return *kNames;
}

const std::map<std::string, v1::PrunePattern>& SweepPatternsByName() {
  static const auto* const kNames = [] {
    auto* const names = new std::map<std::string, v1::PrunePattern>(PrunePatternsByName());
    names->erase("2:4");
    return names;
  }();
  return *kNames;
}

const std::map<std::string, v1::RangeMethod>& RangeMethodsByName() {
  static const auto* const kNames = new auto(ProtocolNames<v1::RangeMethod>());
  return *kNames;
}

const std::map<std::string, v1::RangeMethod>& ActivationRangesByName() {
  static const auto* const kNames =
      new auto(ProtocolNames<v1::RangeMethod>({v1::RANGE_METHOD_ASYMMETRIC}));
  return *kNames;
}

const std::map<std::string, v1::Rounding>& RoundingsByName() {
  static const auto* const kNames = new auto(ProtocolNames<v1::Rounding>());
  return *kNames;
}

const std::map<std::string, v1::CollapsePolicy>& CollapsePoliciesByName() {
  static const auto* const kNames = new auto(ProtocolNames<v1::CollapsePolicy>());
  return *kNames;
}

std::string NameOf(v1::WeightType weights) { return Find(WeightTypesByName(), weights); }
std::string NameOf(v1::Stem stem) { return Find(StemsByName(), stem); }

std::string WeightsOf(const v1::Model& model) {
  const v1::JobSpec& spec = model.provenance().spec();
  const auto& layers = spec.recipe().quantize().layer_weights();
  const bool by_layer =
      spec.has_goal() || std::any_of(layers.begin(), layers.end(), [](const auto& layer) {
        return layer.second == v1::WEIGHT_TYPE_INT8;
      });
  return by_layer && model.weights() == v1::WEIGHT_TYPE_INT4 ? "int4/int8"
                                                             : NameOf(model.weights());
}

}  // namespace cytopress
