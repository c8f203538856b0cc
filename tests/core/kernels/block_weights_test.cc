#include "core/kernels/block_weights.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

namespace cytopress {
namespace {

// 3x3 kernels with a few weights, of rows that differ in length.
Convolution Sparse() {
  Convolution c;
  c.in_channels = c.out_channels = 16;
  c.in_height = c.in_width = c.out_height = c.out_width = 4;
  c.kernel_height = c.kernel_width = 3;
  c.pad_top = c.pad_left = 1;
  c.source = c.destination = DataType::kUint8;
  std::mt19937 random(3);
  for (int o = 0; o < c.out_channels; ++o) {
    for (int i = 0; i < c.in_channels * 9; ++i) {
      const bool kept = static_cast<int>(random() % 60) < o;
      c.integer_weights.push_back(static_cast<int8_t>(kept ? random() % 100 + 1 : 0));
    }
  }
  c.multiplier.assign(c.out_channels, 0.01f);
  c.bias.assign(c.out_channels, 0);
  return c;
}

class BlockWeightsTest : public testing::TestWithParam<const BlockKernel*> {};

// Blocks of zeros as well, whose inputs are read: those of other taps lie outside the map.
TEST_P(BlockWeightsTest, AtSomeTapsNothingElseIsRead) {
  const Convolution convolution = Sparse();
  const BlockWeights all(convolution, convolution.in_channels, *GetParam());
  const std::vector<bool> corner = {false, false, false, false, true, true, false, true, true};
  const BlockWeights some = all.AtTaps(corner);
  ASSERT_FALSE(some.ids().empty());
  for (const uint16_t id : some.ids()) EXPECT_TRUE(corner[id / some.channel_groups()]) << id;
  EXPECT_GT(some.products(), 0);
  EXPECT_LT(some.products(), all.products());
}

TEST_P(BlockWeightsTest, AtAllTapsIsTheSame) {
  if (GetParam()->adds_in_16_bits) GTEST_SKIP() << "groups are made anew, perhaps others";
  const Convolution convolution = Sparse();
  const BlockWeights all(convolution, convolution.in_channels, *GetParam());
  const BlockWeights same = all.AtTaps(std::vector<bool>(9, true));
  EXPECT_EQ(same.ids(), all.ids());
  EXPECT_EQ(same.products(), all.products());
}

TEST_P(BlockWeightsTest, SumsStartAsFloatsWhereTheyAreSmallEnough) {
  Convolution convolution = Sparse();
  const auto sums_are_floats = [&] {
    const BlockWeights weights(convolution, convolution.in_channels, *GetParam());
    const BlockRows rows = weights.View(convolution);
    EXPECT_EQ(rows.initial[0], rows.sums_are_floats ? kSumBits : 0);
    return rows.sums_are_floats;
  };
  EXPECT_TRUE(sums_are_floats());
  // The first row has no weights: whatever stands there multiplies nothing.
  convolution.multiplier[0] = 1;
  EXPECT_TRUE(sums_are_floats());
  convolution.multiplier[8] = 0.1f;
  EXPECT_FALSE(sums_are_floats());  // a sum of 1 would be too much to lose
  convolution.multiplier[8] = 0.01f;
  convolution.destination = DataType::kInt8;
  convolution.relu = true;
  EXPECT_FALSE(sums_are_floats());  // packing would not clamp at 0
  convolution.relu = false;
  EXPECT_TRUE(sums_are_floats());
  // 144 of them and inputs of 255 are more than 2^22.
  std::fill_n(convolution.integer_weights.begin() + 8 * 144, 144, int8_t{127});
  EXPECT_FALSE(sums_are_floats());
}

std::vector<const BlockKernel*> Kernels() {
  std::vector<const BlockKernel*> kernels = {&PortableBlockKernel()};
  for (const BlockKernel* kernel :
       {Avx2BlockKernel(), AvxVnniBlockKernel(), Avx512VnniBlockKernel()}) {
    if (kernel != nullptr) kernels.push_back(kernel);
  }
  return kernels;
}

INSTANTIATE_TEST_SUITE_P(Kernels, BlockWeightsTest, testing::ValuesIn(Kernels()),
                         [](const auto& info) { return std::string(info.param->name); });

}  // namespace
}  // namespace cytopress
