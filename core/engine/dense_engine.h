// The dense engine: oneDNN convolutions, one compiled plan a batch size.
#ifndef CYTOPRESS_CORE_ENGINE_DENSE_ENGINE_H_
#define CYTOPRESS_CORE_ENGINE_DENSE_ENGINE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "core/engine/dense_model.h"
#include "core/engine/dense_plan.h"
#include "core/engine/engine.h"

namespace cytopress {

// The batch size of the plan that computes the next images of a request for `remaining`: a power of
// two up to `largest`. It may be greater than `remaining`, where computing a few images for nothing
// is cheaper than another pass over all weights.
int NextBatch(int remaining, int largest);

class DenseEngine : public Engine {
 public:
  // Throws dnnl::error.
  DenseEngine(DenseModel model, int threads);

  absl::Status Classify(absl::Span<const uint8_t> pixels, int count,
                        absl::Span<float> probabilities) override;
  std::string name() const override;
  int classes() const override { return model_.classifier.classes(); }
  int64_t image_bytes() const override { return image_bytes_; }
  int preferred_batch() const override { return largest_batch_; }

 private:
  // The plan for `batch`, compiled at its first use, with room for it in the arena.
  DensePlan& PlanFor(int batch);
  void ClassifyBatch(const uint8_t* pixels, int count, float* probabilities);
  void FillInput(const uint8_t* pixels, int count, int batch, uint8_t* input) const;

  DenseModel model_;
  const int threads_;
  const int64_t image_bytes_;
  const int largest_batch_;
  PackedModel packed_;
  dnnl::stream stream_;
  std::map<int, std::unique_ptr<DensePlan>> plans_;
  Arena arena_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_ENGINE_DENSE_ENGINE_H_
