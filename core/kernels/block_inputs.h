// Where a convolution on block maps finds the inputs of its taps.
#ifndef CYTOPRESS_CORE_KERNELS_BLOCK_INPUTS_H_
#define CYTOPRESS_CORE_KERNELS_BLOCK_INPUTS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "core/kernels/block_kernel.h"
#include "core/kernels/block_map.h"
#include "core/kernels/block_planes.h"
#include "core/kernels/convolution.h"

namespace cytopress {

// Output positions whose windows have the same taps in the map.
struct AlikePositions {
  struct Position {
    int y, x;
  };
  std::vector<bool> used_taps;
  std::vector<Position> positions;
};

// All of the output's. `taps` counts the pixels of a kernel that covers its whole input.
std::vector<AlikePositions> PositionsByTaps(const Convolution& convolution, int taps);

// Immutable.
class BlockInputs {
 public:
  // `kernel` must outlive the object. `taps` as above.
  BlockInputs(const Convolution& convolution, const BlockMap& source, const BlockKernel& kernel,
              int taps);

  // Bytes of working memory.
  size_t scratch_bytes() const { return planes_.has_value() ? planes_->bytes() : 0; }
  // Where the inputs lie that belong to `source`; fills the working memory if it is there.
  const uint8_t* Prepare(const uint8_t* source, uint8_t* scratch) const;

  // Bytes from there to the first input of the window of the output at (y, x), which may be padding
  // that is not there; 0 for maps of one tile.
  int64_t WindowOffset(int y, int x) const;
  // From there to the first of 4 channels at a tap.
  int32_t TapOffset(int tap, int group) const { return offsets_[tap * channel_groups_ + group]; }
  // All of them.
  const std::vector<int32_t>& tap_offsets() const { return offsets_; }
  // From 4 channels to the next 4 of a tap.
  int64_t group_stride() const { return group_stride_; }

 private:
  const BlockMap source_;
  const int stride_;
  const int pad_top_;
  const int pad_left_;
  const int channel_groups_;
  int64_t group_stride_;
  std::optional<BlockPlanes> planes_;
  std::vector<int32_t> offsets_;  // [tap][group]
};

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_KERNELS_BLOCK_INPUTS_H_
