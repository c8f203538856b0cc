#include "core/engine/layer_costs.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/kernels/block_map.h"
#include "core/kernels/block_weights.h"
#include "core/kernels/im2col.h"
#include "core/kernels/matrix_task.h"

namespace cytopress {
namespace {

// All costs are nanoseconds on one core.

// Of oneDNN and of the block kernels: fitted to the layers of nine ResNet-50s, sparse in several
// ways, at batch 1 and 32, on one core of a Xeon with AMX; mean error 9 to 17 % (docs/adr/0014).
struct OneDnnCosts {
  double multiplication;
  double weight;        // a byte, once a pass
  double image_weight;  // a byte, for each image, of what is not one matrix product over all
  double far_weight;    // the same, more, where the weights do not stay in the second cache
  double output;
  double residual;  // an output to which one is added, more
  double layer;
  double stem_tap;  // an output and tap of a layer with few input channels, more
};
constexpr OneDnnCosts kAmxCosts = {
    /*multiplication=*/0.00055,
    /*weight=*/0.026,
    /*image_weight=*/0.0075,
    /*far_weight=*/0.0097,
    /*output=*/0.11,
    /*residual=*/0.065,
    /*layer=*/2000,
    /*stem_tap=*/0.0175,
};
constexpr OneDnnCosts kVnniCosts = {
    /*multiplication=*/0.0026,
    /*weight=*/0.020,
    /*image_weight=*/0.0035,
    /*far_weight=*/0.0104,
    /*output=*/0.10,
    /*residual=*/0.044,
    /*layer=*/1700,
    /*stem_tap=*/0.0175,
};
constexpr double kFarBytes = 1e6;     // of weights
constexpr double kIm2colByte = 0.15;  // copied
constexpr int kFewChannels = 16;

struct BlockCosts {
  double product;        // of a block with a vector
  double alike_product;  // the same in a layer whose rows are alike
  double block;          // once a pass
  double alike_block;    // the same in a layer whose rows are alike
  double outputs;        // 4 channels of a vector
  double rows;           // 4 of them, once a pass
  double gathered;       // a vector of BlockPlanes
};
constexpr BlockCosts kBlockCosts = {
    /*product=*/0.34,
    /*alike_product=*/0.18,
    /*block=*/0.10,
    /*alike_block=*/0.40,
    /*outputs=*/4.4,
    /*rows=*/6.1,
    /*gathered=*/4.2,
};

// Set by hand to the layers of three models at batch 1 and 32 (docs/adr/0015).
struct MatrixCosts {
  double product;   // of two tiles
  double weight;    // a byte, once a pass
  double outputs;   // 4 channels of a vector
  double residual;  // the same to which others are added, more
  double gathered;  // a vector of BlockPlanes
  double part;      // of positions that have the same taps in the map
};
constexpr MatrixCosts kMatrixCosts = {
    /*product=*/10,
    /*weight=*/0.03,
    /*outputs=*/3.9,
    /*residual=*/3.0,
    /*gathered=*/4.2,
    /*part=*/200,
};

// Of a kernel without an instruction for four products. Not measured against oneDNN's.
constexpr double kWithoutFourProducts = 3;

constexpr double kConvertedBlock = 0.4;  // four channels of a pixel

OneDnnCosts CostsOf(IntegerUnit unit) {
  if (unit == IntegerUnit::kAmx) return kAmxCosts;
  OneDnnCosts costs = kVnniCosts;
  if (unit == IntegerUnit::kAvxVnni) costs.multiplication *= 2;  // half as wide
  return costs;
}

double Taps(const Convolution& c) { return double{1} * c.kernel_height * c.kernel_width; }

double OneDnnTime(const Convolution& c, int batch, const OneDnnCosts& costs) {
  const double outputs = double{1} * batch * c.out_height * c.out_width * c.out_channels;
  const double weights = Taps(c) * c.in_channels * c.out_channels;
  const double products = Taps(c) * c.in_channels * outputs;
  const bool by_im2col = PrefersIm2col(c);
  const int passes = c.is_pointwise() || by_im2col ? 1 : batch;
  double time = costs.layer + costs.multiplication * products + costs.weight * weights +
                costs.image_weight * weights * passes + costs.output * outputs;
  if (by_im2col) time += kIm2colByte * static_cast<double>(Im2colBytes(c, batch));
  if (weights > kFarBytes) time += costs.far_weight * weights * passes;
  if (c.adds_residual) time += costs.residual * outputs;
  if (c.in_channels < kFewChannels) time += costs.stem_tap * Taps(c) * outputs;
  return time;
}

BlockCount BlocksOf(const Convolution& c, const BlockKernel& kernel) {
  const int taps = c.kernel_height * c.kernel_width;
  const int channels = c.in_channels;
  const int8_t* row = c.integer_weights.data();
  BlockCount count;
  int64_t all = 0;
  for (int o = 0; o < c.out_channels; ++o, row += int64_t{channels} * taps) {
    for (int first = 0; first < channels; first += kBlockChannels) {
      const int last = std::min(first + kBlockChannels, channels);
      for (int tap = 0; tap < taps; ++tap, ++all) {
        int8_t any = 0;
        for (int i = first; i < last; ++i) any |= row[int64_t{i} * taps + tap];
        count.blocks += any != 0;
      }
    }
  }
  count.alike = kernel.alike_vectors > 0 && count.blocks >= kAlikeShare * all;
  if (count.alike) count.blocks = all;
  return count;
}

// Of all (output, tap) pairs along one side, the share whose input is not padding.
double UsedShare(int in, int out, int kernel, int stride, int padding) {
  int used = 0;
  for (int o = 0; o < out; ++o) {
    for (int tap = 0; tap < kernel; ++tap) {
      const int at = o * stride - padding + tap;
      used += at >= 0 && at < in;
    }
  }
  return double{1} * used / (out * kernel);
}

double BlockTime(const Convolution& c, const BlockCount& count, const BlockMap& source,
                 const BlockMap& map, const BlockKernel& kernel) {
  const BlockCosts& costs = kBlockCosts;
  const double vectors = static_cast<double>(map.tiles() * map.tile_lanes) / kernel.lanes;
  double product = count.alike ? costs.alike_product : costs.product;
  const double block = count.alike ? costs.alike_block : costs.block;
  if (kernel.adds_in_16_bits) product *= kWithoutFourProducts;
  double products = static_cast<double>(count.blocks) * vectors;
  double gathered = 0;
  if (map.tile_a_pixel) {
    products *= UsedShare(c.in_height, c.out_height, c.kernel_height, c.stride, c.pad_top) *
                UsedShare(c.in_width, c.out_width, c.kernel_width, c.stride, c.pad_left);
  } else if (!c.is_pointwise()) {
    gathered = source.channel_groups * double{1} * c.kernel_width * c.stride * vectors;
  }
  const double rows = c.out_channels / double{kBlockChannels};
  return product * products + block * static_cast<double>(count.blocks) +
         costs.outputs * rows * vectors + costs.rows * rows + costs.gathered * gathered;
}

double MatrixTime(const Convolution& c, const BlockMap& source, const BlockMap& map,
                  const BlockKernel& kernel) {
  const MatrixCosts& costs = kMatrixCosts;
  const double vectors = static_cast<double>(map.tiles() * map.tile_lanes) / kernel.lanes;
  // A kernel that covers its input has the map's pixels in its channels.
  const double taps = Taps(c) * c.in_channels / (double{kBlockChannels} * source.channel_groups);
  const double steps =
      taps * std::ceil(double{kBlockChannels} * source.channel_groups / kTileRowBytes);
  const double row_tiles = std::ceil(c.out_channels / double{kTileRows});
  double products = steps * row_tiles * vectors;
  double gathered = 0, parts = 1;
  if (map.tile_a_pixel) {
    products *= UsedShare(c.in_height, c.out_height, c.kernel_height, c.stride, c.pad_top) *
                UsedShare(c.in_width, c.out_width, c.kernel_width, c.stride, c.pad_left);
    if (c.pad_top > 0 || c.pad_left > 0) parts = 9;
  } else if (!c.is_pointwise()) {
    gathered = source.channel_groups * double{1} * c.kernel_width * c.stride * vectors;
  }
  const double finishing = costs.outputs + (c.adds_residual ? costs.residual : 0);
  return costs.product * products + costs.weight * steps * row_tiles * kTileBytes +
         finishing * c.out_channels / kBlockChannels * vectors + costs.gathered * gathered +
         costs.part * parts;
}

}  // namespace

std::vector<BlockCount> CountBlocks(const DenseModel& model, const BlockKernel& kernel) {
  std::vector<BlockCount> counts;
  for (const Convolution& c : model.convolutions) counts.push_back(BlocksOf(c, kernel));
  return counts;
}

std::vector<LayerTimes> EstimateTimes(const DenseModel& model,
                                      const std::vector<BlockCount>& counts, int batch,
                                      IntegerUnit unit, const BlockKernel& kernel) {
  const std::vector<Layer>& layers = model.network.layers;
  std::vector<LayerTimes> times(layers.size());
  const bool has_matrix = kernel.run_matrix != nullptr && unit == IntegerUnit::kAmx;
  const auto map_of = [&](const Layer& layer) {
    return MakeBlockMap(layer.out_channels, layer.out_height, layer.out_width, batch, kernel);
  };
  for (size_t i = 0; i < layers.size(); ++i) {
    const bool unread = !model.unread.empty() && model.unread[i];
    if (layers[i].op != Op::kConv || unread) continue;
    const Convolution& c = model.convolutions[i];
    const BlockMap source = map_of(layers[layers[i].input]), map = map_of(layers[i]);
    times[i].onednn = OneDnnTime(c, batch, CostsOf(unit));
    times[i].blocks = BlockTime(c, counts[i], source, map, kernel);
    times[i].matrix =
        has_matrix ? MatrixTime(c, source, map, kernel) : std::numeric_limits<double>::infinity();
  }
  return times;
}

std::vector<LayerTimes> EstimateTimes(const DenseModel& model, int batch, IntegerUnit unit,
                                      const BlockKernel& kernel) {
  return EstimateTimes(model, CountBlocks(model, kernel), batch, unit, kernel);
}

double ConversionTime(const Layer& layer, int batch) {
  return kConvertedBlock * batch * layer.out_height * layer.out_width * layer.out_channels /
         kBlockChannels;
}

}  // namespace cytopress
