#include "core/engine/engine.h"

#include <algorithm>
#include <new>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/artifact/weight_type.h"
#include "core/base/status_macros.h"
#include "core/engine/compiled_model.h"
#include "core/engine/dense_model.h"
#include "core/engine/layer_choice.h"
#include "core/engine/plan_engine.h"
#include "core/kernels/onednn.h"

namespace cytopress {
namespace {

absl::StatusOr<DenseArithmetic> Choose(const Artifact& artifact, const EngineOptions& options) {
  switch (options.arithmetic) {
    case Arithmetic::kInt8:
      return DenseArithmetic::kInt8;
    case Arithmetic::kFp32:
      return DenseArithmetic::kFp32;
    case Arithmetic::kBf16:
      if (HasBfloat16()) return DenseArithmetic::kBf16;
      return absl::FailedPreconditionError(
          "this CPU has no instructions for BF16 (AVX512-BF16); use FP32 arithmetic");
    case Arithmetic::kAuto:
      break;
  }
  if (IsInteger(artifact.weights)) return DenseArithmetic::kInt8;
  return options.prefer_bf16 && HasBfloat16() ? DenseArithmetic::kBf16 : DenseArithmetic::kFp32;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Engine>> CreateEngine(const Artifact& artifact,
                                                     const EngineOptions& options) {
  if (options.threads < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("threads: ", options.threads, "; an engine needs at least 1"));
  }
  try {
    CYTOPRESS_ASSIGN_OR_RETURN(const DenseArithmetic arithmetic, Choose(artifact, options));
    CYTOPRESS_ASSIGN_OR_RETURN(DenseModel model, BuildDenseModel(artifact, arithmetic));
    const LayerWays choice = ChooseLayers(model);
    auto compiled = std::make_shared<CompiledModel>(std::move(model), choice);
    return std::make_unique<PlanEngine>(std::move(compiled), options.threads);
  } catch (const dnnl::error& error) {
    return absl::InternalError(absl::StrCat("oneDNN failed: ", error.what()));
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("no memory for the model");
  }
}

int NextBatch(int remaining, int largest) {
  int batch = 1;
  while (batch * 2 <= std::min(remaining, largest)) batch *= 2;
  // Three quarters full is full enough.
  if (batch < largest && 2 * remaining >= 3 * batch) return 2 * batch;
  return batch;
}

std::string OneDnnVersion() {
  const dnnl_version_t* const version = dnnl_version();
  return absl::StrCat(version->major, ".", version->minor, ".", version->patch);
}

}  // namespace cytopress
