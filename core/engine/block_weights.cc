#include "core/engine/block_weights.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "core/engine/weight_reader.h"

namespace cytopress {
namespace {

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
    : constants_(convolution),
      channel_groups_((source_channels + kBlockChannels - 1) / kBlockChannels) {
  const WeightReader reader(convolution, source_channels);
  taps_ = reader.taps();
  alike_ = kernel.alike_vectors > 0 && IsDense(reader, convolution.out_channels, channel_groups_);
  if (kernel.adds_in_16_bits)
    group_ = ChooseGroup(reader, convolution.out_channels, channel_groups_);
  for (int row = 0; row < convolution.out_channels; row += kBlockChannels) {
    std::vector<Block> rows[kBlockChannels];
    for (int j = 0; j < kBlockChannels; ++j) {
      rows[j] = GroupBlocks(
          ReadRow(reader, row + j, channel_groups_, !kernel.adds_in_16_bits, alike_), group_);
    }
    AppendRows(rows);
  }
  ids_.shrink_to_fit();
  weights_.shrink_to_fit();
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
    initial_.push_back(constants_.Initial(sum));
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
                              initial_.size() * sizeof(int32_t)) +
         constants_.bytes();
}

BlockRows BlockWeights::View(const Convolution& convolution) const {
  BlockRows rows;
  static_cast<RowOutputs&>(rows) = constants_.View(convolution);
  rows.initial = initial_.data();
  rows.first = first_.data();
  rows.steps = steps_.data();
  rows.ids = ids_.data();
  rows.weights = weights_.data();
  rows.group = group_;
  rows.alike = alike_;
  return rows;
}

}  // namespace cytopress
