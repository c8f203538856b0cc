#include "core/artifact/weight_type.h"

namespace cytopress {

bool IsInteger(v1::WeightType weights) {
  return weights == v1::WEIGHT_TYPE_INT8 || weights == v1::WEIGHT_TYPE_INT4;
}

absl::string_view WeightTypeName(v1::WeightType weights) {
  switch (weights) {
    case v1::WEIGHT_TYPE_FP32:
      return "fp32";
    case v1::WEIGHT_TYPE_FP16:
      return "fp16";
    case v1::WEIGHT_TYPE_INT8:
      return "int8";
    case v1::WEIGHT_TYPE_INT4:
      return "int4";
    default:
      return "unknown";
  }
}

}  // namespace cytopress
