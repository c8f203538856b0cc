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

v1::PruneOptions ByMethod(v1::PruneMethod method) {
  v1::PruneOptions options;
  options.set_method(method);
  return options;
}

// Of the layers in turn about 1, 1/2 and 1/4, so that some matter more than others, and no channel
// loses all of its weights.
FisherDiagonal DrawnFisher(const TorchNetwork& network) {
  at::manual_seed(5);
  FisherDiagonal fisher;
  double size = 1;
  for (const auto& [name, tensor] : network.tensors()) {
    if (tensor.dim() != 4) continue;
    fisher[name] = size * at::rand(tensor.sizes()).contiguous(at::MemoryFormat::ChannelsLast);
    size *= 0.5;
    if (size < 0.2) size = 1;
  }
  return fisher;
}

int64_t RemovedBy(const Masks& masks) {
  int64_t removed = 0;
  for (const auto& [name, mask] : masks) removed += (mask == 0).sum().item<int64_t>();
  return removed;
}

// Its place in the file and its products, where all of the network's cost the same.
double CostOfWeight(const Network& network, const Layer& layer) {
  double weights = 0, products = 0;
  for (const Layer& each : network.layers) {
    if (!IsPrunable(each)) continue;
    weights += static_cast<double>(each.weight_count());
    products += static_cast<double>(each.weight_count() * each.out_height * each.out_width);
  }
  return 1 + layer.out_height * layer.out_width * weights / products;
}

TEST(PruningTest, FisherRemovesWhatTheLossDependsOnLeast) {
  torch::NoGradGuard no_grad;
  const TorchNetwork network = SmallNetwork();
  const FisherDiagonal fisher = DrawnFisher(network);
  const Masks by_loss =
      FisherMasks(network, ByMethod(v1::PRUNE_METHOD_FISHER), /*sparsity=*/0.2, fisher);
  const Masks by_cost =
      FisherMasks(network, ByMethod(v1::PRUNE_METHOD_COST_AWARE_FISHER), /*sparsity=*/0.2, fisher);
  for (const Masks* masks : {&by_loss, &by_cost}) {
    EXPECT_EQ(RemovedBy(*masks), std::llround(0.2 * PrunableCount(network)));
    double most_removed = 0, least_kept = 1e9;
    for (const Layer& layer : network.network().layers) {
      if (!IsPrunable(layer)) continue;
      const std::string name = layer.name + ".weight";
      const torch::Tensor& mask = masks->at(name);
      const torch::Tensor smooth = 0.5 * fisher.at(name) + 0.5 * fisher.at(name).mean();
      torch::Tensor losses = smooth * network.tensors().at(name).square();
      if (masks == &by_cost) losses = losses / std::pow(CostOfWeight(network.network(), layer), 2);
      most_removed = std::max(most_removed, (losses * (1 - mask)).max().item<double>());
      least_kept = std::min(least_kept, (losses + (1 - mask) * 1e9).min().item<double>());
    }
    EXPECT_LE(most_removed, least_kept * (1 + 1e-4));
  }
  EXPECT_LT(Products(network.network(), by_cost), 0.8 * Products(network.network(), by_loss));
}

TEST(PruningTest, FisherTakesBlocksByTheSumsOfTheirLosses) {
  torch::NoGradGuard no_grad;
  const TorchNetwork network = SmallNetwork();
  FisherDiagonal fisher;
  for (const auto& [name, tensor] : network.tensors()) {
    if (tensor.dim() == 4) fisher[name] = torch::ones_like(tensor);
  }
  v1::PruneOptions options = ByMethod(v1::PRUNE_METHOD_FISHER);
  options.set_pattern(v1::PRUNE_PATTERN_BLOCK4);
  double most_removed = 0, least_kept = 1e9;
  for (const auto& [name, mask] : FisherMasks(network, options, /*sparsity=*/0.7, fisher)) {
    const torch::Tensor losses = BlockScores(network.tensors().at(name).square(), 4);
    const torch::Tensor kept = BlockScores(mask, 4);
    EXPECT_TRUE(((kept == 0) | (kept == 4)).all().item<bool>()) << name;
    most_removed = std::max(most_removed, (losses * (kept == 0)).max().item<double>());
    least_kept = std::min(least_kept, (losses + (kept == 0) * 1e9).min().item<double>());
  }
  EXPECT_LE(most_removed, least_kept * (1 + 1e-5));
}

// Weights that are gone say nothing about what those that are left are worth.
TEST(PruningTest, FisherIsMeasuredOfWeightsThatAreLeft) {
  torch::NoGradGuard no_grad;
  const TorchNetwork network = SmallNetwork();
  ApplyMasks(GlobalMagnitudeMasks(network, 0.5), network);
  FisherDiagonal plain, loud;
  for (const auto& [name, tensor] : network.tensors()) {
    if (tensor.dim() != 4) continue;
    plain[name] = torch::ones_like(tensor);
    loud[name] = plain[name] + 100 * (tensor == 0);
  }
  const v1::PruneOptions options = ByMethod(v1::PRUNE_METHOD_FISHER);
  const Masks expected = FisherMasks(network, options, 0.8, plain);
  for (const auto& [name, mask] : FisherMasks(network, options, 0.8, loud)) {
    EXPECT_TRUE(mask.equal(expected.at(name))) << name;
  }
}

TEST(PruningTest, FisherHasNoPartWhereTheMethodHasNone) {
  v1::PruneOptions options;
  EXPECT_FALSE(UsesFisher(options));
  options.set_method(v1::PRUNE_METHOD_FISHER);
  EXPECT_TRUE(UsesFisher(options));
  options.set_method(v1::PRUNE_METHOD_COST_AWARE_FISHER);
  EXPECT_TRUE(UsesFisher(options));
  v1::PruneOptions by_layer = options;
  (*by_layer.mutable_layer_sparsity())["layer1.0.conv1"] = 0.5;
  EXPECT_FALSE(UsesFisher(by_layer));
  options.set_pattern(v1::PRUNE_PATTERN_TWO_OF_FOUR);
  EXPECT_FALSE(UsesFisher(options));
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
