// The engine of CPUs: plans, and the memory in which they run.
#ifndef CYTOPRESS_CORE_ENGINE_PLAN_ENGINE_H_
#define CYTOPRESS_CORE_ENGINE_PLAN_ENGINE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/engine/arena.h"
#include "core/engine/batch_engine.h"
#include "core/engine/classifier.h"
#include "core/engine/compiled_model.h"

namespace cytopress {

// Thread-compatible, as every engine; those of one model compute side by side.
class PlanEngine : public BatchEngine {
 public:
  // Throws dnnl::error. REQUIRES: all engines of a model have as many threads.
  PlanEngine(std::shared_ptr<CompiledModel> compiled, int threads);

  absl::StatusOr<std::unique_ptr<Engine>> Clone() override;
  std::string name() const override { return compiled_->engine_name(); }

 private:
  void ClassifyBatch(const uint8_t* pixels, int count, int batch, float* probabilities) override;
  // The plan for `batch`, with room for it in the arena.
  Plan& PlanFor(int batch);
  // From one image's last map.
  void ClassifyMap(const uint8_t* map, int layer, float* probabilities);

  const std::shared_ptr<CompiledModel> compiled_;
  std::map<int, std::unique_ptr<Plan>> plans_;
  Arena arena_;
  std::vector<uint8_t> map_;    // one image's last
  std::vector<float> widened_;  // the same
  Classifier::Buffers buffers_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_ENGINE_PLAN_ENGINE_H_
