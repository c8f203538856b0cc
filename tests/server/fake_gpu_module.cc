// A module as cytopressd loads one for GPUs, with the program's own engine on the "GPU" 0. The
// "GPU" 1 has no memory, the "GPU" 2 is lost as soon as something is to be computed, the "GPU" 3
// before. There are no others.
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "core/gpu/engine_module.h"

namespace {

class LostEngine : public cytopress::Engine {
 public:
  absl::Status Classify(absl::Span<const uint8_t> pixels, int count,
                        absl::Span<float> probabilities) override {
    return absl::UnavailableError("the GPU is lost");
  }
  absl::StatusOr<std::unique_ptr<cytopress::Engine>> Clone() override {
    return std::make_unique<LostEngine>();
  }
  std::string name() const override { return "lost"; }
  int classes() const override { return 2; }
  int64_t image_bytes() const override { return 1; }
  int preferred_batch() const override { return 1; }
};

}  // namespace

extern "C" void CytopressDescribeGpuModule(cytopress::GpuModuleBuild* build) {
  *build = {CYTOPRESS_VERSION, sizeof(cytopress::Artifact), sizeof(cytopress::EngineOptions)};
}

extern "C" void CytopressCheckGpu(int gpu, absl::Status* status) {
  if (gpu > 3) *status = absl::UnavailableError("there are four GPUs");
}

extern "C" void CytopressCreateGpuEngine(
    const cytopress::Artifact& artifact, int gpu,
    absl::StatusOr<std::unique_ptr<cytopress::Engine>>* engine) {
  if (gpu == 0) {
    *engine = cytopress::CreateEngine(artifact, {});
  } else if (gpu == 2) {
    *engine = std::make_unique<LostEngine>();
  } else if (gpu == 3) {
    *engine = absl::UnavailableError("the GPU is lost");
  } else {
    *engine = absl::ResourceExhaustedError("no memory of the GPU is free");
  }
}
