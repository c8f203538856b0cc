#include "core/kernels/block_planes.h"

#include <algorithm>
#include <set>

#include "core/kernels/row_constants.h"

namespace cytopress {
namespace {

int64_t WholeVectors(int64_t count, int lanes) { return (count + lanes - 1) / lanes * lanes; }

// In all bytes.
int32_t Repeat(int byte) { return static_cast<int32_t>(0x01010101u * static_cast<uint32_t>(byte)); }

}  // namespace

BlockPlanes::BlockPlanes(const Convolution& c, const BlockMap& source, const BlockKernel& kernel)
    : kernel_(kernel),
      source_(source),
      kernel_width_(c.kernel_width),
      stride_(c.stride),
      out_width_(c.out_width),
      rows_(c.out_height + (c.kernel_height - 1) / c.stride),
      plane_lanes_(WholeVectors(int64_t{rows_} * c.out_width * source.images, kernel.lanes)),
      fill_(Repeat(ZeroOf(c.source))) {
  for (int phase = 0; phase < std::min(c.stride, c.kernel_height); ++phase) {
    for (int tap_x = 0; tap_x < c.kernel_width; ++tap_x) {
      planes_.push_back(PlaneOf(c, phase, tap_x));
    }
  }
}

BlockPlanes::Plane BlockPlanes::PlaneOf(const Convolution& c, int phase, int tap_x) const {
  Plane plane;
  plane.index.assign(plane_lanes_, -1);
  std::set<int64_t> shifts;
  int64_t at = 0;
  for (int row = 0; row < rows_; ++row) {
    const int y = phase + row * c.stride - c.pad_top;
    for (int out_x = 0; out_x < c.out_width; ++out_x) {
      const int x = out_x * c.stride + tap_x - c.pad_left;
      const bool padding = y < 0 || y >= source_.height || x < 0 || x >= source_.width;
      for (int image = 0; image < source_.images; ++image, ++at) {
        if (padding) continue;
        const int64_t from = (int64_t{y} * source_.width + x) * source_.images + image;
        plane.index[at] = static_cast<int32_t>(from);
        shifts.insert(from - at);
      }
    }
  }
  plane.is_shifted = shifts.size() == 1;
  if (plane.is_shifted) plane.shift = *shifts.begin();
  return plane;
}

size_t BlockPlanes::bytes() const {
  // The last tap's last vector may end a vector after the plane.
  return planes_.size() * source_.channel_groups * plane_lanes_ * kBlockChannels +
         2 * kBlockMapSlack;
}

int64_t BlockPlanes::Offset(int tap_y, int tap_x, int group) const {
  const int64_t plane =
      (int64_t{tap_y} % stride_ * kernel_width_ + tap_x) * source_.channel_groups + group;
  return (plane * plane_lanes_ + int64_t{tap_y} / stride_ * out_width_ * source_.images) *
         kBlockChannels;
}

void BlockPlanes::Fill(const uint8_t* source, uint8_t* planes) const {
  for (const Plane& plane : planes_) {
    for (int group = 0; group < source_.channel_groups; ++group) {
      const uint8_t* const from = source + source_.Offset(group, 0, 0);
      if (plane.is_shifted) {
        kernel_.copy(from + kBlockChannels * plane.shift, plane.index.data(), plane_lanes_, fill_,
                     planes);
      } else {
        kernel_.gather(from, plane.index.data(), plane_lanes_, fill_, planes);
      }
      planes += plane_lanes_ * kBlockChannels;
    }
  }
}

}  // namespace cytopress
