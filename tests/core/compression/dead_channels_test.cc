#include "core/compression/dead_channels.h"

#include <gtest/gtest.h>

namespace cytopress {
namespace {

// A bottleneck: its last convolution's output is added to a residual; that of the two others, of 4
// channels, is read by the next only.
Network Bottleneck() {
  Network network;
  const auto add = [&](const char* name, Op op, int input, int residual, int in, int out, int k) {
    Layer layer;
    layer.name = name;
    layer.op = op;
    layer.input = input;
    layer.residual = residual;
    layer.in_channels = in;
    layer.out_channels = out;
    layer.kernel = k;
    network.layers.push_back(layer);
  };
  add("input", Op::kInput, -1, -1, 3, 3, 1);
  add("stem", Op::kConv, 0, -1, 3, 8, 3);
  add("conv1", Op::kConv, 1, -1, 8, 4, 1);
  add("conv2", Op::kConv, 2, -1, 4, 4, 3);
  add("conv3", Op::kConv, 3, 1, 4, 8, 1);
  add("pool", Op::kGlobalAvgPool, 4, -1, 8, 8, 1);
  add("fc", Op::kLinear, 5, -1, 8, 2, 1);
  return network;
}

WeightFlags AllKept() {
  return {{"conv1.weight", torch::ones({4, 8, 1, 1})},
          {"conv2.weight", torch::ones({4, 4, 3, 3})},
          {"conv3.weight", torch::ones({8, 4, 1, 1})}};
}

double Left(const WeightFlags& flags, const char* name) {
  return flags.at(name).sum().item<double>();
}

TEST(DeadChannelsTest, NothingIsForbiddenWhereEverythingIsRead) {
  WeightFlags allowed = AllKept();
  EXPECT_FALSE(ForbidUnread(Bottleneck(), AllKept(), &allowed));
  EXPECT_FALSE(ForbidUseless(Bottleneck(), AllKept(), &allowed));
  EXPECT_EQ(Left(allowed, "conv1.weight") + Left(allowed, "conv3.weight"), 64);
}

TEST(DeadChannelsTest, WhatMakesAnUnreadChannelGoes) {
  WeightFlags kept = AllKept(), allowed = AllKept();
  kept["conv3.weight"].select(1, 2).zero_();
  EXPECT_TRUE(ForbidUnread(Bottleneck(), kept, &allowed));
  EXPECT_EQ(Left(allowed, "conv3.weight"), 32);  // of conv3 itself, nothing
  EXPECT_EQ(Left(allowed, "conv2.weight"), 3 * 4 * 9);
  EXPECT_EQ(allowed["conv2.weight"].select(0, 2).sum().item<double>(), 0);
  EXPECT_EQ(Left(allowed, "conv1.weight"), 32);
  EXPECT_FALSE(ForbidUnread(Bottleneck(), kept, &allowed)) << "twice the same";
}

TEST(DeadChannelsTest, ABranchThatEndsInNothingGoesAsAWhole) {
  WeightFlags kept = AllKept(), allowed = AllKept();
  kept["conv3.weight"].zero_();
  EXPECT_TRUE(ForbidUnread(Bottleneck(), kept, &allowed));
  EXPECT_EQ(Left(allowed, "conv2.weight") + Left(allowed, "conv1.weight"), 0);
}

TEST(DeadChannelsTest, WhatReadsAConstantChannelIsUselessThoughNotUnread) {
  WeightFlags kept = AllKept(), allowed = AllKept();
  kept["conv1.weight"].select(0, 1).zero_();
  EXPECT_FALSE(ForbidUnread(Bottleneck(), kept, &allowed));
  EXPECT_TRUE(ForbidUseless(Bottleneck(), kept, &allowed));
  EXPECT_EQ(allowed["conv2.weight"].select(1, 1).sum().item<double>(), 0);
  EXPECT_EQ(Left(allowed, "conv2.weight"), 4 * 3 * 9);
  EXPECT_EQ(Left(allowed, "conv3.weight"), 32);
}

TEST(DeadChannelsTest, UselessnessSpreadsBothWays) {
  WeightFlags kept = AllKept(), allowed = AllKept();
  // The only reader of conv2's channel 3 is fed by conv1's channel 0 alone, which has no weights.
  kept["conv1.weight"].select(0, 0).zero_();
  kept["conv2.weight"].select(0, 3).narrow(0, 1, 3).zero_();
  EXPECT_TRUE(ForbidUseless(Bottleneck(), kept, &allowed));
  EXPECT_EQ(allowed["conv3.weight"].select(1, 3).sum().item<double>(), 0);
}

TEST(DeadChannelsTest, WhatIsAddedOrHasNoFlagsIsRead) {
  WeightFlags kept = AllKept(), allowed = AllKept();
  kept["conv1.weight"].zero_();  // the stem has no flags, and is a residual too
  EXPECT_TRUE(ForbidUseless(Bottleneck(), kept, &allowed));
  EXPECT_EQ(Left(allowed, "conv2.weight") + Left(allowed, "conv3.weight"), 0);
  EXPECT_EQ(allowed.size(), 3u);
}

}  // namespace
}  // namespace cytopress
