#include "core/kernels/block_grouping.h"

#include <algorithm>
#include <cstdlib>

namespace cytopress {
namespace {

// What the weights of each 16-bit sum add up to, positive and negative ones apart.
template <int kRows>
struct Load {
  std::array<int, kRows* kBlockChannels> sums = {};

  Load() = default;
  explicit Load(const RowsBlock<kRows>& block) {
    for (size_t i = 0; i < sums.size(); ++i) {
      const int weight = block.weights[i];
      sums[i / 2 * 2 + (weight < 0)] += std::abs(weight);
    }
  }
  void Add(const Load& other) {
    for (size_t i = 0; i < sums.size(); ++i) sums[i] += other.sums[i];
  }
  void Remove(const Load& other) {
    for (size_t i = 0; i < sums.size(); ++i) sums[i] -= other.sums[i];
  }
  int largest() const { return *std::max_element(sums.begin(), sums.end()); }
  bool fits() const { return largest() <= kMost16BitWeight; }
};

template <int kRows>
struct Group {
  Group() { blocks.reserve(kMostGroup); }

  std::vector<RowsBlock<kRows>> blocks;
  Load<kRows> load;

  void Add(const RowsBlock<kRows>& block) {
    blocks.push_back(block);
    load.Add(Load<kRows>(block));
  }
  bool HasRoomFor(const RowsBlock<kRows>& block, size_t most) const {
    if (blocks.size() >= most) return false;
    Load<kRows> sum = load;
    sum.Add(Load<kRows>(block));
    return sum.fits();
  }
};

template <int kRows>
int LargestMagnitude(const std::vector<RowsBlock<kRows>>& blocks) {
  int largest = 0;
  for (const RowsBlock<kRows>& block : blocks) {
    for (const int8_t weight : block.weights) largest = std::max(largest, std::abs(weight));
  }
  return largest;
}

// Whether every `group` consecutive blocks fit as they are, as those of INT4 do.
template <int kRows>
bool FitInOrder(const std::vector<RowsBlock<kRows>>& blocks, size_t group) {
  // Two weights of each block share a sum.
  if (LargestMagnitude(blocks) * 2 * static_cast<int>(group) <= kMost16BitWeight) return true;
  for (size_t first = 0; first < blocks.size(); first += group) {
    Load<kRows> load;
    for (size_t i = first; i < std::min(first + group, blocks.size()); ++i) {
      load.Add(Load<kRows>(blocks[i]));
    }
    if (!load.fits()) return false;
  }
  return true;
}

// Deals the blocks, the heaviest first, in snake order (forth and back) over as few groups as can
// hold them.
template <int kRows>
std::vector<Group<kRows>> Deal(const std::vector<RowsBlock<kRows>>& blocks, int group) {
  std::vector<std::vector<const RowsBlock<kRows>*>> by_load(kMost16BitWeight + 1);
  for (const RowsBlock<kRows>& block : blocks) {
    by_load[Load<kRows>(block).largest()].push_back(&block);
  }
  std::vector<Group<kRows>> groups((blocks.size() + group - 1) / group);
  size_t dealt = 0;
  for (auto alike = by_load.rbegin(); alike != by_load.rend(); ++alike) {
    for (const RowsBlock<kRows>* block : *alike) {
      const size_t round = dealt / groups.size(), place = dealt % groups.size();
      groups[round % 2 == 0 ? place : groups.size() - 1 - place].Add(*block);
      ++dealt;
    }
  }
  return groups;
}

// Removes blocks, the heaviest first, until the group fits.
template <int kRows>
void Lighten(Group<kRows>& group, std::vector<RowsBlock<kRows>>& removed) {
  while (!group.load.fits()) {
    removed.push_back(group.blocks.front());
    group.load.Remove(Load<kRows>(group.blocks.front()));
    group.blocks.erase(group.blocks.begin());
  }
}

}  // namespace

template <int kRows>
void AppendExact(const RowsBlock<kRows>& block, std::vector<RowsBlock<kRows>>& blocks) {
  if (Load<kRows>(block).fits()) {
    blocks.push_back(block);
    return;
  }
  RowsBlock<kRows> half = block, rest = block;
  for (size_t i = 0; i < block.weights.size(); ++i) {
    half.weights[i] = static_cast<int8_t>(block.weights[i] / 2);
    rest.weights[i] = static_cast<int8_t>(block.weights[i] - half.weights[i]);
  }
  blocks.push_back(half);
  blocks.push_back(rest);
}

template <int kRows>
std::vector<RowsBlock<kRows>> GroupBlocks(const std::vector<RowsBlock<kRows>>& blocks, int group) {
  const auto most = static_cast<size_t>(group);
  if (group == 1 || blocks.empty()) return blocks;
  if (FitInOrder(blocks, most)) {
    std::vector<RowsBlock<kRows>> ordered = blocks;
    ordered.resize((blocks.size() + most - 1) / most * most);
    return ordered;
  }
  std::vector<Group<kRows>> groups = Deal(blocks, group);
  std::vector<RowsBlock<kRows>> removed;
  for (Group<kRows>& each : groups) Lighten(each, removed);
  // Groups that have room are few and differ little: the next that fits is as good as the best.
  size_t next = 0;
  for (const RowsBlock<kRows>& block : removed) {
    size_t tried = 0;
    while (tried < groups.size() && !groups[next].HasRoomFor(block, most)) {
      next = (next + 1) % groups.size();
      ++tried;
    }
    if (tried == groups.size()) {
      next = groups.size();
      groups.emplace_back();
    }
    groups[next].Add(block);
  }
  std::vector<RowsBlock<kRows>> ordered;
  for (Group<kRows>& each : groups) {
    each.blocks.resize(most);
    ordered.insert(ordered.end(), each.blocks.begin(), each.blocks.end());
  }
  return ordered;
}

template void AppendExact(const Block&, std::vector<Block>&);
template void AppendExact(const AlikeBlock&, std::vector<AlikeBlock>&);
template std::vector<Block> GroupBlocks(const std::vector<Block>&, int);
template std::vector<AlikeBlock> GroupBlocks(const std::vector<AlikeBlock>&, int);

}  // namespace cytopress
