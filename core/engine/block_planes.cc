#include "core/engine/block_planes.h"

#include <algorithm>
#include <cstring>

#include "core/engine/block_weights.h"

namespace cytopress {
namespace {

constexpr int kChunk = 32;

// May write up to kChunk - 1 bytes more, which the caller writes afterwards.
inline void CopyChunks(const uint8_t* from, int64_t bytes, uint8_t* to) {
  for (int64_t i = 0; i < bytes; i += kChunk) std::memcpy(to + i, from + i, kChunk);
}

inline void FillChunks(int value, int64_t bytes, uint8_t* to) {
  for (int64_t i = 0; i < bytes; i += kChunk) std::memset(to + i, value, kChunk);
}

int64_t WholeVectors(int64_t count, int lanes) { return (count + lanes - 1) / lanes * lanes; }

}  // namespace

BlockPlanes::BlockPlanes(const Convolution& c, const BlockMap& source, int lanes)
    : source_(source),
      kernel_width_(c.kernel_width),
      stride_(c.stride),
      pad_top_(c.pad_top),
      pad_left_(c.pad_left),
      out_width_(c.out_width),
      phases_(std::min(c.stride, c.kernel_height)),
      rows_(c.out_height + (c.kernel_height - 1) / c.stride),
      plane_lanes_(WholeVectors(int64_t{rows_} * c.out_width * source.images, lanes)),
      zero_(ZeroOf(c.source)) {}

size_t BlockPlanes::bytes() const {
  // The last tap's last vector may end a vector after the plane.
  return phases_ * kernel_width_ * source_.channel_groups * plane_lanes_ * kBlockChannels +
         2 * kBlockMapSlack;
}

int64_t BlockPlanes::Offset(int tap_y, int tap_x, int group) const {
  const int64_t plane =
      (int64_t{tap_y} % stride_ * kernel_width_ + tap_x) * source_.channel_groups + group;
  return (plane * plane_lanes_ + int64_t{tap_y} / stride_ * out_width_ * source_.images) *
         kBlockChannels;
}

void BlockPlanes::FillRow(const uint8_t* row, int tap_x, uint8_t* to) const {
  const int64_t pixel = int64_t{source_.images} * kBlockChannels;
  if (stride_ == 1) {
    const int first = std::max(0, pad_left_ - tap_x);
    const int last = std::min(out_width_, source_.width + pad_left_ - tap_x);
    FillChunks(zero_, first * pixel, to);
    CopyChunks(row + (first + tap_x - pad_left_) * pixel, (last - first) * pixel,
               to + first * pixel);
    FillChunks(zero_, (out_width_ - last) * pixel, to + last * pixel);
    return;
  }
  for (int x = 0; x < out_width_; ++x, to += pixel) {
    const int column = x * stride_ + tap_x - pad_left_;
    if (column < 0 || column >= source_.width) {
      std::memset(to, zero_, pixel);
    } else if (pixel == kBlockChannels) {
      std::memcpy(to, row + column * pixel, kBlockChannels);
    } else {
      std::memcpy(to, row + column * pixel, pixel);
    }
  }
}

void BlockPlanes::Fill(const uint8_t* source, uint8_t* planes) const {
  const int64_t row_bytes = int64_t{out_width_} * source_.images * kBlockChannels;
  for (int phase = 0; phase < phases_; ++phase) {
    for (int tap_x = 0; tap_x < kernel_width_; ++tap_x) {
      for (int group = 0; group < source_.channel_groups; ++group) {
        uint8_t* to = planes + Offset(phase, tap_x, group);
        for (int row = 0; row < rows_; ++row, to += row_bytes) {
          const int y = phase + row * stride_ - pad_top_;
          if (y < 0 || y >= source_.height) {
            FillChunks(zero_, row_bytes, to);
          } else {
            FillRow(source + source_.Offset(group, y, 0), tap_x, to);
          }
        }
      }
    }
  }
}

}  // namespace cytopress
