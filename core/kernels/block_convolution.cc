#include "core/kernels/block_convolution.h"

#include <unistd.h>

#include <algorithm>
#include <limits>

namespace cytopress {
namespace {

// What of the first cache a tile's inputs may fill; the weights pass through it as well.
constexpr double kCacheShare = 0.85;

double FirstCacheBytes() {
  constexpr double kUsual = 32 << 10;
  static const auto known = static_cast<double>(sysconf(_SC_LEVEL1_DCACHE_SIZE));
  return known > 0 ? known : kUsual;
}

// The size of the next part when `left` remain: as equal as can be, since narrow tiles are slow.
int NextPart(int64_t left, int most) {
  const int64_t parts = (left + most - 1) / most;
  return static_cast<int>((left + parts - 1) / parts);
}

// Puts as many runs into a tile as fit.
std::vector<BlockTile> JoinRuns(const std::vector<BlockTile>& runs, int most_vectors) {
  std::vector<BlockTile> tiles;
  size_t left = 0;  // runs like the first of them, which are still to be joined
  for (size_t i = 0; i < runs.size(); ++i) {
    const BlockTile& run = runs[i];
    if (left == 0) {
      while (i + left < runs.size() && runs[i + left].vectors == run.vectors) ++left;
    }
    BlockTile& tile = tiles.emplace_back(run);
    const int joined = NextPart(static_cast<int64_t>(left), MostRuns(most_vectors, run.vectors));
    for (; tile.runs < joined; ++tile.runs) {
      ++i;
      tile.source[tile.runs] = runs[i].source[0];
      tile.destination[tile.runs] = runs[i].destination[0];
    }
    left -= joined;
  }
  return tiles;
}

}  // namespace

BlockConvolution::BlockConvolution(const Convolution& convolution, const BlockWeights& weights,
                                   const BlockMap& source, const BlockMap& map,
                                   const BlockKernel& kernel)
    : convolution_(convolution),
      source_(source),
      map_(map),
      kernel_(kernel),
      inputs_(convolution, source, kernel, weights.taps()) {
  if (!map.tile_a_pixel) {
    parts_.push_back(MakePart(weights, {std::vector<bool>(weights.taps(), true), {}}));
    return;
  }
  for (const AlikePositions& alike : PositionsByTaps(convolution, weights.taps())) {
    parts_.push_back(MakePart(weights, alike));
  }
}

BlockConvolution::Part BlockConvolution::MakePart(const BlockWeights& weights,
                                                  const AlikePositions& alike) const {
  const std::vector<bool>& used_taps = alike.used_taps;
  Part part;
  if (std::count(used_taps.begin(), used_taps.end(), false) > 0) {
    part.weights = weights.AtTaps(used_taps);
  }
  const BlockWeights& own = part.weights.has_value() ? *part.weights : weights;
  SetTiles(alike.positions, own.alike() ? kernel_.alike_vectors : MostVectors(), part);
  part.task.rows = own.View(convolution_);
  UseOwnDistances(own, part);
  part.task.channel_stride = map_.tile_lanes * kBlockChannels;
  // A vector's buffer stays where it is when the vector moves.
  part.task.offsets = part.ids.empty() ? inputs_.tap_offsets().data() : nullptr;
  if (!part.ids.empty()) {
    part.task.rows.ids = part.ids.data();
    if (part.weights.has_value()) part.weights->DropIds();
  }
  part.task.tiles = part.tiles.data();
  part.task.tile_count = static_cast<int>(part.tiles.size());
  return part;
}

void BlockConvolution::UseOwnDistances(const BlockWeights& weights, Part& part) const {
  const int64_t positions = int64_t{map_.height} * map_.width * map_.images;
  const std::vector<int32_t>& offsets = inputs_.tap_offsets();
  int32_t bits = 0, farthest = 0;
  for (const int32_t offset : offsets) {
    bits |= offset;
    farthest = std::max(farthest, offset);
  }
  constexpr int kFarthest = std::numeric_limits<uint16_t>::max();
  int unit = 2;  // as a power of two
  while (positions > 1 && bits != 0 && (bits >> unit & 1) == 0) ++unit;
  if (unit > kAddressBits && farthest >> kAddressBits <= kFarthest) unit = kAddressBits;
  if (farthest >> unit > kFarthest) return;
  part.task.distance_bits = unit;
  if (positions <= 4) part.task.positions = static_cast<int>(positions);
  for (const uint16_t id : weights.ids()) {
    part.ids.push_back(static_cast<uint16_t>(offsets[id] >> unit));
  }
}

int BlockConvolution::MostVectors() const {
  const Convolution& c = convolution_;
  // Without an instruction for four products, those take longer than any cache.
  if (!source_.tile_a_pixel || kernel_.adds_in_16_bits) return kernel_.most_vectors;
  const auto vectors = static_cast<int>(source_.tile_lanes / kernel_.lanes);
  const int pixels = std::max(1, kernel_.most_vectors / vectors);
  const int64_t window =
      int64_t{c.kernel_height} * ((pixels - 1) * c.stride + c.kernel_width) * source_.tile_bytes();
  return window > kCacheShare * FirstCacheBytes() ? kernel_.most_vectors / 2 : kernel_.most_vectors;
}

void BlockConvolution::SetTiles(const std::vector<AlikePositions::Position>& positions,
                                int most_vectors, Part& part) const {
  const auto add = [&](int64_t from, int64_t to) {
    const int64_t vector_bytes = int64_t{kernel_.lanes} * kBlockChannels;
    for (int64_t left = map_.tile_lanes / kernel_.lanes; left > 0;) {
      const int vectors = NextPart(left, most_vectors);
      part.tiles.push_back({vectors, 1, {from}, {to}});
      from += vectors * vector_bytes;
      to += vectors * vector_bytes;
      left -= vectors;
    }
  };
  if (!map_.tile_a_pixel) return add(0, 0);
  for (const auto [y, x] : positions) {
    add(inputs_.WindowOffset(y, x), map_.Offset(0, y, x));
  }
  part.tiles = JoinRuns(part.tiles, most_vectors);
}

void BlockConvolution::Run(const uint8_t* source, uint8_t* scratch, uint8_t* destination,
                           int threads) const {
  const uint8_t* const inputs = inputs_.Prepare(source, scratch);
  const auto run = [&](int first_row, int last_row) {
    for (const Part& part : parts_) {
      kernel_.run(part.task, inputs, destination, first_row, last_row);
    }
  };
  if (threads == 1) return run(0, convolution_.out_channels);
  const int groups = convolution_.out_channels / kBlockChannels;
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int part = 0; part < threads; ++part) {
    run(groups * part / threads * kBlockChannels, groups * (part + 1) / threads * kBlockChannels);
  }
}

}  // namespace cytopress
