// Models of any shape without training, for tests and benchmarks.
#ifndef CYTOPRESS_TESTS_CORE_ENGINE_RANDOM_ARTIFACT_H_
#define CYTOPRESS_TESTS_CORE_ENGINE_RANDOM_ARTIFACT_H_

#include <cstdint>
#include <vector>

#include "core/artifact/artifact.h"
#include "core/network/network.h"

namespace cytopress {

// Weights of the least magnitude that are set to zero in every layer that may be pruned: single
// ones, or blocks of 4 consecutive input channels by their Euclidean norm.
struct RandomPruning {
  float sparsity = 0;
  bool blocks = false;
};

// An artifact whose weights are random (bell-shaped as trained ones are, with He et al.'s variance,
// so that activations keep their size), with plausible batch-norm statistics and class names
// "class0", "class1", ... The same seed makes the same artifact. INT8 and INT4 artifacts have
// folded batch norms, and activation ranges as two random images show them. REQUIRES: `spec` is
// valid.
Artifact RandomArtifact(const NetworkSpec& spec, v1::WeightType weights, uint64_t seed = 1,
                        const RandomPruning& pruning = {});

// Random uint8 images [count, height, width, channels].
std::vector<uint8_t> RandomPixels(const NetworkSpec& spec, int count, uint64_t seed = 1);

// One image of pixels as the network takes it.
std::vector<float> Normalize(const Preprocessing& preprocessing, const uint8_t* pixels);

// FP32 values of all tensors.
TensorMap DequantizeAll(const Artifact& artifact);

}  // namespace cytopress

#endif  // CYTOPRESS_TESTS_CORE_ENGINE_RANDOM_ARTIFACT_H_
