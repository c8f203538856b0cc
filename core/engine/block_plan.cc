#include "core/engine/block_plan.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <map>
#include <utility>

#include "absl/container/inlined_vector.h"

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

void TakeLarger(const uint8_t* values, int64_t count, uint8_t* largest) {
  for (int64_t i = 0; i < count; ++i) largest[i] = std::max(largest[i], values[i]);
}

// Bytes of a row with its padding, in a map whose rows are in one piece.
int64_t PaddedRowBytes(const Layer& layer, const BlockMap& source) {
  return (source.width + 2 * layer.padding) * int64_t{source.images} * kBlockChannels;
}

// Max-pooling of such maps: first over the rows of a window, then over its columns, both many
// pixels at a time. `scratch` has room for two padded rows.
void PoolRows(const Layer& layer, const BlockMap& source, const BlockMap& map, const uint8_t* from,
              uint8_t* scratch, uint8_t* to) {
  const int64_t pixel = int64_t{source.images} * kBlockChannels;
  const int64_t row = source.width * pixel;
  const int64_t padded_row = PaddedRowBytes(layer, source);
  uint8_t* const padded = scratch;
  uint8_t* const pooled = scratch + padded_row;
  for (int group = 0; group < map.channel_groups; ++group) {
    for (int y = 0; y < map.height; ++y) {
      std::fill_n(padded, padded_row, uint8_t{0});  // the least of all values
      const int first = y * layer.stride - layer.padding;
      for (int i = std::max(first, 0); i < std::min(first + layer.kernel, source.height); ++i) {
        TakeLarger(from + source.Offset(group, i, 0), row, padded + layer.padding * pixel);
      }
      std::copy_n(padded, padded_row, pooled);
      for (int tap = 1; tap < layer.kernel; ++tap) {
        const int64_t shift = tap * pixel;
        TakeLarger(padded + shift, padded_row - shift, pooled);
      }
      uint8_t* const values = to + map.Offset(group, y, 0);
      for (int x = 0; x < map.width; ++x) {
        std::memcpy(values + x * pixel, pooled + x * layer.stride * pixel, pixel);
      }
    }
  }
}

}  // namespace

BlockModel PackBlocks(const DenseModel& model, const BlockKernel& kernel) {
  BlockModel packed(model.network.layers.size());
  for (size_t i = 0; i < packed.size(); ++i) {
    const Layer& layer = model.network.layers[i];
    if (layer.op != Op::kConv) continue;
    packed[i] = std::make_unique<BlockWeights>(
        model.convolutions[i], model.network.layers[layer.input].out_channels, kernel);
  }
  return packed;
}

BlockPlan::BlockPlan(const DenseModel& model, const BlockModel& weights, const BlockKernel& kernel,
                     int batch)
    : model_(model), kernel_(kernel), batch_(batch), output_layer_(PooledLayer(model.network)) {
  const Network& network = model.network;
  for (size_t i = 0; i < model.integer_input.size(); ++i) {
    const auto stored = static_cast<uint8_t>(model.integer_input[i] + kSignedZero);
    input_bytes_.push_back(uint32_t{stored} << (8 * (i / 256)));
  }
  const std::vector<int> buffer_of = AssignBuffers(network);
  ShapeMaps(buffer_of);
  size_t scratch_bytes = 0;
  for (size_t i = 0; i < network.layers.size(); ++i) {
    const Layer& layer = network.layers[i];
    if (layer.op == Op::kMaxPool && !maps_[i].tile_a_pixel) {
      scratch_bytes =
          std::max<size_t>(scratch_bytes, 2 * PaddedRowBytes(layer, maps_[layer.input]));
    }
    if (weights[i] == nullptr || IsUnread(i)) continue;
    AddConvolution(static_cast<int>(i), *weights[i]);
    const Step& step = steps_.back();
    if (step.planes.has_value()) scratch_bytes = std::max(scratch_bytes, step.planes->bytes());
  }
  std::vector<size_t> buffer_bytes;
  for (size_t i = 0; i < buffer_of.size(); ++i) {
    if (buffer_of[i] == static_cast<int>(buffer_bytes.size())) {
      buffer_bytes.push_back(maps_[i].bytes());
    }
  }
  layout_ = LayOut(network, buffer_of, buffer_bytes, scratch_bytes);
}

void BlockPlan::ShapeMaps(const std::vector<int>& buffer_of) {
  const std::vector<Layer>& layers = model_.network.layers;
  const bool tile_a_pixel = batch_ % kernel_.lanes == 0 && batch_ >= 2 * kernel_.lanes;
  maps_.resize(layers.size());
  for (size_t i = 0; i < layers.size(); ++i) {
    if (buffer_of[i] < 0) continue;
    BlockMap& map = maps_[i];
    map.channel_groups = (layers[i].out_channels + kBlockChannels - 1) / kBlockChannels;
    map.height = layers[i].out_height;
    map.width = layers[i].out_width;
    map.images = batch_;
    map.tile_a_pixel = tile_a_pixel;
    const int64_t positions = int64_t{map.height} * map.width * batch_;
    map.tile_lanes =
        tile_a_pixel ? batch_ : (positions + kernel_.lanes - 1) / kernel_.lanes * kernel_.lanes;
  }
}

