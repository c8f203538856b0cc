// The engine of GPUs as a module that a program loads when it is asked for.
//
// A program that is linked with a CUDA LibTorch pays for its 285 libraries at every start, and
// cannot start threads with small stacks, such as the 100 KB ones of the HTTP server of the
// metrics: the thread-local variables of those libraries would take more. Those of libraries that
// are loaded later are allocated where a thread uses them.
#ifndef CYTOPRESS_CORE_GPU_ENGINE_MODULE_H_
#define CYTOPRESS_CORE_GPU_ENGINE_MODULE_H_

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/artifact/artifact.h"
#include "core/engine/engine.h"

namespace cytopress {

// The module's file. All but LibTorch it uses is the loading program's, which is built together
// with it and exports its symbols.
inline constexpr char kGpuModule[] = "libcytopress-gpu.so";

// By this a program knows a module that was not built together with it, before they hand each other
// C++ objects. It stays as it is in every release.
struct GpuModuleBuild {
  const char* version = "";     // CYTOPRESS_VERSION
  uint64_t artifact_bytes = 0;  // sizeof(Artifact)
  uint64_t options_bytes = 0;   // sizeof(EngineOptions)
};
inline constexpr char kDescribeGpuModule[] = "CytopressDescribeGpuModule";
using DescribeGpuModuleFunction = void(GpuModuleBuild* build);

// The other functions of the module: those of core/gpu/cuda_engine.h, of which each puts its result
// into its last argument.
inline constexpr char kCheckGpu[] = "CytopressCheckGpu";
using CheckGpuFunction = void(int gpu, absl::Status* status);
inline constexpr char kCreateGpuEngine[] = "CytopressCreateGpuEngine";
using CreateGpuEngineFunction = void(const Artifact& artifact, int gpu,
                                     absl::StatusOr<std::unique_ptr<Engine>>* engine);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_GPU_ENGINE_MODULE_H_
