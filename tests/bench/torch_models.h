// The ways in which LibTorch runs a network on a CPU.
#ifndef CYTOPRESS_TESTS_BENCH_TORCH_MODELS_H_
#define CYTOPRESS_TESTS_BENCH_TORCH_MODELS_H_

#include <torch/torch.h>

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/artifact/artifact.h"

namespace cytopress {

// images: float [N, C, H, W], normalized, channels_last. Returns probabilities [N, classes].
using TorchModel = std::function<torch::Tensor(const torch::Tensor& images)>;

// "eager": FP32, operation by operation, batch norm apart. "frozen": the same as TorchScript,
// frozen and optimized for inference (batch norm folded, oneDNN's layouts). "quantized": INT8 on
// LibTorch's ONEDNN engine, activations rounded to the artifact's ranges.
const std::vector<std::string>& TorchModelNames();

// INVALID_ARGUMENT for an unknown name; LibTorch's errors come as its exceptions.
absl::StatusOr<TorchModel> MakeTorchModel(const std::string& name, const Artifact& artifact);

}  // namespace cytopress

#endif  // CYTOPRESS_TESTS_BENCH_TORCH_MODELS_H_
