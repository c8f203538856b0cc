// ONNX Runtime as a foreign judge of exported models.
#ifndef CYTOPRESS_TESTS_CORE_ONNX_ONNX_RUNTIME_H_
#define CYTOPRESS_TESTS_CORE_ONNX_ONNX_RUNTIME_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace cytopress {

// Empty when node and its module onnxruntime-node are there (tests/integration/onnx/install.sh),
// else what is missing.
std::string WhyNoOnnxRuntime();

// Every output of the model for all `pixels`, raw, by name. Temporary files go to `folder`.
absl::StatusOr<std::map<std::string, std::string>> RunOnnxRuntime(const std::string& model,
                                                                  absl::Span<const uint8_t> pixels,
                                                                  const std::string& folder);

std::vector<float> Floats(const std::string& raw);

}  // namespace cytopress

#endif  // CYTOPRESS_TESTS_CORE_ONNX_ONNX_RUNTIME_H_
