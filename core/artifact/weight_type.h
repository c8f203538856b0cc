// What a model's weights are stored as.
#ifndef CYTOPRESS_CORE_ARTIFACT_WEIGHT_TYPE_H_
#define CYTOPRESS_CORE_ARTIFACT_WEIGHT_TYPE_H_

#include "absl/strings/string_view.h"
#include "cytopress/v1/network.pb.h"

namespace cytopress {

// Whether the weights of convolutions and of the classifier are integers with scales.
bool IsInteger(v1::WeightType weights);

// "fp32", "fp16", "int8" or "int4"; "unknown" for what a newer program may store.
absl::string_view WeightTypeName(v1::WeightType weights);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_ARTIFACT_WEIGHT_TYPE_H_