void BlockPlan::AddConvolution(int layer, const BlockWeights& weights) {
  const Convolution& convolution = model_.convolutions[layer];
  const BlockMap& source = maps_[model_.network.layers[layer].input];
  const BlockMap& map = maps_[layer];
  Step& step = steps_.emplace_back();
  step.layer = layer;
  if (!source.tile_a_pixel && !convolution.is_pointwise()) {
    step.planes.emplace(convolution, source, kernel_);
  }
  SetOffsets(convolution, weights, step);
  if (!map.tile_a_pixel) {
    step.parts.push_back(MakePart(step, weights, std::vector<bool>(weights.taps(), true), {}));
    return;
  }
  std::map<std::vector<bool>, std::vector<Position>> positions;
  for (int y = 0; y < map.height; ++y) {
    for (int x = 0; x < map.width; ++x) {
      positions[UsedTaps(convolution, y, x, weights.taps())].push_back({y, x});
    }
  }
  for (const auto& [used_taps, alike] : positions) {
    step.parts.push_back(MakePart(step, weights, used_taps, alike));
  }
}

BlockPlan::Part BlockPlan::MakePart(const Step& step, const BlockWeights& weights,
                                    const std::vector<bool>& used_taps,
                                    const std::vector<Position>& positions) const {
  const Convolution& convolution = model_.convolutions[step.layer];
  const BlockMap& source = maps_[model_.network.layers[step.layer].input];
  Part part;
  if (std::count(used_taps.begin(), used_taps.end(), false) > 0) {
    part.weights = weights.AtTaps(used_taps);
  }
  const BlockWeights& own = part.weights.has_value() ? *part.weights : weights;
  SetTiles(step, positions, own.alike() ? kernel_.alike_vectors : MostVectors(convolution, source),
           part);
  part.task.rows = own.View(convolution);
  UseOwnDistances(step, own, part);
  part.task.channel_stride = maps_[step.layer].tile_lanes * kBlockChannels;
  // A vector's buffer stays where it is when the vector moves.
  part.task.offsets = part.ids.empty() ? step.offsets.data() : nullptr;
  if (!part.ids.empty()) {
    part.task.rows.ids = part.ids.data();
    if (part.weights.has_value()) part.weights->DropIds();
  }
  part.task.tiles = part.tiles.data();
  part.task.tile_count = static_cast<int>(part.tiles.size());
  return part;
}

void BlockPlan::UseOwnDistances(const Step& step, const BlockWeights& weights, Part& part) const {
  const BlockMap& map = maps_[step.layer];
  const int64_t positions = int64_t{map.height} * map.width * map.images;
  int32_t bits = 0, farthest = 0;
  for (const int32_t offset : step.offsets) {
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
    part.ids.push_back(static_cast<uint16_t>(step.offsets[id] >> unit));
  }
}

void BlockPlan::SetOffsets(const Convolution& c, const BlockWeights& weights, Step& step) const {
  const BlockMap& source = maps_[model_.network.layers[step.layer].input];
  // A kernel that covers its whole input was made pointwise: its taps are the map's pixels.
  const bool covering = c.is_pointwise() && weights.taps() > 1;
  const int tap_columns = covering ? source.width : c.kernel_width;
  for (int tap = 0; tap < weights.taps(); ++tap) {
    const int y = tap / tap_columns, x = tap % tap_columns;
    for (int group = 0; group < weights.channel_groups(); ++group) {
      const int64_t offset = step.planes.has_value()
                                 ? step.planes->Offset(y, x, group)
                                 : source.Offset(group, y, x) - source.Offset(0, 0, 0);
      step.offsets.push_back(static_cast<int32_t>(offset));
    }
  }
}

int BlockPlan::MostVectors(const Convolution& c, const BlockMap& source) const {
  // Without an instruction for four products, those take longer than any cache.
  if (!source.tile_a_pixel || kernel_.adds_in_16_bits) return kernel_.most_vectors;
  const auto vectors = static_cast<int>(source.tile_lanes / kernel_.lanes);
  const int pixels = std::max(1, kernel_.most_vectors / vectors);
  const int64_t window =
      int64_t{c.kernel_height} * ((pixels - 1) * c.stride + c.kernel_width) * source.tile_bytes();
  return window > kCacheShare * FirstCacheBytes() ? kernel_.most_vectors / 2 : kernel_.most_vectors;
}

void BlockPlan::SetTiles(const Step& step, const std::vector<Position>& positions, int most_vectors,
                         Part& part) const {
  const Convolution& c = model_.convolutions[step.layer];
  const BlockMap& source = maps_[model_.network.layers[step.layer].input];
  const BlockMap& map = maps_[step.layer];
  const auto add = [&](int64_t from, int64_t to) {
    const int64_t vector_bytes = int64_t{kernel_.lanes} * kBlockChannels;
    for (int64_t left = map.tile_lanes / kernel_.lanes; left > 0;) {
      const int vectors = NextPart(left, most_vectors);
      part.tiles.push_back({vectors, 1, {from}, {to}});
      from += vectors * vector_bytes;
      to += vectors * vector_bytes;
      left -= vectors;
    }
  };
  if (!map.tile_a_pixel) return add(0, 0);
  for (const auto [y, x] : positions) {
    add(source.Offset(0, y * c.stride - c.pad_top, x * c.stride - c.pad_left), map.Offset(0, y, x));
  }
  part.tiles = JoinRuns(part.tiles, most_vectors);
}

