#include "core/kernels/block_pooling.h"

#include <algorithm>
#include <cstring>

#include "absl/container/inlined_vector.h"

namespace cytopress {
namespace {

void TakeLarger(const uint8_t* values, int64_t count, uint8_t* largest) {
  for (int64_t i = 0; i < count; ++i) largest[i] = std::max(largest[i], values[i]);
}

}  // namespace

BlockPooling::BlockPooling(const Layer& layer, const BlockMap& source, const BlockMap& map,
                           const BlockKernel& kernel)
    : layer_(layer), source_(source), map_(map), kernel_(kernel) {}

int64_t BlockPooling::PaddedRowBytes() const {
  return (source_.width + 2 * layer_.padding) * int64_t{source_.images} * kBlockChannels;
}

size_t BlockPooling::scratch_bytes() const { return map_.tile_a_pixel ? 0 : 2 * PaddedRowBytes(); }

void BlockPooling::Run(const uint8_t* source, uint8_t* scratch, uint8_t* destination) const {
  if (map_.tile_a_pixel) return PoolTiles(source, destination);
  PoolRows(source, scratch, destination);
}

void BlockPooling::PoolRows(const uint8_t* from, uint8_t* scratch, uint8_t* to) const {
  const int64_t pixel = int64_t{source_.images} * kBlockChannels;
  const int64_t row = source_.width * pixel;
  const int64_t padded_row = PaddedRowBytes();
  uint8_t* const padded = scratch;
  uint8_t* const pooled = scratch + padded_row;
  for (int group = 0; group < map_.channel_groups; ++group) {
    for (int y = 0; y < map_.height; ++y) {
      std::fill_n(padded, padded_row, uint8_t{0});  // the least of all values
      const int first = y * layer_.stride - layer_.padding;
      for (int i = std::max(first, 0); i < std::min(first + layer_.kernel, source_.height); ++i) {
        TakeLarger(from + source_.Offset(group, i, 0), row, padded + layer_.padding * pixel);
      }
      std::copy_n(padded, padded_row, pooled);
      for (int tap = 1; tap < layer_.kernel; ++tap) {
        const int64_t shift = tap * pixel;
        TakeLarger(padded + shift, padded_row - shift, pooled);
      }
      uint8_t* const values = to + map_.Offset(group, y, 0);
      for (int x = 0; x < map_.width; ++x) {
        std::memcpy(values + x * pixel, pooled + x * layer_.stride * pixel, pixel);
      }
    }
  }
}

void BlockPooling::PoolTiles(const uint8_t* from, uint8_t* to) const {
  absl::InlinedVector<const uint8_t*, 9> taps;
  for (int y = 0; y < map_.height; ++y) {
    for (int x = 0; x < map_.width; ++x) {
      taps.clear();
      for (int tap = 0; tap < layer_.kernel * layer_.kernel; ++tap) {
        const int row = y * layer_.stride - layer_.padding + tap / layer_.kernel;
        const int column = x * layer_.stride - layer_.padding + tap % layer_.kernel;
        if (row < 0 || row >= source_.height || column < 0 || column >= source_.width) continue;
        taps.push_back(from + source_.Offset(0, row, column));
      }
      kernel_.take_largest(taps.data(), static_cast<int>(taps.size()), map_.tile_bytes(),
                           to + map_.Offset(0, y, x));
    }
  }
}

}  // namespace cytopress
