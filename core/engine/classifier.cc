#include "core/engine/classifier.h"

#include <algorithm>
#include <cmath>

namespace cytopress {
namespace {

constexpr int kLanes = 8;
// Sums that grow side by side, so that one addition need not wait for another.
constexpr int kWays = 4;

void Softmax(const float* logits, int classes, float* probabilities) {
  const float largest = *std::max_element(logits, logits + classes);
  float sum = 0;
  for (int c = 0; c < classes; ++c) {
    probabilities[c] = std::exp(logits[c] - largest);
    sum += probabilities[c];
  }
  for (int c = 0; c < classes; ++c) probabilities[c] /= sum;
}

}  // namespace

Classifier::Classifier(absl::Span<const float> weights, absl::Span<const float> bias)
    : features_(static_cast<int>(weights.size() / bias.size())),
      stride_((static_cast<int>(bias.size()) + kLanes - 1) / kLanes * kLanes),
      weights_(static_cast<size_t>(features_) * stride_, 0.0f),
      bias_(bias.begin(), bias.end()) {
  for (int c = 0; c < classes(); ++c) {
    for (int f = 0; f < features_; ++f) {
      weights_[static_cast<size_t>(f) * stride_ + c] =
          weights[static_cast<size_t>(c) * features_ + f];
    }
  }
}

void Classifier::Classify(const uint8_t* map, int positions, float step, Buffers& buffers,
                          float* probabilities) const {
  buffers.sums.assign(features_, 0);
  buffers.pooled.resize(features_);
  int32_t* const sums = buffers.sums.data();
  for (int p = 0; p < positions; ++p) {
    for (int f = 0; f < features_; ++f) sums[f] += map[f];
    map += features_;
  }
  const float scale = step / static_cast<float>(positions);
  for (int f = 0; f < features_; ++f) buffers.pooled[f] = scale * static_cast<float>(sums[f]);
  ClassifyPooled(buffers, probabilities);
}

void Classifier::Classify(const float* map, int positions, Buffers& buffers,
                          float* probabilities) const {
  buffers.pooled.assign(features_, 0.0f);
  float* const pooled = buffers.pooled.data();
  for (int p = 0; p < positions; ++p) {
    for (int f = 0; f < features_; ++f) pooled[f] += map[f];
    map += features_;
  }
  const float scale = 1.0f / static_cast<float>(positions);
  for (int f = 0; f < features_; ++f) pooled[f] *= scale;
  ClassifyPooled(buffers, probabilities);
}

void Classifier::ClassifyPooled(Buffers& buffers, float* probabilities) const {
  const float* const pooled = buffers.pooled.data();
  buffers.logits.resize(stride_);
  float* const logits = buffers.logits.data();
  for (int first = 0; first < stride_; first += kLanes) {
    float sums[kWays][kLanes] = {};
    const float* row = &weights_[first];
    int f = 0;
    for (; f + kWays <= features_; f += kWays) {
      for (int way = 0; way < kWays; ++way, row += stride_) {
        for (int lane = 0; lane < kLanes; ++lane) sums[way][lane] += pooled[f + way] * row[lane];
      }
    }
    for (; f < features_; ++f, row += stride_) {
      for (int lane = 0; lane < kLanes; ++lane) sums[0][lane] += pooled[f] * row[lane];
    }
    for (int lane = 0; lane < kLanes; ++lane) {
      float sum = 0;
      for (int way = 0; way < kWays; ++way) sum += sums[way][lane];
      logits[first + lane] = sum;
    }
  }
  for (int c = 0; c < classes(); ++c) logits[c] += bias_[c];
  Softmax(logits, classes(), probabilities);
}

}  // namespace cytopress