void BlockPlan::FillInput(const uint8_t* pixels, int count, const Arena& arena) const {
  const BlockMap& map = maps_[0];
  const int channels = model_.network.spec.input_channels;  // 1 or 3
  const int64_t image_bytes = int64_t{map.height} * map.width * channels;
  uint8_t* const input = arena.data() + layout_.offsets[0];
  const uint32_t* const bytes = input_bytes_.data();
  for (int y = 0; y < map.height; ++y) {
    for (int x = 0; x < map.width; ++x, pixels += channels) {
      uint8_t* const values = input + map.Offset(0, y, x);
      for (int image = 0; image < count; ++image) {
        const uint8_t* const pixel = pixels + image * image_bytes;
        uint32_t block = bytes[pixel[0]];
        if (channels == 3) block |= bytes[256 + pixel[1]] | bytes[512 + pixel[2]];
        std::memcpy(values + kBlockChannels * image, &block, sizeof(block));
      }
    }
  }
}

void BlockPlan::RunConvolution(const Step& step, const Arena& arena, int threads) const {
  const Layer& layer = model_.network.layers[step.layer];
  const uint8_t* source = arena.data() + layout_.offsets[layer.input];
  uint8_t* const destination = arena.data() + layout_.offsets[step.layer];
  if (step.planes.has_value()) {
    uint8_t* const planes = arena.data() + layout_.scratch_offset;
    step.planes->Fill(source, planes);
    source = planes;
  }
  const auto run = [&](int first_row, int last_row) {
    for (const Part& part : step.parts) {
      kernel_.run(part.task, source, destination, first_row, last_row);
    }
  };
  if (threads == 1) return run(0, layer.out_channels);
  const int groups = layer.out_channels / kBlockChannels;
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int part = 0; part < threads; ++part) {
    run(groups * part / threads * kBlockChannels, groups * (part + 1) / threads * kBlockChannels);
  }
}

void BlockPlan::RunMaxPool(int index, const Arena& arena) const {
  const Layer& layer = model_.network.layers[index];
  const BlockMap& source = maps_[layer.input];
  const BlockMap& map = maps_[index];
  const uint8_t* const from = arena.data() + layout_.offsets[layer.input];
  uint8_t* const to = arena.data() + layout_.offsets[index];
  if (!map.tile_a_pixel) {
    return PoolRows(layer, source, map, from, arena.data() + layout_.scratch_offset, to);
  }
  absl::InlinedVector<const uint8_t*, 9> taps;
  for (int y = 0; y < map.height; ++y) {
    for (int x = 0; x < map.width; ++x) {
      taps.clear();
      for (int tap = 0; tap < layer.kernel * layer.kernel; ++tap) {
        const int row = y * layer.stride - layer.padding + tap / layer.kernel;
        const int column = x * layer.stride - layer.padding + tap % layer.kernel;
        if (row < 0 || row >= source.height || column < 0 || column >= source.width) continue;
        taps.push_back(from + source.Offset(0, row, column));
      }
      kernel_.take_largest(taps.data(), static_cast<int>(taps.size()), map.tile_bytes(),
                           to + map.Offset(0, y, x));
    }
  }
}

void BlockPlan::Run(const Arena& arena, int threads, const Observer& observer) const {
  auto step = steps_.begin();
  for (int i = 0; i < static_cast<int>(model_.network.layers.size()); ++i) {
    if (IsUnread(i)) continue;
    const Op op = model_.network.layers[i].op;
    if (op == Op::kConv) {
      RunConvolution(*step++, arena, threads);
    } else if (op == Op::kMaxPool) {
      RunMaxPool(i, arena);
    } else {
      continue;
    }
    if (observer) observer(i);
  }
}

void BlockPlan::ReadMap(const Arena& arena, int layer, int image, uint8_t* values) const {
  const BlockMap& map = maps_[layer];
  const int channels = model_.network.layers[layer].out_channels;
  const int zero = ZeroOf(model_.grids[layer].number);
  const uint8_t* const from = arena.data() + layout_.offsets[layer];
  for (int y = 0; y < map.height; ++y) {
    for (int x = 0; x < map.width; ++x) {
      const uint8_t* block = from + map.Offset(0, y, x) + kBlockChannels * image;
      for (int c = 0; c < channels; c += kBlockChannels) {
        const int used = std::min(kBlockChannels, channels - c);
        for (int i = 0; i < used; ++i) *values++ = static_cast<uint8_t>(block[i] - zero);
        block += map.tile_lanes * kBlockChannels;
      }
    }
  }
}

}  // namespace cytopress
