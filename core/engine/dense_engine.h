// The dense engine: oneDNN convolutions, one compiled plan a batch size.
#ifndef CYTOPRESS_CORE_ENGINE_DENSE_ENGINE_H_
#define CYTOPRESS_CORE_ENGINE_DENSE_ENGINE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "core/engine/batch_engine.h"
#include "core/engine/dense_plan.h"

namespace cytopress {

class DenseEngine : public BatchEngine {
 public:
  // Throws dnnl::error.
  DenseEngine(DenseModel model, int threads);

  std::string name() const override;

 private:
  void ClassifyBatch(const uint8_t* pixels, int count, int batch, float* probabilities) override;
  // The plan for `batch`, compiled at its first use, with room for it in the arena.
  DensePlan& PlanFor(int batch);
  void FillInput(const uint8_t* pixels, int count, int batch, uint8_t* input) const;

  PackedModel packed_;
  dnnl::stream stream_;
  std::map<int, std::unique_ptr<DensePlan>> plans_;
  Arena arena_;
  std::vector<float> widened_;  // one image's last map
};

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_ENGINE_DENSE_ENGINE_H_
