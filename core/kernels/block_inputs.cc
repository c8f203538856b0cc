#include "core/kernels/block_inputs.h"

#include <map>
#include <utility>

namespace cytopress {
namespace {

// Of each tap, row by row, whether it lies in the map when it belongs to the output at (y, x).
std::vector<bool> UsedTaps(const Convolution& c, int y, int x, int taps) {
  if (c.is_pointwise()) return std::vector<bool>(taps, true);
  std::vector<bool> used;
  for (int tap_y = 0; tap_y < c.kernel_height; ++tap_y) {
    const int row = y * c.stride - c.pad_top + tap_y;
    for (int tap_x = 0; tap_x < c.kernel_width; ++tap_x) {
      const int column = x * c.stride - c.pad_left + tap_x;
      used.push_back(row >= 0 && row < c.in_height && column >= 0 && column < c.in_width);
    }
  }
  return used;
}

}  // namespace

std::vector<AlikePositions> PositionsByTaps(const Convolution& convolution, int taps) {
  std::map<std::vector<bool>, std::vector<AlikePositions::Position>> by_taps;
  for (int y = 0; y < convolution.out_height; ++y) {
    for (int x = 0; x < convolution.out_width; ++x) {
      by_taps[UsedTaps(convolution, y, x, taps)].push_back({y, x});
    }
  }
  std::vector<AlikePositions> result;
  for (auto& [used_taps, positions] : by_taps) result.push_back({used_taps, std::move(positions)});
  return result;
}

BlockInputs::BlockInputs(const Convolution& c, const BlockMap& source, const BlockKernel& kernel,
                         int taps)
    : source_(source),
      stride_(c.stride),
      pad_top_(c.pad_top),
      pad_left_(c.pad_left),
      channel_groups_(source.channel_groups),
      group_stride_(source.tile_lanes * kBlockChannels) {
  if (!source.tile_a_pixel && !c.is_pointwise()) {
    planes_.emplace(c, source, kernel);
    group_stride_ = planes_->group_stride();
  }
  // A kernel that covers its whole input was made pointwise: its taps are the map's pixels.
  const bool covering = c.is_pointwise() && taps > 1;
  const int tap_columns = covering ? source.width : c.kernel_width;
  for (int tap = 0; tap < taps; ++tap) {
    const int y = tap / tap_columns, x = tap % tap_columns;
    for (int group = 0; group < channel_groups_; ++group) {
      const int64_t offset = planes_.has_value()
                                 ? planes_->Offset(y, x, group)
                                 : source.Offset(group, y, x) - source.Offset(0, 0, 0);
      offsets_.push_back(static_cast<int32_t>(offset));
    }
  }
}

const uint8_t* BlockInputs::Prepare(const uint8_t* source, uint8_t* scratch) const {
  if (!planes_.has_value()) return source;
  planes_->Fill(source, scratch);
  return scratch;
}

int64_t BlockInputs::WindowOffset(int y, int x) const {
  if (!source_.tile_a_pixel) return 0;
  return source_.Offset(0, y * stride_ - pad_top_, x * stride_ - pad_left_);
}

}  // namespace cytopress
