// The engine of CPUs: one plan a batch size.
#ifndef CYTOPRESS_CORE_ENGINE_PLAN_ENGINE_H_
#define CYTOPRESS_CORE_ENGINE_PLAN_ENGINE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/engine/batch_engine.h"
#include "core/engine/plan.h"

namespace cytopress {

class PlanEngine : public BatchEngine {
 public:
  // Throws dnnl::error. Blocks: REQUIRES kInt8 arithmetic and a CPU with the kernel's instructions.
  PlanEngine(DenseModel model, const LayerChoice& choice, int threads,
             const BlockKernel& kernel = BestBlockKernel());

  std::string name() const override;

 private:
  void ClassifyBatch(const uint8_t* pixels, int count, int batch, float* probabilities) override;
  // The plan for `batch`, compiled at its first use, with room for it in the arena.
  Plan& PlanFor(int batch);
  // From one image's last map.
  void ClassifyMap(const uint8_t* map, int layer, float* probabilities);

  PackedModel packed_;
  std::map<int, std::unique_ptr<Plan>> plans_;
  Arena arena_;
  std::vector<uint8_t> map_;    // one image's last
  std::vector<float> widened_;  // the same
};

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_ENGINE_PLAN_ENGINE_H_
