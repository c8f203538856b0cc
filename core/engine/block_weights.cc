#include "core/engine/block_weights.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <numeric>

namespace cytopress {
namespace {

constexpr int kLargestInput = 255;
// What rounds to 32 bits, with room for the rounding of FP32.
constexpr double kMostPacked = 2e9;
// Of a sum either way, for BlockRows::sums_are_floats.
constexpr int64_t kMostSum = (1 << 22) - 1;
// Of a step, which a sum of 1 stands for, for the same: FP32 may lose as much.
constexpr float kMostMultiplier = 1.0f / 16;

// Reads weights by output channel, tap and source channel.
class WeightReader {
 public:
  WeightReader(const Convolution& convolution, int source_channels)
      : weights_(convolution.integer_weights.data()),
        channels_(source_channels),
        row_(int64_t{convolution.in_channels} * convolution.kernel_height *
             convolution.kernel_width),
        taps_(static_cast<int>(row_ / source_channels)),
        covering_(convolution.in_channels != source_channels) {}

  int taps() const { return taps_; }
  int channels() const { return channels_; }
  int8_t At(int row, int tap, int channel) const {
    if (channel >= channels_) return 0;
    return weights_[row_ * row + (covering_ ? int64_t{tap} * channels_ + channel
                                            : int64_t{channel} * taps_ + tap)];
  }

