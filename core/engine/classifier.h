// The end of every network: global average pooling, the linear classifier and the softmax, in FP32.
#ifndef CYTOPRESS_CORE_ENGINE_CLASSIFIER_H_
#define CYTOPRESS_CORE_ENGINE_CLASSIFIER_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace cytopress {

// Every image is computed by itself in a fixed order, so that its result does not depend on the
// others. Thread-safe.
class Classifier {
 public:
  // Working memory; each call needs one for itself.
  struct Buffers {
    std::vector<int32_t> sums;
    std::vector<float> pooled;
    std::vector<float> logits;
  };

  Classifier() = default;
  // weights: [bias.size(), features] row-major.
  Classifier(absl::Span<const float> weights, absl::Span<const float> bias);

  int features() const { return features_; }
  int classes() const { return static_cast<int>(bias_.size()); }
  // [features(), stride()] row-major, where the classes come first in a row and zeros fill it up.
  const std::vector<float>& weights() const { return weights_; }
  int stride() const { return stride_; }
  const std::vector<float>& bias() const { return bias_; }

  // map: [positions, features()] of one image, each `step` times the stored value. Writes classes()
  // probabilities.
  void Classify(const uint8_t* map, int positions, float step, Buffers& buffers,
                float* probabilities) const;
  void Classify(const float* map, int positions, Buffers& buffers, float* probabilities) const;

 private:
  void ClassifyPooled(Buffers& buffers, float* probabilities) const;

  int features_ = 0;
  int stride_ = 0;              // classes, rounded up to whole lanes
  std::vector<float> weights_;  // [features, stride_], zero beyond the classes
  std::vector<float> bias_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_ENGINE_CLASSIFIER_H_
