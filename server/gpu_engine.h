// The engine of GPUs, loaded when it is asked for.
#ifndef CYTOPRESS_SERVER_GPU_ENGINE_H_
#define CYTOPRESS_SERVER_GPU_ENGINE_H_

#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "core/serving/model_loader.h"

namespace cytopress {

// Loads the module at `path` (core/gpu/engine_module.h), for good. `on_lost` is called when the GPU
// is lost to this process (UNAVAILABLE of Engine::Classify), by any thread, perhaps by several and
// again and again; it must be short. FAILED_PRECONDITION, with what to do, where there is no module
// or it does not fit, UNAVAILABLE where there is no such GPU. Not thread-safe.
absl::StatusOr<EngineFactory> LoadGpuEngine(
    const std::string& path, int gpu, std::function<void()> on_lost = [] {});

}  // namespace cytopress

#endif  // CYTOPRESS_SERVER_GPU_ENGINE_H_
