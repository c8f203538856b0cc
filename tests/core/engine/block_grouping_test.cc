#include "core/engine/block_grouping.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

namespace cytopress {
namespace {

std::vector<Block> RandomRow(int blocks, int largest, std::mt19937& random) {
  std::vector<Block> row;
  for (int i = 0; i < blocks; ++i) {
    Block block;
    block.id = static_cast<uint16_t>(random() % 1000);
    for (int8_t& weight : block.weights) {
      weight = static_cast<int8_t>(static_cast<int>(random() % (2 * largest + 1)) - largest);
    }
    row.push_back(block);
  }
  return row;
}

// What each id's weights add up to: what the row computes.
std::map<int, std::array<int, kBlockChannels>> Meaning(const std::vector<Block>& row) {
  std::map<int, std::array<int, kBlockChannels>> sums;
  for (const Block& block : row) {
    for (int c = 0; c < kBlockChannels; ++c) {
      if (block.weights[c] != 0) sums[block.id][c] += block.weights[c];
    }
  }
  return sums;
}

// The farthest that any 16-bit sum of a group can be from 0.
int WorstSum(const std::vector<Block>& row, int group) {
  int worst = 0;
  for (size_t first = 0; first < row.size(); first += group) {
    for (int pair = 0; pair < kBlockChannels; pair += 2) {
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

TEST(BlockGroupingTest, NeverSaturatesAndKeepsTheMeaning) {
  std::mt19937 random(1);
  for (int largest : {1, 7, 30, 127}) {
    for (int blocks : {0, 1, 5, 64, 301}) {
      const std::vector<Block> row = RandomRow(blocks, largest, random);
      std::vector<Block> exact;
      for (const Block& block : row) AppendExact(block, exact);
      for (int group : {1, 2, 4, 8}) {
        const std::vector<Block> grouped = GroupBlocks(exact, group);
        ASSERT_EQ(grouped.size() % group, 0u);
        EXPECT_EQ(Meaning(grouped), Meaning(row));
        EXPECT_LE(WorstSum(grouped, group), 32767) << largest << " in groups of " << group;
      }
    }
  }
}

TEST(BlockGroupingTest, SplitsOnlyWhatSaturates) {
  std::vector<Block> row;
  AppendExact({1, {127, -127, 64, 64}}, row);
  EXPECT_EQ(row.size(), 1u);
  AppendExact({2, {0, 0, -65, -64}}, row);
  EXPECT_EQ(row.size(), 3u);
  EXPECT_LE(WorstSum(row, 1), 32767);
}

TEST(BlockGroupingTest, FillsGroupsOfSmallWeights) {
  std::mt19937 random(1);
  EXPECT_EQ(GroupBlocks(RandomRow(64, 7, random), 8).size(), 64u);
  EXPECT_EQ(GroupBlocks(RandomRow(65, 7, random), 8).size(), 72u);
}

}  // namespace
}  // namespace cytopress
