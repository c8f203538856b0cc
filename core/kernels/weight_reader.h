// A convolution's integer weights as the kernels on block maps want to read them.
#ifndef CYTOPRESS_CORE_KERNELS_WEIGHT_READER_H_
#define CYTOPRESS_CORE_KERNELS_WEIGHT_READER_H_

#include <cstdint>

#include "core/kernels/convolution.h"

namespace cytopress {

// By output channel, tap and source channel. `source_channels`: of the map that the convolution
// reads; in_channels is a multiple of it where Simplify made a kernel that covers its whole input
// pointwise, whose taps are the map's pixels. The convolution must outlive the reader. Does not
// change: any thread may read it.
class WeightReader {
 public:
  WeightReader(const Convolution& convolution, int source_channels)
      : weights_(convolution.integer_weights.data()),
        channels_(source_channels),
        row_(int64_t{convolution.in_channels} * convolution.kernel_height *
             convolution.kernel_width),
        taps_(static_cast<int>(row_ / source_channels)),
        covering_(convolution.in_channels != source_channels) {}

  int taps() const { return taps_; }
  int channels() const { return channels_; }
  // 0 for the channels that fill up the map's last block.
  int8_t At(int row, int tap, int channel) const {
    if (channel >= channels_) return 0;
    return weights_[row_ * row + (covering_ ? int64_t{tap} * channels_ + channel
                                            : int64_t{channel} * taps_ + tap)];
  }

 private:
  const int8_t* weights_;
  int channels_;
  int64_t row_;
  int taps_;
  bool covering_;  // [out, tap, in] instead of [out, in, tap]
};

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_KERNELS_WEIGHT_READER_H_
