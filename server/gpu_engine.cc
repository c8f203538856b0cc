#include "server/gpu_engine.h"

#include <dlfcn.h>

#include <filesystem>
#include <memory>
#include <system_error>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/gpu/engine_module.h"

namespace cytopress {

absl::StatusOr<EngineFactory> LoadGpuEngine(const std::string& path, int gpu) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) {
    return absl::FailedPreconditionError(
        absl::StrCat("there is no ", path,
                     ", without which this cytopressd computes on the CPU alone; build it with a "
                     "CUDA LibTorch (CMAKE_PREFIX_PATH=/path/to/libtorch deploy/build.sh), or "
                     "leave the flag out"));
  }
  void* const module = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  void* const function = module == nullptr ? nullptr : dlsym(module, kCreateGpuEngine);
  if (function == nullptr) {
    return absl::FailedPreconditionError(absl::StrCat(path, " cannot be loaded: ", dlerror(),
                                                      "; build it together with this cytopressd"));
  }
  return EngineFactory([create = reinterpret_cast<CreateGpuEngineFunction*>(function), gpu](
                           const Artifact& artifact, const EngineOptions&) {
    absl::StatusOr<std::unique_ptr<Engine>> engine = absl::UnknownError("not made");
    create(artifact, gpu, &engine);
    return engine;
  });
}

}  // namespace cytopress
