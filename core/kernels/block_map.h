// Where the values of a map lie when its positions are the lanes of vectors.
#ifndef CYTOPRESS_CORE_KERNELS_BLOCK_MAP_H_
#define CYTOPRESS_CORE_KERNELS_BLOCK_MAP_H_

#include <cstddef>
#include <cstdint>

#include "core/kernels/block_kernel.h"

namespace cytopress {

// Bytes behind every buffer that vectors may read or write.
inline constexpr size_t kBlockMapSlack = 64;

// A batch's map as tiles of [channel_groups][tile_lanes][4]. One of two kinds:
// - Small batches: one tile, its lanes are the positions [y][x][image], filled up to whole vectors.
// - Large batches: a tile for each y and x, its lanes are the images.
struct BlockMap {
  int channel_groups = 0;
  int height = 0;
  int width = 0;
  int images = 0;
  bool tile_a_pixel = false;
  int64_t tile_lanes = 0;

  int64_t tile_bytes() const { return channel_groups * tile_lanes * kBlockChannels; }
  int64_t tiles() const { return tile_a_pixel ? int64_t{height} * width : 1; }
  size_t bytes() const { return tiles() * tile_bytes() + kBlockMapSlack; }
  // Of channels 4 * group to 4 * group + 3 of the first image; the others follow.
  int64_t Offset(int group, int y, int x) const {
    if (tile_a_pixel) {
      return (int64_t{y} * width + x) * tile_bytes() + group * tile_lanes * kBlockChannels;
    }
    return (group * tile_lanes + (int64_t{y} * width + x) * images) * kBlockChannels;
  }
};

// The map of a batch of so many images; its kind is that which suits the kernel.
BlockMap MakeBlockMap(int channels, int height, int width, int images, const BlockKernel& kernel);

// Between a block map and the same as bytes [image][y][x][channel]. `flip` is what all bytes are
// XORed with: kSignedZero makes signed bytes of those that lie with it added, and back. The map's
// channels are a multiple of 4. Thread-safe.
void ToBlocks(const BlockMap& map, uint8_t flip, const uint8_t* nhwc, uint8_t* blocks);
void ToNhwc(const BlockMap& map, uint8_t flip, const uint8_t* blocks, uint8_t* nhwc);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_KERNELS_BLOCK_MAP_H_
