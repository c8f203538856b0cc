// ONNX Runtime as contenders: the same artifact as an ONNX model, in a process of Node.js.
#ifndef CYTOPRESS_TESTS_BENCH_ONNX_CONTENDER_H_
#define CYTOPRESS_TESTS_BENCH_ONNX_CONTENDER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/artifact/artifact.h"
#include "tests/bench/contender.h"

namespace cytopress {

inline constexpr char kOrtFp32[] = "onnxruntime-fp32";
// As it is exported: sums that meet a residual are not rounded.
inline constexpr char kOrtInt8Exact[] = "onnxruntime-int8-exact";
// All in integers, its fastest form; every residual addition rounds once more.
inline constexpr char kOrtInt8[] = "onnxruntime-int8";

// The artifact's FP32 values as an FP32 model.
Artifact ToFloat32(const Artifact& artifact);

// One of the three, from uint8 pixels to probabilities. NOT_FOUND where there is no ONNX Runtime
// (tests/integration/onnx/install.sh). `pixels`: as many images as the largest batch.
absl::StatusOr<std::unique_ptr<Contender>> MakeOnnxContender(const std::string& name,
                                                             const Artifact& artifact,
                                                             const std::vector<uint8_t>& pixels,
                                                             int threads, TimeKind time);

}  // namespace cytopress

#endif  // CYTOPRESS_TESTS_BENCH_ONNX_CONTENDER_H_
