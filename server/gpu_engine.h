// The engine of GPUs, loaded when it is asked for.
#ifndef CYTOPRESS_SERVER_GPU_ENGINE_H_
#define CYTOPRESS_SERVER_GPU_ENGINE_H_

#include <string>

#include "absl/status/statusor.h"
#include "core/serving/model_loader.h"

namespace cytopress {

// Loads the module at `path` (core/gpu/engine_module.h), for good. FAILED_PRECONDITION, with what
// to do, where there is none or it does not fit. Not thread-safe.
absl::StatusOr<EngineFactory> LoadGpuEngine(const std::string& path, int gpu);

}  // namespace cytopress

#endif  // CYTOPRESS_SERVER_GPU_ENGINE_H_
