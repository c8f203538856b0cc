#include "core/engine/block_grouping.h"

#include <algorithm>

namespace cytopress {
namespace {

// What the weights of each 16-bit sum add up to, positive and negative ones apart.
struct Load {
  std::array<int, 4> sums = {};

  Load() = default;
  explicit Load(const Block& block) {
    for (int i = 0; i < kBlockChannels; ++i) {
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

struct Group {
  Group() { blocks.reserve(8); }

  std::vector<Block> blocks;
  Load load;

  void Add(const Block& block) {
    blocks.push_back(block);
    load.Add(Load(block));
  }
  bool HasRoomFor(const Block& block, size_t most) const {
    if (blocks.size() >= most) return false;
    Load sum = load;
    sum.Add(Load(block));
    return sum.fits();
  }
};

// Deals the blocks, the heaviest first, forth and back over as few groups as can hold them.
std::vector<Group> Deal(const std::vector<Block>& row, int group) {
  std::vector<std::vector<const Block*>> by_load(kMost16BitWeight + 1);
  for (const Block& block : row) by_load[Load(block).largest()].push_back(&block);
  std::vector<Group> groups((row.size() + group - 1) / group);
  size_t dealt = 0;
  for (auto blocks = by_load.rbegin(); blocks != by_load.rend(); ++blocks) {
    for (const Block* block : *blocks) {
      const size_t round = dealt / groups.size(), place = dealt % groups.size();
      groups[round % 2 == 0 ? place : groups.size() - 1 - place].Add(*block);
      ++dealt;
    }
  }
  return groups;
}

// Removes blocks, the heaviest first, until the group fits.
void Lighten(Group& group, std::vector<Block>& removed) {
  while (!group.load.fits()) {
    removed.push_back(group.blocks.front());
    group.load.Remove(Load(group.blocks.front()));
    group.blocks.erase(group.blocks.begin());
  }
}

}  // namespace

void AppendExact(const Block& block, std::vector<Block>& row) {
  if (Load(block).fits()) {
    row.push_back(block);
    return;
  }
  Block half = block, rest = block;
  for (int i = 0; i < kBlockChannels; ++i) {
    half.weights[i] = static_cast<int8_t>(block.weights[i] / 2);
    rest.weights[i] = static_cast<int8_t>(block.weights[i] - half.weights[i]);
  }
  row.push_back(half);
  row.push_back(rest);
}

std::vector<Block> GroupBlocks(const std::vector<Block>& row, int group) {
  const auto most = static_cast<size_t>(group);
  if (group == 1 || row.empty()) return row;
  std::vector<Group> groups = Deal(row, group);
  std::vector<Block> removed;
  for (Group& each : groups) Lighten(each, removed);
  // Groups that have room are few and differ little: the next that fits is as good as the best.
  size_t next = 0;
  for (const Block& block : removed) {
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
  std::vector<Block> ordered;
  for (Group& each : groups) {
    each.blocks.resize(most);
    ordered.insert(ordered.end(), each.blocks.begin(), each.blocks.end());
  }
  return ordered;
}

}  // namespace cytopress
