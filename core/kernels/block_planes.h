// A map's copies that turn the taps of a convolution into constant distances.
#ifndef CYTOPRESS_CORE_KERNELS_BLOCK_PLANES_H_
#define CYTOPRESS_CORE_KERNELS_BLOCK_PLANES_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/kernels/block_kernel.h"
#include "core/kernels/block_map.h"
#include "core/kernels/convolution.h"

namespace cytopress {

// For maps of one tile. The output's positions are the lanes, so a tap must find its input for all
// of them at one distance. That holds along y, where rows follow each other, once the map has rows
// of zeros around it and, for a stride, its rows are sorted by their number modulo the stride;
// along x each tap gets a copy of its own. So a 3x3 kernel needs 3 copies, not 9 as im2col does.
// Does not change: threads may share it, each with memory of its own to fill.
class BlockPlanes {
 public:
  // `kernel` must outlive the planes.
  BlockPlanes(const Convolution& convolution, const BlockMap& source, const BlockKernel& kernel);

  size_t bytes() const;
  // From the start of the planes to the first output position's input.
  int64_t Offset(int tap_y, int tap_x, int group) const;
  // From one group to the next.
  int64_t group_stride() const { return plane_lanes_ * kBlockChannels; }
  void Fill(const uint8_t* source, uint8_t* planes) const;

 private:
  // One group's positions for the taps of one column, and of rows that are alike modulo the stride.
  struct Plane {
    std::vector<int32_t> index;  // of BlockKernel::gather, in the group's positions
    bool is_shifted = false;     // every index is its own position + shift, or negative
    int64_t shift = 0;
  };
  Plane PlaneOf(const Convolution& convolution, int phase, int tap_x) const;

  const BlockKernel& kernel_;
  const BlockMap source_;
  const int kernel_width_;
  const int stride_;
  const int out_width_;
  const int rows_;  // of a plane
  const int64_t plane_lanes_;
  const int32_t fill_;
  std::vector<Plane> planes_;  // [phases of rows that taps meet][kernel_width]
};

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_KERNELS_BLOCK_PLANES_H_
