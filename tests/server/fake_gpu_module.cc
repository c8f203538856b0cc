// A module as cytopressd loads one for GPUs, with the program's own engine on the "GPU" 0.
#include "core/gpu/engine_module.h"

extern "C" void CytopressCreateGpuEngine(
    const cytopress::Artifact& artifact, int gpu,
    absl::StatusOr<std::unique_ptr<cytopress::Engine>>* engine) {
  if (gpu == 0) {
    *engine = cytopress::CreateEngine(artifact, {});
  } else {
    *engine = absl::FailedPreconditionError("there is one GPU");
  }
}
