// What engines have in common that compute requests in batches of a few sizes.
#ifndef CYTOPRESS_CORE_ENGINE_BATCH_ENGINE_H_
#define CYTOPRESS_CORE_ENGINE_BATCH_ENGINE_H_

#include <cstdint>
#include <memory>

#include "core/engine/dense_model.h"
#include "core/engine/engine.h"

namespace cytopress {

// OpenMP's number of threads for this thread's parallel regions, put back on destruction.
class ScopedThreads {
 public:
  explicit ScopedThreads(int threads);
  ~ScopedThreads();
  ScopedThreads(const ScopedThreads&) = delete;
  ScopedThreads& operator=(const ScopedThreads&) = delete;

 private:
  const int before_;
};

// Of the batches that are computed in one go. The defaults are for CPUs, whose caches are small.
struct BatchLimits {
  int images = 32;  // a power of two
  // Of the largest map of a batch, in the model's numbers: large images are computed in smaller
  // batches.
  int64_t map_bytes = int64_t{64} << 20;
};

// The largest batch of a model within these limits, at least 1.
int LargestBatch(const DenseModel& model, const BatchLimits& limits = {});

// Checks requests and cuts them into batches. Thread-compatible, as every engine.
class BatchEngine : public Engine {
 public:
  BatchEngine(std::shared_ptr<const DenseModel> model, int threads, const BatchLimits& limits = {});

  absl::Status Classify(absl::Span<const uint8_t> pixels, int count,
                        absl::Span<float> probabilities) override;
  int classes() const override { return model_->classifier.classes(); }
  int64_t image_bytes() const override { return image_bytes_; }
  int preferred_batch() const override { return largest_batch_; }

 protected:
  // Computes `count` images with the plan for `batch` >= count, on threads() OpenMP threads. May
  // throw what is an std::exception.
  virtual void ClassifyBatch(const uint8_t* pixels, int count, int batch, float* probabilities) = 0;

  int threads() const { return threads_; }

  const DenseModel& model() const { return *model_; }
  const std::shared_ptr<const DenseModel>& shared_model() const { return model_; }

 private:
  const std::shared_ptr<const DenseModel> model_;
  const int threads_;
  const int64_t image_bytes_;
  const int largest_batch_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_ENGINE_BATCH_ENGINE_H_