 private:
  const int8_t* weights_;
  int channels_;
  int64_t row_;
  int taps_;
  bool covering_;  // [out, tap, in] instead of [out, in, tap]
};

bool IsZero(const Block& block) {
  return std::all_of(block.weights.begin(), block.weights.end(), [](int8_t w) { return w == 0; });
}

Block ReadBlock(const WeightReader& reader, int row, int channel_groups, int id) {
  Block block;
  block.id = static_cast<uint16_t>(id);
  for (int c = 0; c < kBlockChannels; ++c) {
    block.weights[c] =
        reader.At(row, id / channel_groups, id % channel_groups * kBlockChannels + c);
  }
  return block;
}

// Rows to look at for what holds for most of them.
constexpr int kSamples = 16;
int SampleStep(int rows) { return std::max(1, rows / kSamples); }

bool IsDense(const WeightReader& reader, int rows, int channel_groups) {
  int blocks = 0, of = 0;
  for (int row = 0; row < rows; row += SampleStep(rows)) {
    for (int id = 0; id < reader.taps() * channel_groups; ++id, ++of) {
      blocks += IsZero(ReadBlock(reader, row, channel_groups, id)) ? 0 : 1;
    }
  }
  return blocks >= kAlikeShare * of;
}

// The blocks of one row, without those that are zero unless `all` are wanted.
std::vector<Block> ReadRow(const WeightReader& reader, int row, int channel_groups, bool exact,
                           bool all) {
  std::vector<Block> blocks;
  for (int id = 0; id < reader.taps() * channel_groups; ++id) {
    const Block block = ReadBlock(reader, row, channel_groups, id);
    if (all || !IsZero(block)) {
      if (exact) {
        blocks.push_back(block);
      } else {
        AppendExact(block, blocks);
      }
    }
  }
  return blocks;
}

// A number of blocks to a group, and the cost of each of its blocks: how many micro-operations AVX2
// spends on a vector's load, product, 16-bit sum and share of the widening, in percent of those
// without groups.
struct GroupCost {
  int group;
  int cost;
};
constexpr GroupCost kGroupCosts[] = {{1, 100}, {2, 78}, {4, 72}, {8, 70}};

// The cheapest number of blocks to a group, by a sample of the rows.
int ChooseGroup(const WeightReader& reader, int rows, int channel_groups) {
  int best = 1;
  int64_t best_cost = std::numeric_limits<int64_t>::max();
  for (const auto [group, block_cost] : kGroupCosts) {
    int64_t cost = 0;
    for (int row = 0; row < rows; row += SampleStep(rows)) {
      const std::vector<Block> blocks =
          ReadRow(reader, row, channel_groups, /*exact=*/false, /*all=*/false);
      cost += static_cast<int64_t>(GroupBlocks(blocks, group).size()) * block_cost;
    }
    if (cost < best_cost) {
      best = group;
      best_cost = cost;
    }
  }
  return best;
}

}  // namespace

BlockWeights::BlockWeights(const Convolution& convolution, int source_channels,
                           const BlockKernel& kernel)
    : zero_(ZeroOf(convolution.source)),
      channel_groups_((source_channels + kBlockChannels - 1) / kBlockChannels) {
  const WeightReader reader(convolution, source_channels);
  taps_ = reader.taps();
  alike_ = kernel.alike_vectors > 0 && IsDense(reader, convolution.out_channels, channel_groups_);
  if (kernel.adds_in_16_bits)
    group_ = ChooseGroup(reader, convolution.out_channels, channel_groups_);
  int64_t largest_sum = 0;
  double largest_value = 0;  // of what sums become
  for (int row = 0; row < convolution.out_channels; row += kBlockChannels) {
    std::vector<Block> rows[kBlockChannels];
    for (int j = 0; j < kBlockChannels; ++j) {
      rows[j] = GroupBlocks(
          ReadRow(reader, row + j, channel_groups_, !kernel.adds_in_16_bits, alike_), group_);
      int64_t sum = 0, magnitudes = 0;
      for (const Block& block : rows[j]) {
        for (int8_t weight : block.weights) {
          sum += weight;
          magnitudes += std::abs(weight);
        }
      }
      // A row without weights may have any multiplier.
      multiplier_.push_back(magnitudes > 0 ? convolution.multiplier[row + j] : 0);
      const int64_t positive = (magnitudes + sum) / 2;
      largest_sum = std::max(
          largest_sum, zero_ != 0 ? kSignedZero * magnitudes
                                  : kLargestInput * std::max(positive, magnitudes - positive));
      largest_value = std::max(
          largest_value, double{kLargestInput} * static_cast<double>(magnitudes) *
                                 std::abs(double{multiplier_.back()}) +
                             std::abs(double{convolution.bias[row + j]}) +
                             2 * kLargestInput * std::abs(double{convolution.residual_multiplier}));
    }
    AppendRows(rows);
  }
  const float largest_multiplier =
      *std::max_element(multiplier_.begin(), multiplier_.end(),
                        [](float a, float b) { return std::abs(a) < std::abs(b); });
  const bool packing_clamps = convolution.destination == Number::kUint8 || !convolution.relu;
  sums_are_floats_ = packing_clamps && largest_sum <= kMostSum && largest_value < kMostPacked &&
                     std::abs(largest_multiplier) <= kMostMultiplier;
  if (sums_are_floats_) {
    for (int32_t& initial : initial_) initial += kSumBits;
  }
  SetBias(convolution);
  ids_.shrink_to_fit();
  weights_.shrink_to_fit();
}

void BlockWeights::SetBias(const Convolution& convolution) {
  // What the kernels do not take from a residual and a sum: the zero of the one, the bases of both.
  const double residual = convolution.adds_residual ? ZeroOf(convolution.residual) +
                                                          double{kResidualBase} / kResidualParts
                                                    : 0;
  const double sum = sums_are_floats_ ? kSumBase : 0;
  for (size_t row = 0; row < convolution.bias.size(); ++row) {
    bias_.push_back(static_cast<float>(convolution.bias[row] -
                                       convolution.residual_multiplier * residual -
                                       multiplier_[row] * sum));
  }
}

BlockWeights BlockWeights::AtTaps(const std::vector<bool>& used) const {
  BlockWeights some = *this;
  some.first_.clear();
  some.steps_.clear();
  some.ids_.clear();
  some.weights_.clear();
  some.initial_.clear();
  const auto first_used = std::find(used.begin(), used.end(), true) - used.begin();
  some.idle_id_ = static_cast<uint16_t>(first_used * channel_groups_);
  for (int row = 0; row < static_cast<int>(steps_.size()); row += kBlockChannels) {
    std::vector<Block> rows[kBlockChannels];
    for (int j = 0; j < kBlockChannels; ++j) {
      std::vector<Block> blocks = RowBlocks(row + j);
      blocks.erase(std::remove_if(blocks.begin(), blocks.end(),
                                  [&](const Block& block) {
                                    return !used[block.id / channel_groups_] ||
                                           (!alike_ && IsZero(block));
                                  }),
                   blocks.end());
      rows[j] = GroupBlocks(blocks, group_);
    }
    some.AppendRows(rows);
  }
  some.ids_.shrink_to_fit();
  some.weights_.shrink_to_fit();
  return some;
}

std::vector<Block> BlockWeights::RowBlocks(int row) const {
  std::vector<Block> blocks;
  for (int step = 0; step < steps_[row]; ++step) {
    for (int i = 0; i < group_; ++i) {
      const size_t at = first_[row / kBlockChannels] +
                        (size_t{kBlockChannels} * step + row % kBlockChannels) * group_ + i;
      Block& block = blocks.emplace_back();
      block.id = ids_[at];
      std::copy_n(weights_.begin() + kBlockChannels * at, kBlockChannels, block.weights.begin());
    }
  }
  return blocks;
}

void BlockWeights::AppendRows(const std::vector<Block>* rows) {
  first_.push_back(static_cast<uint32_t>(ids_.size()));
  size_t most = 0;
  for (int j = 0; j < kBlockChannels; ++j) {
    steps_.push_back(static_cast<uint16_t>(rows[j].size() / group_));
    most = std::max(most, rows[j].size());
    int32_t sum = 0;
    for (const Block& block : rows[j]) {
      sum = std::accumulate(block.weights.begin(), block.weights.end(), sum);
    }
    initial_.push_back((sums_are_floats_ ? kSumBits : 0) - zero_ * sum);
  }
  for (size_t step = 0; step < most; step += group_) {
    for (int j = 0; j < kBlockChannels; ++j) {
      for (size_t i = step; i < step + group_; ++i) {
        Block block = i < rows[j].size() ? rows[j][i] : Block();
        if (!alike_ && IsZero(block)) block.id = idle_id_;
        ids_.push_back(block.id);
        weights_.insert(weights_.end(), block.weights.begin(), block.weights.end());
      }
    }
  }
}

int64_t BlockWeights::products() const {
  return group_ * std::accumulate(steps_.begin(), steps_.end(), int64_t{0});
}

int64_t BlockWeights::bytes() const {
  return static_cast<int64_t>(first_.size() * sizeof(uint32_t) +
                              (steps_.size() + ids_.size()) * sizeof(uint16_t) + weights_.size() +
                              initial_.size() * sizeof(int32_t) +
                              (multiplier_.size() + bias_.size()) * sizeof(float));
}

BlockRows BlockWeights::View(const Convolution& convolution) const {
  BlockRows rows;
  rows.first = first_.data();
  rows.steps = steps_.data();
  rows.ids = ids_.data();
  rows.weights = weights_.data();
  rows.group = group_;
  rows.alike = alike_;
  rows.initial = initial_.data();
  rows.multiplier = multiplier_.data();
  rows.bias = bias_.data();
  rows.adds_residual = convolution.adds_residual;
  rows.residual_multiplier = convolution.residual_multiplier / kResidualParts;
  const bool is_signed = convolution.destination == Number::kInt8;
  rows.low = is_signed && !convolution.relu ? -128.0f : 0.0f;
  rows.high = is_signed ? 127.0f : 255.0f;
  rows.zero = ZeroOf(convolution.destination);
  rows.sums_are_floats = sums_are_floats_;
  return rows;
}

}  // namespace cytopress
