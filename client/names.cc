#include "client/names.h"

namespace cytopress {
namespace {

template <typename Enum>
std::string Find(const std::map<std::string, Enum>& by_name, Enum value) {
  for (const auto& [name, candidate] : by_name) {
    if (candidate == value) return name;
  }
  return "-";
}

}  // namespace

const std::map<std::string, v1::WeightType>& WeightTypesByName() {
  static const auto* const kNames =
      new std::map<std::string, v1::WeightType>{{"fp32", v1::WEIGHT_TYPE_FP32},
                                                {"fp16", v1::WEIGHT_TYPE_FP16},
                                                {"int8", v1::WEIGHT_TYPE_INT8},
                                                {"int4", v1::WEIGHT_TYPE_INT4}};
  return *kNames;
}

const std::map<std::string, v1::Stem>& StemsByName() {
  static const auto* const kNames = new std::map<std::string, v1::Stem>{
      {"imagenet", v1::STEM_IMAGENET}, {"cifar", v1::STEM_CIFAR}, {"stride2", v1::STEM_STRIDE2}};
  return *kNames;
}

const std::map<std::string, v1::ModelFormat>& ModelFormatsByName() {
  static const auto* const kNames = new std::map<std::string, v1::ModelFormat>{
      {"cyp", v1::MODEL_FORMAT_CYTOPRESS}, {"onnx", v1::MODEL_FORMAT_ONNX}};
  return *kNames;
}

const std::map<std::string, v1::PruneMethod>& PruneMethodsByName() {
  static const auto* const kNames = new std::map<std::string, v1::PruneMethod>{
      {"global", v1::PRUNE_METHOD_GLOBAL_MAGNITUDE}, {"layer", v1::PRUNE_METHOD_LAYER_MAGNITUDE}};
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
  static const auto* const kNames =
      new std::map<std::string, v1::RangeMethod>{{"min-max", v1::RANGE_METHOD_MIN_MAX},
                                                 {"percentile", v1::RANGE_METHOD_PERCENTILE},
                                                 {"mse", v1::RANGE_METHOD_MSE},
                                                 {"asymmetric", v1::RANGE_METHOD_ASYMMETRIC}};
  return *kNames;
}

const std::map<std::string, v1::RangeMethod>& ActivationRangesByName() {
  static const auto* const kNames = [] {
    auto* names = new std::map<std::string, v1::RangeMethod>(RangeMethodsByName());
    names->erase("asymmetric");
    return names;
  }();
  return *kNames;
}

const std::map<std::string, v1::Rounding>& RoundingsByName() {
  static const auto* const kNames = new std::map<std::string, v1::Rounding>{
      {"nearest", v1::ROUNDING_NEAREST}, {"gptq", v1::ROUNDING_GPTQ}};
  return *kNames;
}

const std::map<std::string, v1::CollapsePolicy>& CollapsePoliciesByName() {
  static const auto* const kNames = new std::map<std::string, v1::CollapsePolicy>{
      {"mend", v1::COLLAPSE_POLICY_MEND}, {"report", v1::COLLAPSE_POLICY_REPORT}};
  return *kNames;
}

std::string NameOf(v1::WeightType weights) { return Find(WeightTypesByName(), weights); }
std::string NameOf(v1::Stem stem) { return Find(StemsByName(), stem); }

}  // namespace cytopress
