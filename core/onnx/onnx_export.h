// A model as an ONNX file (https://onnx.ai), which other runtimes run with the same answers:
// docs/onnx-export.md has the contract of its input and output.
#ifndef CYTOPRESS_CORE_ONNX_ONNX_EXPORT_H_
#define CYTOPRESS_CORE_ONNX_ONNX_EXPORT_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "core/artifact/artifact.h"

namespace cytopress {

// How an INT8 model adds a residual to a convolution's sums.
enum class OnnxResidual {
  // Unrounded, as the engine does: these convolutions (every second or third) compute in FP32 on
  // dequantized values.
  kExact,
  // Rounds the sums to 8 bits before the addition, so that a runtime computes all in integers:
  // faster, but every addition may be a step or so off what the engine answers.
  kRounded,
};

struct OnnxOptions {
  std::string name;  // of the model
  int64_t version = 0;
  std::string producer_version;  // cytopress's own
  OnnxResidual residual = OnnxResidual::kExact;
};

// The serialized ONNX model. INT8 and INT4 weights whose activation ranges are known become
// QuantizeLinear/DequantizeLinear pairs on exactly the engine's grids (the "QDQ" form); FP16
// weights are stored as FP16 and computed with in FP32. Errors: FAILED_PRECONDITION for integer
// weights without activation ranges; INVALID_ARGUMENT for an artifact that ParseArtifact would not
// have returned. Thread-safe.
absl::StatusOr<std::string> ExportOnnx(const Artifact& artifact, const OnnxOptions& options);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_ONNX_ONNX_EXPORT_H_
