#include "core/kernels/block_grouping.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

namespace cytopress {
namespace {

template <int kRows>
std::vector<RowsBlock<kRows>> RandomBlocks(int blocks, int largest, std::mt19937& random) {
  std::vector<RowsBlock<kRows>> row;
  for (int i = 0; i < blocks; ++i) {
    RowsBlock<kRows> block;
    block.id = static_cast<uint16_t>(random() % 1000);
    for (int8_t& weight : block.weights) {
      weight = static_cast<int8_t>(static_cast<int>(random() % (2 * largest + 1)) - largest);
    }
    row.push_back(block);
  }
  return row;
}

// What each id's weights add up to: what the rows compute.
template <int kRows>
std::map<int, std::array<int, kRows * kBlockChannels>> Meaning(
    const std::vector<RowsBlock<kRows>>& row) {
  std::map<int, std::array<int, kRows * kBlockChannels>> sums;
  for (const RowsBlock<kRows>& block : row) {
    for (int c = 0; c < kRows * kBlockChannels; ++c) {
      if (block.weights[c] != 0) sums[block.id][c] += block.weights[c];
    }
  }
  return sums;
}

// The farthest that any 16-bit sum of a group can be from 0.
template <int kRows>
int WorstSum(const std::vector<RowsBlock<kRows>>& row, int group) {
  int worst = 0;
  for (size_t first = 0; first < row.size(); first += group) {
    for (int pair = 0; pair < kRows * kBlockChannels; pair += 2) {
      int positive = 0, negative = 0;
      for (int g = 0; g < group; ++g) {
        for (int c = pair; c < pair + 2; ++c) {
          const int weight = row[first + g].weights[c];
          (weight > 0 ? positive : negative) += 255 * std::abs(weight);
        }
      }
      worst = std::max({worst, positive, negative});
    }
  }
  return worst;
}

template <int kRows>
void ExpectExact() {
  std::mt19937 random(1);
  for (int largest : {1, 7, 30, 127}) {
    for (int blocks : {0, 1, 5, 64, 301}) {
      const auto row = RandomBlocks<kRows>(blocks, largest, random);
      std::vector<RowsBlock<kRows>> exact;
      for (const RowsBlock<kRows>& block : row) AppendExact(block, exact);
      for (int group : {1, 2, kMostGroup}) {
        const auto grouped = GroupBlocks(exact, group);
        ASSERT_EQ(grouped.size() % group, 0u);
        EXPECT_EQ(Meaning(grouped), Meaning(row));
        EXPECT_LE(WorstSum(grouped, group), 32767) << largest << " in groups of " << group;
      }
    }
  }
}

TEST(BlockGroupingTest, NeverSaturatesAndKeepsTheMeaning) { ExpectExact<1>(); }

TEST(BlockGroupingTest, NorDoFourRowsTogether) { ExpectExact<kAlikeRows>(); }

TEST(BlockGroupingTest, SplitsOnlyWhatSaturates) {
  std::vector<Block> row;
  AppendExact(Block{1, {127, -127, 64, 64}}, row);
  EXPECT_EQ(row.size(), 1u);
  AppendExact(Block{2, {0, 0, -65, -64}}, row);
  EXPECT_EQ(row.size(), 3u);
  EXPECT_LE(WorstSum(row, 1), 32767);
}

TEST(BlockGroupingTest, FillsGroupsOfSmallWeights) {
  std::mt19937 random(1);
  EXPECT_EQ(GroupBlocks(RandomBlocks<1>(64, 7, random), 4).size(), 64u);
  EXPECT_EQ(GroupBlocks(RandomBlocks<1>(65, 7, random), 4).size(), 68u);
  EXPECT_EQ(GroupBlocks(RandomBlocks<kAlikeRows>(65, 7, random), 4).size(), 68u);
}

}  // namespace
}  // namespace cytopress
