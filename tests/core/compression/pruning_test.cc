#include "core/compression/pruning.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/artifact/artifact.h"
#include "core/compression/dead_channels.h"
#include "tests/core/compression/test_data.h"

namespace cytopress {
namespace {

Masks GlobalMagnitudeMasks(const TorchNetwork& network, double sparsity) {
  return MagnitudeMasks(network, {}, sparsity);
}

int64_t PrunableCount(const TorchNetwork& network) {
  int64_t count = 0;
  for (const auto& [name, mask] : GlobalMagnitudeMasks(network, 0)) count += mask.numel();
  return count;
}

TEST(PruningTest, RemovesExactlyTheShareAndTheSmallest) {
  torch::NoGradGuard no_grad;
  const TorchNetwork network = SmallNetwork();
  const int64_t count = PrunableCount(network);
  for (double sparsity : {0.2, 0.5, 0.8}) {
    const Masks masks = GlobalMagnitudeMasks(network, sparsity);
    int64_t removed = 0;
    float largest_removed = 0, smallest_kept = 1e9;
    for (const auto& [name, mask] : masks) {
      const torch::Tensor magnitude = network.tensors().at(name).abs();
      removed += (mask == 0).sum().item<int64_t>();
      largest_removed = std::max(largest_removed, (magnitude * (1 - mask)).max().item<float>());
      smallest_kept = std::min(smallest_kept, (magnitude + (1 - mask) * 1e9).min().item<float>());
    }
    EXPECT_EQ(removed, std::llround(sparsity * count));
    EXPECT_LE(largest_removed, smallest_kept);
  }
}

TEST(PruningTest, WhatIsLeftAtHighSparsityIsOfUse) {
  torch::NoGradGuard no_grad;
  const TorchNetwork network = SmallNetwork();
  const Masks masks = GlobalMagnitudeMasks(network, 0.95);
  Masks allowed;
  int64_t removed = 0;
  for (const auto& [name, mask] : masks) {
    allowed[name] = torch::ones_like(mask);
    removed += (mask == 0).sum().item<int64_t>();
  }
  EXPECT_FALSE(ForbidUseless(network.network(), masks, &allowed));
  EXPECT_EQ(removed, std::llround(0.95 * PrunableCount(network)));
}

TEST(PruningTest, TiesAreCutOffAtTheWantedNumber) {
  torch::NoGradGuard no_grad;
  const TorchNetwork network = SmallNetwork();
  for (const auto& [name, mask] : GlobalMagnitudeMasks(network, 0)) {
    torch::Tensor weight = network.tensors().at(name);
    weight.fill_(0.25);
  }
  v1::PruneOptions options;
  options.set_method(v1::PRUNE_METHOD_LAYER_MAGNITUDE);
  ApplyMasks(MagnitudeMasks(network, options, 0.25), network);
  EXPECT_NEAR(Sparsity(network), 0.25, 1e-6);
}

TEST(PruningTest, LeavesTheStemAndTheClassifierAlone) {
  const Masks masks = GlobalMagnitudeMasks(SmallNetwork(), 0.9);
  EXPECT_EQ(masks.count("conv1.weight"), 0u);
  EXPECT_EQ(masks.count("fc.weight"), 0u);
  EXPECT_EQ(masks.count("layer1.0.conv1.weight"), 1u);
  EXPECT_EQ(masks.count("layer2.0.downsample.0.weight"), 1u);
}

TEST(PruningTest, CheckMasksSeesARevivedWeight) {
  torch::NoGradGuard no_grad;
  const TorchNetwork network = SmallNetwork();
  const Masks masks = GlobalMagnitudeMasks(network, 0.5);
  EXPECT_FALSE(CheckMasks(masks, network).ok());
  ApplyMasks(masks, network);
  EXPECT_TRUE(CheckMasks(masks, network).ok());
  torch::Tensor weight = network.tensors().at("layer3.0.conv1.weight");
  const torch::Tensor removed = (masks.at("layer3.0.conv1.weight") == 0).nonzero()[0];
  weight.index_put_({removed[0], removed[1], removed[2], removed[3]}, 1e-20f);
  EXPECT_THAT(CheckMasks(masks, network).message(),
              testing::HasSubstr("1 removed weights of layer3.0.conv1.weight"));
}

TEST(PruningTest, ZerosOfEarlierJobsAreMasks) {
  const TorchNetwork network = SmallNetwork();
  EXPECT_TRUE(MasksOfZeros(network).empty());
  const Masks pruned = GlobalMagnitudeMasks(network, 0.5);
  ApplyMasks(pruned, network);
  const Masks found = MasksOfZeros(network);
  for (const auto& [name, mask] : pruned) EXPECT_TRUE(found.at(name).equal(mask)) << name;
}

TEST(PruningTest, LayerMagnitudeTakesTheSameShareOfEveryLayer) {
  torch::NoGradGuard no_grad;
  v1::PruneOptions options;
  options.set_method(v1::PRUNE_METHOD_LAYER_MAGNITUDE);
  for (const auto& [name, mask] : MagnitudeMasks(SmallNetwork(), options, 0.75)) {
    EXPECT_NEAR((mask == 0).to(torch::kFloat32).mean().item<float>(), 0.75, 1e-3) << name;
  }
}

// Products of one image by the weights that a mask keeps.
double Products(const Network& network, const Masks& masks) {
  double products = 0;
  for (const Layer& layer : network.layers) {
    const auto mask = masks.find(layer.name + ".weight");
    if (mask == masks.end()) continue;
    products += mask->second.sum().item<double>() * layer.out_height * layer.out_width;
  }
  return products;
}

TEST(PruningTest, CostAwareMagnitudeTakesMoreWhereWeightsAreUsedMore) {
  torch::NoGradGuard no_grad;
  const TorchNetwork network = SmallNetwork();
  v1::PruneOptions options;
  options.set_method(v1::PRUNE_METHOD_COST_AWARE_MAGNITUDE);
  const Masks masks = MagnitudeMasks(network, options, 0.8);
  const Masks plain = GlobalMagnitudeMasks(network, 0.8);
  int64_t removed = 0;
  for (const auto& [name, mask] : masks) removed += (mask == 0).sum().item<int64_t>();
  EXPECT_EQ(removed, std::llround(0.8 * PrunableCount(network)));
  EXPECT_LT(Products(network.network(), masks), 0.8 * Products(network.network(), plain));
}

TEST(PruningTest, CostAwareMagnitudeComparesSquaresForEachUnitOfCost) {
  torch::NoGradGuard no_grad;
  const TorchNetwork network = SmallNetwork();
  double weights = 0, products = 0;
  for (const Layer& layer : network.network().layers) {
    if (!IsPrunable(layer)) continue;
    weights += static_cast<double>(layer.weight_count());
    products += static_cast<double>(layer.weight_count() * layer.out_height * layer.out_width);
  }
  v1::PruneOptions options;
  options.set_method(v1::PRUNE_METHOD_COST_AWARE_MAGNITUDE);
  const Masks masks = MagnitudeMasks(network, options, 0.5);
  double most_removed = 0, least_kept = 1e9;
  for (const Layer& layer : network.network().layers) {
    if (!IsPrunable(layer)) continue;
    const double cost = 1 / weights + layer.out_height * layer.out_width / products;
    const torch::Tensor mask = masks.at(layer.name + ".weight");
    const torch::Tensor squares = network.tensors().at(layer.name + ".weight").square() / cost;
    most_removed = std::max(most_removed, (squares * (1 - mask)).max().item<double>());
    least_kept = std::min(least_kept, (squares + (1 - mask) * 1e9).min().item<double>());
  }
  EXPECT_LE(most_removed, least_kept * (1 + 1e-5));
}

// [out, blocks, 4, kh, kw] of a mask.
torch::Tensor Blocks(const torch::Tensor& mask) {
  return mask.contiguous().reshape({mask.size(0), mask.size(1) / 4, 4, mask.size(2), mask.size(3)});
}

TEST(PruningTest, LayersMayHaveSparsitiesOfTheirOwn) {
  const TorchNetwork network = SmallNetwork();
  v1::PruneOptions options;
  options.set_sparsity(0.6);
  (*options.mutable_layer_sparsity())["layer1.0.conv1"] = 0.9;
  (*options.mutable_layer_sparsity())["layer1.0.conv2"] = 0;
  const auto removed = [](const Masks& masks, const std::string& layer) {
    return 1 - masks.at(layer + ".weight").mean().item<double>();
  };
  const Masks masks = MagnitudeMasks(network, options, 0.6);
  EXPECT_NEAR(removed(masks, "layer1.0.conv1"), 0.9, 1e-4);
  EXPECT_EQ(removed(masks, "layer1.0.conv2"), 0);
  EXPECT_NEAR(removed(masks, "layer2.0.conv1"), 0.6, 1e-4);
  const Masks halfway = MagnitudeMasks(network, options, 0.3);
  EXPECT_NEAR(removed(halfway, "layer1.0.conv1"), 0.45, 1e-4);
}

TEST(PruningTest, WhatIsWantedOfLayersIsWhatTheyGet) {
  v1::PruneOptions options;
  options.set_sparsity(0.6);
  for (const char* architecture : {"resnet18", "resnet20"}) {  // neither has whole 60 %
    const TorchNetwork network = SmallNetwork(architecture);
    ApplyMasks(MagnitudeMasks(network, options, 0.6), network);
    EXPECT_GE(Sparsity(network), WantedSparsity(network, options)) << architecture;
    EXPECT_NEAR(WantedSparsity(network, options), 0.6, 1e-4) << architecture;
  }
  for (const v1::PrunePattern pattern :
       {v1::PRUNE_PATTERN_UNSTRUCTURED, v1::PRUNE_PATTERN_BLOCK4}) {
    const TorchNetwork network = SmallNetwork();
    options.set_pattern(pattern);
    (*options.mutable_layer_sparsity())["layer4.1.conv2"] = 0.11;
    const double wanted = WantedSparsity(network, options);
    EXPECT_LT(wanted, 0.5);  // that layer has a fifth of all weights
    ApplyMasks(MagnitudeMasks(network, options, 0.6), network);
    EXPECT_GE(Sparsity(network), wanted);
    EXPECT_LT(Sparsity(network), wanted + 0.001);
  }
}

TEST(PruningTest, TheSameShareOfEveryLayerIsWantedInWholeBlocks) {
  const TorchNetwork network = SmallNetwork("resnet50");
  v1::PruneOptions options;
  options.set_sparsity(0.93);
  options.set_method(v1::PRUNE_METHOD_LAYER_MAGNITUDE);
  options.set_pattern(v1::PRUNE_PATTERN_BLOCK4);
  ApplyMasks(MagnitudeMasks(network, options, 0.93), network);
  EXPECT_LT(Sparsity(network), 0.93 - 1e-6);
  EXPECT_GE(Sparsity(network), WantedSparsity(network, options));
  EXPECT_NEAR(WantedSparsity(network, options), 0.93, 1e-4);
}

TEST(PruningTest, ALayerThatIsNotThereIsNamed) {
  const TorchNetwork network = SmallNetwork();
  v1::PruneOptions options;
  (*options.mutable_layer_sparsity())["layer4.1.conv2"] = 0.5;
  EXPECT_TRUE(CheckLayers(network, options).ok());
  (*options.mutable_layer_sparsity())["layer9.conv1"] = 0.5;
  EXPECT_THAT(std::string(CheckLayers(network, options).message()),
              testing::HasSubstr("recipe.prune.layer_sparsity[layer9.conv1]"));
}

TEST(PruningTest, BlocksOfFourInputChannelsGoOrStayWhole) {
  torch::NoGradGuard no_grad;
  v1::PruneOptions options;
  options.set_pattern(v1::PRUNE_PATTERN_BLOCK4);
  const TorchNetwork network = SmallNetwork();
  const Masks masks = MagnitudeMasks(network, options, 0.8);
  float largest_removed = 0, smallest_kept = 1e9;
  for (const auto& [name, mask] : masks) {
    const torch::Tensor kept = Blocks(mask).sum(2);
    EXPECT_TRUE(((kept == 0) | (kept == 4)).all().item<bool>()) << name;
    const torch::Tensor scores = Blocks(network.tensors().at(name).abs()).sum(2);
    largest_removed = std::max(largest_removed, (scores * (kept == 0)).max().item<float>());
    smallest_kept = std::min(smallest_kept, (scores + (kept == 0) * 1e9).min().item<float>());
  }
  EXPECT_LE(largest_removed, smallest_kept);
  ApplyMasks(masks, network);
  EXPECT_NEAR(Sparsity(network), 0.8, 1e-5);
}

TEST(PruningTest, TwoOfFourKeepsTheTwoLargest) {
  torch::NoGradGuard no_grad;
  v1::PruneOptions options;
  options.set_pattern(v1::PRUNE_PATTERN_TWO_OF_FOUR);
  const TorchNetwork network = SmallNetwork();
  for (const auto& [name, mask] : MagnitudeMasks(network, options, 0)) {
    EXPECT_TRUE((Blocks(mask).sum(2) == 2).all().item<bool>()) << name;
    const torch::Tensor magnitude = Blocks(network.tensors().at(name).abs());
    const torch::Tensor kept = Blocks(mask);
    EXPECT_TRUE(((magnitude * (1 - kept)).amax(2) <= (magnitude + (1 - kept) * 1e9).amin(2))
                    .all()
                    .item<bool>())
        << name;
  }
}

TEST(PruningTest, TheCubicScheduleEndsAtTheTargetAndNeverFalls) {
  EXPECT_GT(CubicSparsity(0.8, 0, 100), 0.05);
  double last = 0;
  for (int step = 0; step <= 100; ++step) {
    EXPECT_GE(CubicSparsity(0.8, step, 100), last);
    last = CubicSparsity(0.8, step, 100);
  }
  EXPECT_NEAR(CubicSparsity(0.8, 50, 100), 0.8 * 0.875, 1e-9);
  EXPECT_EQ(CubicSparsity(0.8, 100, 100), 0.8);
  EXPECT_EQ(CubicSparsity(0.8, 0, 0), 0.8);
}

}  // namespace
}  // namespace cytopress
