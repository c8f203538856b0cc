#include "core/gpu/engine_module.h"

#include "core/gpu/cuda_engine.h"

extern "C" void CytopressDescribeGpuModule(cytopress::GpuModuleBuild* build) {
  *build = {CYTOPRESS_VERSION, sizeof(cytopress::Artifact), sizeof(cytopress::EngineOptions)};
}

extern "C" void CytopressCheckGpu(int gpu, absl::Status* status) {
  *status = cytopress::CheckGpu(gpu);
}

extern "C" void CytopressCreateGpuEngine(
    const cytopress::Artifact& artifact, int gpu,
    absl::StatusOr<std::unique_ptr<cytopress::Engine>>* engine) {
  *engine = cytopress::CreateCudaEngine(artifact, gpu);
}
