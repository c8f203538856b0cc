#include "core/kernels/matrix_weights.h"

#include <algorithm>

#include "core/kernels/block_kernel.h"
#include "core/kernels/weight_reader.h"

namespace cytopress {
namespace {

constexpr int kMostBlocks = kTileRowBytes / kBlockChannels;

int64_t DivideUp(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace

MatrixWeights::MatrixWeights(const Convolution& convolution, int source_channels)
    : constants_(convolution),
      channel_groups_(static_cast<int>(DivideUp(source_channels, kBlockChannels))),
      steps_(static_cast<int>(DivideUp(channel_groups_, kMostBlocks))),
      blocks_(static_cast<int>(DivideUp(channel_groups_, steps_))) {
  const WeightReader reader(convolution, source_channels);
  taps_ = reader.taps();
  const int rows = convolution.out_channels;
  weights_.assign(DivideUp(rows, kPairRows) * pair_bytes(), 0);
  tap_sums_.assign(int64_t{rows} * taps_, 0);
  for (int row = 0; row < rows; ++row) {
    int8_t* const of_row =
        weights_.data() + row / kPairRows * pair_bytes() + int64_t{row} % kPairRows * kTileRowBytes;
    for (int tap = 0; tap < taps_; ++tap) {
      int channel = 0;
      for (int step = 0; step < steps_; ++step) {
        const int first = FirstBlock(step) * kBlockChannels;
        int8_t* const to = of_row + Offset(tap, step);
        for (; channel < first + blocks_ * kBlockChannels; ++channel) {
          const int8_t weight = reader.At(row, tap, channel);
          to[channel - first] = weight;
          tap_sums_[int64_t{row} * taps_ + tap] += weight;
        }
      }
    }
  }
}

int MatrixWeights::FirstBlock(int step) const {
  return std::min(step * blocks_, channel_groups_ - blocks_);
}

std::vector<int32_t> MatrixWeights::InitialAt(const std::vector<bool>& used_taps) const {
  std::vector<int32_t> initial;
  for (size_t row = 0; row < tap_sums_.size() / taps_; ++row) {
    int32_t sum = 0;
    for (int tap = 0; tap < taps_; ++tap) {
      if (used_taps[tap]) sum += tap_sums_[row * taps_ + tap];
    }
    initial.push_back(constants_.Initial(sum));
  }
  return initial;
}

int64_t MatrixWeights::bytes() const {
  return static_cast<int64_t>(weights_.size() + tap_sums_.size() * sizeof(int32_t)) +
         constants_.bytes();
}

}  // namespace cytopress
