// What makes an artifact valid: asked of what is to be written and of what was read.
#ifndef CYTOPRESS_CORE_ARTIFACT_CHECKS_H_
#define CYTOPRESS_CORE_ARTIFACT_CHECKS_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "core/artifact/artifact.h"

namespace cytopress {

// Shapes by tensor name.
using TensorShapes = std::map<std::string, std::vector<int64_t>>;

// All but the tensors. INVALID_ARGUMENT names the field.
absl::Status CheckMetadata(const Artifact& artifact, const Network& network);

// Every tensor is one of the network's, with its shape; every layer has its weight and either a
// bias or a whole batch norm.
absl::Status CheckShapes(const TensorShapes& tensors, const Network& network);

// Values and scales fit the shape, are finite, and are what the encoding and the model's weight
// type can hold. INVALID_ARGUMENT names the tensor. REQUIRES: the shape is the network's.
absl::Status CheckTensor(const std::string& name, const StoredTensor& tensor,
                         v1::WeightType weights);

// All of these.
absl::Status CheckArtifact(const Artifact& artifact, const Network& network);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_ARTIFACT_CHECKS_H_
