#include "core/kernels/block_map.h"

#include <algorithm>
#include <cstring>

namespace cytopress {
namespace {

// Four blocks of 4 bytes.
using Four = uint32_t __attribute__((vector_size(16)));

Four Load(const uint8_t* from) {
  Four values;
  std::memcpy(&values, from, sizeof(values));
  return values;
}

void Store(const Four& values, uint8_t* to) { std::memcpy(to, &values, sizeof(values)); }

// Of the lanes of both, a's first.
template <int... kLanes>
Four Pick(const Four& a, const Four& b) {
#ifdef __clang__
  return __builtin_shufflevector(a, b, kLanes...);
#else
  return __builtin_shuffle(a, b, Four{kLanes...});
#endif
}

// rows[i][j] becomes rows[j][i].
void Transpose(Four* rows) {
  const Four a = Pick<0, 4, 1, 5>(rows[0], rows[1]);
  const Four b = Pick<0, 4, 1, 5>(rows[2], rows[3]);
  const Four c = Pick<2, 6, 3, 7>(rows[0], rows[1]);
  const Four d = Pick<2, 6, 3, 7>(rows[2], rows[3]);
  rows[0] = Pick<0, 1, 4, 5>(a, b);
  rows[1] = Pick<2, 3, 6, 7>(a, b);
  rows[2] = Pick<0, 1, 4, 5>(c, d);
  rows[3] = Pick<2, 3, 6, 7>(c, d);
}

constexpr int kSide = 4;

// Of `count` neighbouring lanes, at most kSide, whose channels begin at rows[i]: their blocks
// `group` to group + groups - 1, the first of which begins at `blocks`.
template <bool kToBlocks, typename Nhwc, typename Blocks>
void MoveSquare(const BlockMap& map, uint32_t flip, Nhwc* const* rows, int count, int group,
                int groups, Blocks* blocks) {
  const int64_t stride = map.tile_lanes * kBlockChannels;
  const int64_t first = int64_t{group} * kBlockChannels;
  blocks += group * stride;
  if (count == kSide && groups == kSide) {
    Four values[kSide];
    for (int i = 0; i < kSide; ++i) {
      values[i] = Load(kToBlocks ? rows[i] + first : blocks + i * stride) ^ flip;
    }
    Transpose(values);
    for (int i = 0; i < kSide; ++i) {
      if constexpr (kToBlocks) {
        Store(values[i], blocks + i * stride);
      } else {
        Store(values[i], rows[i] + first);
      }
    }
    return;
  }
  for (int i = 0; i < count; ++i) {
    for (int g = 0; g < groups; ++g) {
      auto* const nhwc = rows[i] + first + g * kBlockChannels;
      auto* const block = blocks + g * stride + i * kBlockChannels;
      uint32_t value;
      std::memcpy(&value, kToBlocks ? nhwc : block, sizeof(value));
      value ^= flip;
      if constexpr (kToBlocks) {
        std::memcpy(block, &value, sizeof(value));
      } else {
        std::memcpy(nhwc, &value, sizeof(value));
      }
    }
  }
}

template <bool kToBlocks, typename Nhwc, typename Blocks>
void Move(const BlockMap& map, uint8_t flip, Nhwc* nhwc, Blocks* blocks) {
  const uint32_t flips = 0x01010101u * flip;
  const int64_t pixels = int64_t{map.height} * map.width;
  const int64_t channels = int64_t{map.channel_groups} * kBlockChannels;
  const int64_t lanes = map.tile_a_pixel ? map.images : pixels * map.images;
  for (int64_t tile = 0; tile < map.tiles(); ++tile) {
    for (int64_t lane = 0; lane < lanes; lane += kSide) {
      const auto count = static_cast<int>(std::min<int64_t>(kSide, lanes - lane));
      Nhwc* rows[kSide];
      for (int i = 0; i < count; ++i) {
        const int64_t pixel = tile + (lane + i) / map.images, image = (lane + i) % map.images;
        rows[i] = nhwc + (image * pixels + pixel) * channels;
      }
      Blocks* const to = blocks + tile * map.tile_bytes() + lane * kBlockChannels;
      for (int group = 0; group < map.channel_groups; group += kSide) {
        MoveSquare<kToBlocks>(map, flips, rows, count, group,
                              std::min(kSide, map.channel_groups - group), to);
      }
    }
  }
}

}  // namespace

BlockMap MakeBlockMap(int channels, int height, int width, int images, const BlockKernel& kernel) {
  BlockMap map;
  map.channel_groups = (channels + kBlockChannels - 1) / kBlockChannels;
  map.height = height;
  map.width = width;
  map.images = images;
  map.tile_a_pixel = images % kernel.lanes == 0 && images >= 2 * kernel.lanes;
  const int64_t positions = int64_t{height} * width * images;
  map.tile_lanes =
      map.tile_a_pixel ? images : (positions + kernel.lanes - 1) / kernel.lanes * kernel.lanes;
  return map;
}

void ToBlocks(const BlockMap& map, uint8_t flip, const uint8_t* nhwc, uint8_t* blocks) {
  Move<true>(map, flip, nhwc, blocks);
}

void ToNhwc(const BlockMap& map, uint8_t flip, const uint8_t* blocks, uint8_t* nhwc) {
  Move<false>(map, flip, nhwc, blocks);
}

}  // namespace cytopress
