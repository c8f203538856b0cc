#include "core/kernels/block_weights.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "core/kernels/weight_reader.h"

namespace cytopress {
namespace {

// The blocks of kRows rows, without those that are zero in all of them.
template <int kRows>
std::vector<RowsBlock<kRows>> ReadRows(const WeightReader& reader, int row, int channel_groups,
                                       const BlockKernel& kernel) {
  std::vector<RowsBlock<kRows>> blocks;
  blocks.reserve(static_cast<size_t>(reader.taps()) * channel_groups);
  for (int tap = 0; tap < reader.taps(); ++tap) {
    for (int group = 0; group < channel_groups; ++group) {
      RowsBlock<kRows> block;
      block.id = static_cast<uint16_t>(tap * channel_groups + group);
      int8_t any = 0;
      for (int i = 0; i < kRows * kBlockChannels; ++i) {
        const int channel = group * kBlockChannels + i % kBlockChannels;
        block.weights[i] = reader.At(row + i / kBlockChannels, tap, channel);
        any |= block.weights[i];
      }
      if (any == 0) continue;
      if (kernel.adds_in_16_bits) {
        AppendExact(block, blocks);
      } else {
        blocks.push_back(block);
      }
    }
  }
  return blocks;
}

using Form = BlockWeights::Form;

// What a row's share of a block costs AVX2 in a form, in one unit for all: measured (Zen 3, 32
// images), and for skipping an eighth more. It has more bytes a block, for which one image waits,
// and a pruned model is not to be slower than a full one.
struct FormCost {
  Form form;
  int64_t cost;
};
constexpr FormCost kCostsOfSkipping[] = {{{false, 1}, 112}, {{false, 2}, 102}, {{false, 4}, 100}};
constexpr FormCost kCostsOfAlike[] = {{{true, 1}, 78}, {{true, 2}, 70}};

// Rows to look at for what holds for most of them.
constexpr int kSamples = 16;

// The best form for all rows, by a sample of them.
Form ChooseForm(const WeightReader& reader, int rows, int channel_groups,
                const BlockKernel& kernel) {
  std::vector<std::vector<Block>> single;
  std::vector<std::vector<AlikeBlock>> alike;
  const int step = std::max(1, rows / kSamples);
  for (int row = 0; row < rows; row += step) {
    single.push_back(ReadRows<1>(reader, row, channel_groups, kernel));
    const bool compares_costs = kernel.adds_in_16_bits && kernel.alike_vectors > 0;
    if (!compares_costs || row % (kAlikeRows * step) != 0) continue;
    const int first = row / kAlikeRows * kAlikeRows;
    alike.push_back(ReadRows<kAlikeRows>(reader, first, channel_groups, kernel));
  }
  if (!kernel.adds_in_16_bits) {
    size_t blocks = 0;
    for (const std::vector<Block>& row : single) blocks += row.size();
    const size_t all = single.size() * reader.taps() * channel_groups;
    const bool few_zeros = static_cast<double>(blocks) >= kAlikeShare * static_cast<double>(all);
    return {kernel.alike_vectors > 0 && few_zeros, 1};
  }
  Form best = {false, 1};
  double least = std::numeric_limits<double>::max();
  const auto try_forms = [&](const auto& sample, const auto& costs) {
    for (const auto& [form, cost] : costs) {
      int64_t blocks = 0;
      for (const auto& rows_blocks : sample) {
        blocks += static_cast<int64_t>(GroupBlocks(rows_blocks, form.group).size());
      }
      const double mean = static_cast<double>(cost * blocks) / static_cast<double>(sample.size());
      if (mean >= least) continue;
      best = form;
      least = mean;
    }
  };
  try_forms(single, kCostsOfSkipping);
  if (!alike.empty()) try_forms(alike, kCostsOfAlike);
  return best;
}

}  // namespace

BlockWeights::BlockWeights(const RowConstants& constants, int taps, int channel_groups, Form form)
    : constants_(constants), taps_(taps), channel_groups_(channel_groups), form_(form) {}

BlockWeights::BlockWeights(const Convolution& convolution, int source_channels,
                           const BlockKernel& kernel)
    : constants_(convolution),
      channel_groups_((source_channels + kBlockChannels - 1) / kBlockChannels) {
  const WeightReader reader(convolution, source_channels);
  taps_ = reader.taps();
  form_ = ChooseForm(reader, convolution.out_channels, channel_groups_, kernel);
  for (int row = 0; row < convolution.out_channels; row += kBlockChannels) {
    if (form_.alike) {
      AppendAlikeRows(
          GroupBlocks(ReadRows<kAlikeRows>(reader, row, channel_groups_, kernel), form_.group));
      continue;
    }
    std::vector<Block> rows[kBlockChannels];
    for (int j = 0; j < kBlockChannels; ++j) {
      rows[j] = GroupBlocks(ReadRows<1>(reader, row + j, channel_groups_, kernel), form_.group);
    }
    AppendRows(rows);
  }
  ShrinkToFit();
}

BlockWeights BlockWeights::AtTaps(const std::vector<bool>& used) const {
  BlockWeights some(constants_, taps_, channel_groups_, form_);
  const auto first_used = std::find(used.begin(), used.end(), true) - used.begin();
  some.idle_id_ = static_cast<uint16_t>(first_used * channel_groups_);
  const auto at_taps = [&](auto blocks) {
    const auto elsewhere = [&](const auto& block) { return !used[block.id / channel_groups_]; };
    blocks.erase(std::remove_if(blocks.begin(), blocks.end(), elsewhere), blocks.end());
    return GroupBlocks(blocks, form_.group);
  };
  for (int row = 0; row < static_cast<int>(steps_.size()); row += kBlockChannels) {
    if (form_.alike) {
      some.AppendAlikeRows(at_taps(AlikeRowsBlocks(row)));
      continue;
    }
    std::vector<Block> rows[kBlockChannels];
    for (int j = 0; j < kBlockChannels; ++j) rows[j] = at_taps(RowBlocks(row + j));
    some.AppendRows(rows);
  }
  some.ShrinkToFit();
  return some;
}

void BlockWeights::ShrinkToFit() {
  ids_.shrink_to_fit();
  weights_.shrink_to_fit();
}

std::vector<Block> BlockWeights::RowBlocks(int row) const {
  std::vector<Block> blocks;
  for (int step = 0; step < steps_[row]; ++step) {
    for (int i = 0; i < form_.group; ++i) {
      const size_t at = first_[row / kBlockChannels] +
                        (size_t{kBlockChannels} * step + row % kBlockChannels) * form_.group + i;
      Block block;
      block.id = ids_[at];
      std::copy_n(weights_.begin() + kBlockChannels * at, kBlockChannels, block.weights.begin());
      if (!IsZero(block)) blocks.push_back(block);
    }
  }
  return blocks;
}

std::vector<AlikeBlock> BlockWeights::AlikeRowsBlocks(int row) const {
  std::vector<AlikeBlock> blocks;
  blocks.reserve(size_t{steps_[row]} * form_.group);
  const size_t first = first_[row / kAlikeRows] / kAlikeRows;
  for (size_t at = first; at < first + size_t{steps_[row]} * form_.group; ++at) {
    AlikeBlock block;
    block.id = ids_[at];
    const size_t size = block.weights.size();
    std::copy_n(weights_.begin() + size * at, size, block.weights.begin());
    if (!IsZero(block)) blocks.push_back(block);
  }
  return blocks;
}

void BlockWeights::AppendRows(const std::vector<Block>* rows) {
  first_.push_back(static_cast<uint32_t>(ids_.size()));
  size_t most = 0;
  for (int j = 0; j < kBlockChannels; ++j) {
    steps_.push_back(static_cast<uint16_t>(rows[j].size() / form_.group));
    most = std::max(most, rows[j].size());
    int32_t sum = 0;
    for (const Block& block : rows[j]) {
      sum = std::accumulate(block.weights.begin(), block.weights.end(), sum);
    }
    initial_.push_back(constants_.Initial(sum));
  }
  const size_t first = ids_.size(), count = kBlockChannels * most;
  ids_.resize(first + count, idle_id_);
  weights_.resize(kBlockChannels * (first + count));
  for (int j = 0; j < kBlockChannels; ++j) {
    for (size_t i = 0; i < rows[j].size(); ++i) {
      const Block& block = rows[j][i];
      if (IsZero(block)) continue;
      const size_t at =
          first + (i / form_.group * kBlockChannels + j) * form_.group + i % form_.group;
      ids_[at] = block.id;
      std::copy(block.weights.begin(), block.weights.end(), weights_.begin() + kBlockChannels * at);
    }
  }
}

void BlockWeights::AppendAlikeRows(const std::vector<AlikeBlock>& blocks) {
  first_.push_back(static_cast<uint32_t>(weights_.size() / kBlockChannels));
  int32_t sums[kAlikeRows] = {};
  auto to = static_cast<int64_t>(weights_.size());
  weights_.resize(weights_.size() + blocks.size() * AlikeBlock().weights.size());
  for (const AlikeBlock& block : blocks) {
    ids_.push_back(IsZero(block) ? idle_id_ : block.id);
    std::copy(block.weights.begin(), block.weights.end(), weights_.begin() + to);
    to += static_cast<int64_t>(block.weights.size());
    for (size_t i = 0; i < block.weights.size(); ++i) {
      sums[i / kBlockChannels] += block.weights[i];
    }
  }
  for (const int32_t sum : sums) {
    steps_.push_back(static_cast<uint16_t>(blocks.size() / form_.group));
    initial_.push_back(constants_.Initial(sum));
  }
}

int64_t BlockWeights::products() const {
  return form_.group * std::accumulate(steps_.begin(), steps_.end(), int64_t{0});
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
  rows.group = form_.group;
  rows.alike = form_.alike;
  return rows;
}

}  // namespace cytopress
