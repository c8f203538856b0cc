#include "core/engine/layer_choice.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "core/engine/batch_engine.h"
#include "core/engine/network_layout.h"
#include "core/kernels/block_map.h"
#include "core/kernels/block_weights.h"
#include "core/kernels/onednn.h"
#include "core/kernels/windows.h"

namespace cytopress {
namespace {

// All in nanoseconds, fitted to the layers of nine ResNet-50s, sparse in several ways, at
// batch 1 and 32, on one core of a Xeon with AMX: 9 to 17 % off in the mean (docs/adr/0014).
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
constexpr OneDnnCosts kAmxCosts = {0.00055, 0.026, 0.0075, 0.0097, 0.11, 0.065, 2000, 0.0175};
constexpr OneDnnCosts kVnniCosts = {0.0026, 0.020, 0.0035, 0.0104, 0.10, 0.044, 1700, 0.0175};
constexpr double kFarBytes = 1e6;
constexpr double kWindowByte = 0.15;  // copied
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
constexpr BlockCosts kBlockCosts = {0.34, 0.18, 0.10, 0.40, 4.4, 6.1, 4.2};

// Set by hand to the layers of three models at batch 1 and 32 (docs/adr/0015).
struct MatrixCosts {
  double product;   // of two tiles
  double weight;    // a byte, once a pass
  double outputs;   // 4 channels of a vector
  double residual;  // the same to which others are added, more
  double gathered;  // a vector of BlockPlanes
  double part;      // of positions that have the same taps in the map
};
constexpr MatrixCosts kMatrixCosts = {10, 0.03, 3.9, 3.0, 4.2, 200};

// Of a kernel without an instruction for four products. Not measured against oneDNN's.
constexpr double kWithoutFourProducts = 3;

// Four channels of a pixel.
constexpr double kConvertedBlock = 0.4;

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
  const bool by_windows = PrefersWindows(c);
  const int passes = c.is_pointwise() || by_windows ? 1 : batch;
  double time = costs.layer + costs.multiplication * products + costs.weight * weights +
                costs.image_weight * weights * passes + costs.output * outputs;
  if (by_windows) time += kWindowByte * static_cast<double>(WindowBytes(c, batch));
  if (weights > kFarBytes) time += costs.far_weight * weights * passes;
  if (c.adds_residual) time += costs.residual * outputs;
  if (c.in_channels < kFewChannels) time += costs.stem_tap * Taps(c) * outputs;
  return time;
}

// Blocks of weights that are not zero; all of them where the rows are alike.
struct BlockCount {
  int64_t blocks = 0;
  bool alike = false;
};

BlockCount CountBlocks(const Convolution& c, const BlockKernel& kernel) {
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

std::vector<BlockCount> CountBlocks(const DenseModel& model, const BlockKernel& kernel) {
  std::vector<BlockCount> counts;
  for (const Convolution& c : model.convolutions) counts.push_back(CountBlocks(c, kernel));
  return counts;
}

std::vector<LayerTimes> Estimate(const DenseModel& model, const std::vector<BlockCount>& counts,
                                 int batch, IntegerUnit unit, const BlockKernel& kernel) {
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

// From which batch on a matrix is faster than skipping zeros, by layer.
std::vector<int> MatrixFrom(const DenseModel& model, const std::vector<BlockCount>& counts,
                            IntegerUnit unit, const BlockKernel& kernel) {
  std::vector<int> from(model.network.layers.size(), LayerWay::kNever);
  std::vector<bool> decided(from.size(), false);
  for (int batch = LargestBatch(model); batch >= 1; batch /= 2) {
    const std::vector<LayerTimes> times = Estimate(model, counts, batch, unit, kernel);
    for (size_t i = 0; i < from.size(); ++i) {
      if (times[i].matrix >= times[i].blocks) decided[i] = true;
      if (!decided[i]) from[i] = batch;
    }
  }
  return from;
}

// Of a pass with any choice between oneDNN and block maps, of the smallest and the largest batch,
// each in units of what oneDNN alone takes.
class PassTime {
 public:
  PassTime(const DenseModel& model, IntegerUnit unit, const BlockKernel& kernel)
      : network_(model.network),
        onednn_(network_.layers.size()),
        blocks_(network_.layers.size()),
        conversions_(network_.layers.size()) {
    const std::vector<BlockCount> counts = CountBlocks(model, kernel);
    matrix_from_ = MatrixFrom(model, counts, unit, kernel);
    for (const int batch : {1, LargestBatch(model)}) {
      const std::vector<LayerTimes> times = Estimate(model, counts, batch, unit, kernel);
      double all = 0;
      for (const LayerTimes& time : times) all += time.onednn;
      for (size_t i = 0; i < times.size(); ++i) {
        const Layer& layer = network_.layers[i];
        onednn_[i] += times[i].onednn / all;
        blocks_[i] += (batch >= matrix_from_[i] ? times[i].matrix : times[i].blocks) / all;
        conversions_[i] += kConvertedBlock * batch * layer.out_height * layer.out_width *
                           layer.out_channels / kBlockChannels / all;
      }
    }
  }

  double operator()(const std::vector<bool>& in_blocks) const {
    const NetworkForms forms = FormsOf(network_, in_blocks);
    double time = 0;
    for (size_t i = 0; i < onednn_.size(); ++i) {
      time += in_blocks[i] ? blocks_[i] : onednn_[i];
      if (forms.IsConverted(i)) time += conversions_[i];
    }
    return time;
  }

  // Each layer by itself, as if converting cost nothing.
  std::vector<bool> Apart() const {
    std::vector<bool> in_blocks;
    for (size_t i = 0; i < onednn_.size(); ++i) in_blocks.push_back(blocks_[i] < onednn_[i]);
    return in_blocks;
  }

  LayerWays ChoiceOf(const std::vector<bool>& in_blocks) const {
    LayerWays choice;
    for (size_t i = 0; i < in_blocks.size(); ++i) {
      choice.push_back({in_blocks[i], in_blocks[i] ? matrix_from_[i] : LayerWay::kNever});
    }
    return choice;
  }

 private:
  const Network& network_;
  std::vector<int> matrix_from_;
  // By layer.
  std::vector<double> onednn_;
  std::vector<double> blocks_;
  std::vector<double> conversions_;
};

// Changes neighbouring convolutions together for as long as that makes the pass shorter.
void Improve(const PassTime& time, const std::vector<int>& convolutions,
             std::vector<bool>* choice) {
  constexpr size_t kTogether = 4;
  double best = time(*choice);
  for (bool improves = true; improves;) {
    improves = false;
    for (size_t first = 0; first < convolutions.size(); ++first) {
      for (const bool in_blocks : {false, true}) {
        std::vector<bool> changed = *choice;
        for (size_t i = first; i < std::min(first + kTogether, convolutions.size()); ++i) {
          if (changed[convolutions[i]] == in_blocks) continue;
          changed[convolutions[i]] = in_blocks;
          const double changed_time = time(changed);
          if (changed_time >= best) continue;
          best = changed_time;
          *choice = changed;
          improves = true;
        }
      }
    }
  }
}

}  // namespace

std::vector<LayerTimes> EstimateTimes(const DenseModel& model, int batch, IntegerUnit unit,
                                      const BlockKernel& kernel) {
  return Estimate(model, CountBlocks(model, kernel), batch, unit, kernel);
}

LayerWays ChooseLayers(const DenseModel& model, const BlockKernel& kernel) {
  const Network& network = model.network;
  if (model.arithmetic != DenseArithmetic::kInt8) return AllByOneDnn(network);
  if (!HasExactInt8()) return AllInBlocks(network);
  return ChooseLayers(model, BestIntegerUnit(), kernel);
}

LayerWays ChooseLayers(const DenseModel& model, IntegerUnit unit, const BlockKernel& kernel) {
  const Network& network = model.network;
  std::vector<int> convolutions;
  std::vector<bool> all(network.layers.size(), false);
  for (size_t i = 0; i < network.layers.size(); ++i) {
    if (network.layers[i].op != Op::kConv) continue;
    convolutions.push_back(static_cast<int>(i));
    all[i] = true;
  }
  const PassTime time(model, unit, kernel);
  std::vector<bool> best(network.layers.size(), false);
  double best_time = time(best);
  for (std::vector<bool> start : {best, time.Apart(), all}) {
    Improve(time, convolutions, &start);
    if (time(start) >= best_time) continue;
    best_time = time(start);
    best = start;
  }
  return time.ChoiceOf(best);
}

}  // namespace cytopress
