// A map's copies that turn the taps of a convolution into constant distances.
#ifndef CYTOPRESS_CORE_ENGINE_BLOCK_PLANES_H_
#define CYTOPRESS_CORE_ENGINE_BLOCK_PLANES_H_

#include <cstdint>

#include "core/engine/block_map.h"
#include "core/engine/convolution.h"

namespace cytopress {

// For maps of one tile. The output's positions are the lanes, so a tap must find its input for all
// of them at one distance. That holds along y, where rows follow each other, once the map has rows
// of zeros around it and, for a stride, its rows are sorted by their number modulo the stride;
// along x each tap gets a copy of its own. So a 3x3 kernel needs 3 copies, not 9 as im2col does.
class BlockPlanes {
 public:
  BlockPlanes(const Convolution& convolution, const BlockMap& source, int lanes);

  size_t bytes() const;
  // From the start of the planes to the first output position's input.
  int64_t Offset(int tap_y, int tap_x, int group) const;
  void Fill(const uint8_t* source, uint8_t* planes) const;

 private:
  void FillRow(const uint8_t* row, int tap_x, uint8_t* to) const;

  const BlockMap source_;
  const int kernel_width_;
  const int stride_;
  const int pad_top_;
  const int pad_left_;
  const int out_width_;
  const int phases_;  // of rows: those that taps meet
  const int rows_;    // of a plane
  const int64_t plane_lanes_;
  const int zero_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_ENGINE_BLOCK_PLANES_H_
