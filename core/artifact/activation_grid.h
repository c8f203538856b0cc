// The grid on which INT8 arithmetic stores a layer's outputs: the engine computes on it, an ONNX
// file describes it, and calibration chooses its range.
#ifndef CYTOPRESS_CORE_ARTIFACT_ACTIVATION_GRID_H_
#define CYTOPRESS_CORE_ARTIFACT_ACTIVATION_GRID_H_

#include "absl/status/statusor.h"
#include "core/artifact/artifact.h"
#include "core/network/network.h"

namespace cytopress {

// From zero to the range: outputs of a ReLU are stored unsigned, others in steps either way.
inline int ActivationSteps(bool relu) { return relu ? 255 : 127; }

// Steps of the output that a product of two ones is at least worth: of less, the sum of a whole
// channel does not change what is stored.
inline constexpr float kSmallestProduct = 1e-12f;

// The size of a step of the outputs of `layer`, a convolution or the input; pooled maps keep the
// grid of what they pool. FAILED_PRECONDITION where the artifact has no range for it,
// INVALID_ARGUMENT where that gives no positive number.
absl::StatusOr<float> ActivationStep(const Artifact& artifact, const Layer& layer);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_ARTIFACT_ACTIVATION_GRID_H_
