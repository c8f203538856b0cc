// A model compiled for this CPU: what all engines that compute it share.
#ifndef CYTOPRESS_CORE_ENGINE_COMPILED_MODEL_H_
#define CYTOPRESS_CORE_ENGINE_COMPILED_MODEL_H_

#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "core/engine/dense_model.h"
#include "core/engine/plan.h"
#include "core/kernels/block_kernel.h"

namespace cytopress {

// Packed weights, and one compiled plan for each batch size that was asked for. Thread-safe.
class CompiledModel {
 public:
  // Throws dnnl::error. Blocks: REQUIRES kInt8 arithmetic and a CPU with the kernel's instructions.
  CompiledModel(DenseModel model, const LayerWays& choice,
                const BlockKernel& kernel = BestBlockKernel());

  // Its weights are not for others to read: they go when they are packed.
  std::shared_ptr<const DenseModel> model() const { return model_; }
  // Engine::name of its engines.
  const std::string& engine_name() const { return engine_name_; }

  // A plan for the caller alone, whose constants are this object's, which must outlive it. The
  // first one of a batch size takes long. Throws dnnl::error. REQUIRES: all callers' threads have
  // the same number of OpenMP threads.
  std::unique_ptr<Plan> PlanFor(int batch) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  CompiledModel(const std::shared_ptr<DenseModel>& model, const LayerWays& choice,
                const BlockKernel& kernel);
  // Of the layers that oneDNN computes. Nothing but what compiles a plan reads them.
  void DropPackedWeights() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Changes by its convolutions' weights alone.
  const std::shared_ptr<DenseModel> model_;
  absl::Mutex mutex_;
  // Grows by the layouts that oneDNN's primitives of further batch sizes ask for.
  PackedModel packed_ ABSL_GUARDED_BY(mutex_);
  std::map<int, std::unique_ptr<const Plan>> plans_ ABSL_GUARDED_BY(mutex_);
  const std::string engine_name_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_ENGINE_COMPILED_MODEL_H_
