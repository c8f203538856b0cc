#include "server/gpu_engine.h"

#include <dlfcn.h>

#include <cstring>
#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "core/base/status_macros.h"
#include "core/engine/engine.h"
#include "core/gpu/engine_module.h"

namespace cytopress {
namespace {

// Tells when its device is lost.
class WatchedEngine : public Engine {
 public:
  WatchedEngine(std::unique_ptr<Engine> engine, std::function<void()> on_lost)
      : engine_(std::move(engine)), on_lost_(std::move(on_lost)) {}

  absl::Status Classify(absl::Span<const uint8_t> pixels, int count,
                        absl::Span<float> probabilities) override {
    absl::Status status = engine_->Classify(pixels, count, probabilities);
    if (absl::IsUnavailable(status)) on_lost_();
    return status;
  }
  absl::StatusOr<std::unique_ptr<Engine>> Clone() override {
    return Watch(engine_->Clone(), on_lost_);
  }
  std::string name() const override { return engine_->name(); }
  int classes() const override { return engine_->classes(); }
  int64_t image_bytes() const override { return engine_->image_bytes(); }
  int preferred_batch() const override { return engine_->preferred_batch(); }

  // What making an engine has come to.
  static absl::StatusOr<std::unique_ptr<Engine>> Watch(absl::StatusOr<std::unique_ptr<Engine>> made,
                                                       const std::function<void()>& on_lost) {
    if (absl::IsUnavailable(made.status())) on_lost();
    CYTOPRESS_RETURN_IF_ERROR(made.status());
    return std::make_unique<WatchedEngine>(*std::move(made), on_lost);
  }

 private:
  const std::unique_ptr<Engine> engine_;
  const std::function<void()> on_lost_;
};

// What they hand each other must look the same to both.
absl::Status CheckBuild(const std::string& path, DescribeGpuModuleFunction* describe) {
  GpuModuleBuild build;
  describe(&build);
  if (std::strcmp(build.version, CYTOPRESS_VERSION) == 0 &&
      build.artifact_bytes == sizeof(Artifact) && build.options_bytes == sizeof(EngineOptions)) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(absl::StrCat(
      path, " is of another build (version ", build.version, ") than this cytopressd (version ",
      CYTOPRESS_VERSION, "); build or install them together"));
}

}  // namespace

absl::StatusOr<EngineFactory> LoadGpuEngine(const std::string& path, int gpu,
                                            std::function<void()> on_lost) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) {
    return absl::FailedPreconditionError(
        absl::StrCat("there is no ", path,
                     ", without which this cytopressd computes on the CPU alone; build it with a "
                     "CUDA LibTorch (CMAKE_PREFIX_PATH=/path/to/libtorch deploy/build.sh), or "
                     "leave the flag out"));
  }
  void* const module = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  void* const describe = module == nullptr ? nullptr : dlsym(module, kDescribeGpuModule);
  void* const check = describe == nullptr ? nullptr : dlsym(module, kCheckGpu);
  void* const make = check == nullptr ? nullptr : dlsym(module, kCreateGpuEngine);
  if (make == nullptr) {
    return absl::FailedPreconditionError(absl::StrCat(path, " cannot be loaded: ", dlerror(),
                                                      "; build it together with this cytopressd"));
  }
  CYTOPRESS_RETURN_IF_ERROR(
      CheckBuild(path, reinterpret_cast<DescribeGpuModuleFunction*>(describe)));
  absl::Status status;
  reinterpret_cast<CheckGpuFunction*>(check)(gpu, &status);
  CYTOPRESS_RETURN_IF_ERROR(status);
  return EngineFactory(
      [create = reinterpret_cast<CreateGpuEngineFunction*>(make), gpu,
       on_lost = std::move(on_lost)](const Artifact& artifact, const EngineOptions&) {
        absl::StatusOr<std::unique_ptr<Engine>> engine = absl::UnknownError("not made");
        create(artifact, gpu, &engine);
        return WatchedEngine::Watch(std::move(engine), on_lost);
      });
}

}  // namespace cytopress
