#include "core/artifact/activation_grid.h"

#include <cmath>

#include "absl/strings/str_cat.h"

namespace cytopress {

absl::StatusOr<float> ActivationStep(const Artifact& artifact, const Layer& layer) {
  const auto range = artifact.activation_ranges.find(layer.name);
  if (range == artifact.activation_ranges.end()) {
    return absl::FailedPreconditionError(
        absl::StrCat("activation_ranges: none for the layer '", layer.name,
                     "', so the model has no INT8 form; quantize it again"));
  }
  const float step = range->second / static_cast<float>(ActivationSteps(layer.relu));
  if (step > 0 && std::isnormal(step)) return step;
  return absl::InvalidArgumentError(absl::StrCat("activation_ranges: ", range->second,
                                                 " for the layer '", layer.name,
                                                 "' is not a positive number"));
}

}  // namespace cytopress
