// The block engine: INT8 convolutions that skip blocks of zero weights, on any CPU.
#ifndef CYTOPRESS_CORE_ENGINE_BLOCK_ENGINE_H_
#define CYTOPRESS_CORE_ENGINE_BLOCK_ENGINE_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/engine/batch_engine.h"
#include "core/engine/block_plan.h"

namespace cytopress {

class BlockEngine : public BatchEngine {
 public:
  // REQUIRES: the model's arithmetic is kInt8; this CPU has the kernel's instructions.
  BlockEngine(DenseModel model, int threads, const BlockKernel& kernel = BestBlockKernel());

  std::string name() const override;

 private:
  void ClassifyBatch(const uint8_t* pixels, int count, int batch, float* probabilities) override;
  BlockPlan& PlanFor(int batch);

  const BlockKernel& kernel_;
  BlockModel blocks_;
  std::map<int, std::unique_ptr<BlockPlan>> plans_;
  Arena arena_;
  std::vector<uint8_t> pooled_map_;  // of one image
};

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_ENGINE_BLOCK_ENGINE_H_
