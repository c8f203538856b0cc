// The engine of NVIDIA GPUs; only where LibTorch has CUDA.
#ifndef CYTOPRESS_CORE_GPU_CUDA_ENGINE_H_
#define CYTOPRESS_CORE_GPU_CUDA_ENGINE_H_

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/artifact/artifact.h"
#include "core/engine/engine.h"

namespace cytopress {

// UNAVAILABLE unless this process sees a GPU of that number.
absl::Status CheckGpu(int gpu);

// "torch-cuda-fp16": FP16, channels_last, for any artifact (integer weights are expanded,
// activations are not quantized), one CUDA graph a batch size on a stream of the engine's own. All
// are recorded before this returns, one engine after the other. Probabilities are within about 1e-2
// of FP32's. With the last engine of a model the device gets its memory back. RESOURCE_EXHAUSTED
// when the GPU's memory is short, UNAVAILABLE when there is no such GPU or it is lost to this
// process.
absl::StatusOr<std::unique_ptr<Engine>> CreateCudaEngine(const Artifact& artifact, int gpu);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_GPU_CUDA_ENGINE_H_
