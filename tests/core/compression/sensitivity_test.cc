#include "core/compression/sensitivity.h"

#include <gtest/gtest.h>

#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "core/artifact/container.h"
#include "core/artifact/tensor_codec.h"
#include "core/compression/augmentation.h"
#include "core/compression/batch_loader.h"
#include "core/compression/pruning.h"
#include "core/compression/weight_rounding.h"
#include "tests/core/compression/test_data.h"

namespace cytopress {
namespace {

const LayerSensitivity& Find(const std::vector<LayerSensitivity>& layers, const std::string& name) {
  for (const LayerSensitivity& layer : layers) {
    if (layer.layer == name) return layer;
  }
  ADD_FAILURE() << "no layer " << name;
  return layers.front();
}

LayerChoice Choice(const LayerSensitivity& layer, double sparsity, v1::WeightType weights) {
  for (const LayerChoice& choice : layer.choices) {
    if (choice.sparsity == sparsity && choice.weights == weights) return choice;
  }
  ADD_FAILURE() << layer.layer << " has no such choice";
  return {};
}

double BytesInAFile(const StoredTensor& tensor) {
  std::string packed;
  AppendPacked(tensor, ChooseLayout(tensor), packed);
  return static_cast<double>(Compress(packed, Packing::kThorough)->size());
}

class SensitivityTest : public testing::Test {
 protected:
  SensitivityTest() : dataset_(SpotDataset()), network_(SmallNetwork("resnet20")) {
    recipe_.set_seed(1);
    recipe_.mutable_quantize()->set_weights(v1::WEIGHT_TYPE_INT4);
    recipe_.mutable_quantize()->set_weight_range(v1::RANGE_METHOD_MIN_MAX);
    // Fresh residual branches are switched off: their layers would not matter.
    torch::NoGradGuard no_grad;
    for (const auto& [name, tensor] : network_.tensors()) {
      if (tensor.dim() == 1 && name.find("bn2.weight") != std::string::npos) {
        torch::Tensor gamma = tensor;
        gamma.fill_(1);
      }
    }
  }

  std::vector<LayerSensitivity> Measure() {
    return *MeasureSensitivity(network_, dataset_, recipe_, /*images=*/64,
                               [](double) { return absl::OkStatus(); });
  }

  const Dataset dataset_;
  TorchNetwork network_;
  v1::Recipe recipe_;
};

TEST_F(SensitivityTest, LessLeftIsSmallerAndCostsMore) {
  const std::vector<LayerSensitivity> layers = Measure();
  ASSERT_EQ(layers.size(), 20) << "all convolutions but the stem";
  for (const LayerSensitivity& layer : layers) {
    for (size_t i = 1; i < layer.choices.size(); ++i) {
      const LayerChoice &before = layer.choices[i - 1], &now = layer.choices[i];
      if (now.weights != before.weights) {
        EXPECT_LT(now.bytes, layer.choices.front().bytes) << "INT4 is smaller than INT8";
        EXPECT_GT(now.loss, layer.choices.front().loss) << "and rounds more";
        continue;
      }
      EXPECT_LT(now.bytes, before.bytes) << layer.layer;
      EXPECT_GE(now.loss, before.loss * 0.999) << layer.layer;
    }
  }
}

// Measured by hand on one batch of eight images, whose mean gradient times eight is theirs.
TEST_F(SensitivityTest, ALossIsHalfTheFisherWeightedSquareOfWhatChanges) {
  const std::string name = "layer2.0.conv2";
  // The choices say it themselves.
  (*recipe_.mutable_quantize()->mutable_layer_weights())[name] = v1::WEIGHT_TYPE_INT4;
  const auto layers = MeasureSensitivity(network_, dataset_, recipe_, /*images=*/8,
                                         [](double) { return absl::OkStatus(); });
  ASSERT_TRUE(layers.ok()) << layers.status();

  BatchLoader loader(dataset_, dataset_.train, 8, recipe_.seed(), /*max_images=*/8);
  loader.StartEpoch(0);
  const Batch batch = loader.TrainBatch(0, Augmentation::None());
  const torch::Tensor logits = network_.Forward(batch.images, TorchNetwork::Mode::kEvaluate);
  at::cross_entropy_loss(logits, batch.labels).backward();
  torch::NoGradGuard no_grad;
  const torch::Tensor parameter = network_.tensors().at(name + ".weight");
  const torch::Tensor weight = parameter.detach();
  const torch::Tensor fisher = 8 * parameter.grad().to(torch::kFloat64).square();
  const torch::Tensor magnitudes = weight.abs();
  const int64_t half = weight.numel() / 2;
  const torch::Tensor sorted = std::get<0>(magnitudes.flatten().sort());
  const torch::Tensor kept = (magnitudes > sorted[half - 1]).to(torch::kFloat32);
  for (const auto& [type, levels] :
       {std::pair{v1::WEIGHT_TYPE_INT8, 127}, {v1::WEIGHT_TYPE_INT4, 7}}) {
    const torch::Tensor steps = magnitudes.amax({1, 2, 3}, /*keepdim=*/true) / levels;
    const torch::Tensor rounded = (weight / steps).round() * steps;
    for (const double sparsity : {0.0, 0.5}) {
      const torch::Tensor change = weight - (sparsity > 0 ? rounded * kept : rounded);
      const double expected = 0.5 * (fisher * change.square()).sum().item<double>();
      EXPECT_GT(expected, 0);
      EXPECT_NEAR(Choice(Find(*layers, name), sparsity, type).loss, expected, 1e-3 * expected)
          << levels << " levels, sparsity " << sparsity;
    }
  }
}

// Those of one class pull the same way.
TEST_F(SensitivityTest, DoesNotDependOnTheOrderOfTheImages) {
  {
    // Answers that say nothing yet: the gradients of the two classes are about opposite.
    torch::NoGradGuard no_grad;
    for (const char* name : {"fc.weight", "fc.bias"}) {
      torch::Tensor tensor = network_.tensors().at(name);
      tensor.mul_(1e-3);
    }
  }
  const auto loss = [&](const Dataset& dataset) {
    const auto layers = MeasureSensitivity(network_, dataset, recipe_, dataset.train.size(),
                                           [](double) { return absl::OkStatus(); });
    return Choice(Find(*layers, "layer2.0.conv2"), 0.9, v1::WEIGHT_TYPE_INT8).loss;
  };
  Dataset by_class = dataset_;
  by_class.train.labels.clear();
  by_class.train.pixels.clear();
  const int64_t bytes = dataset_.image_bytes();
  for (const int64_t label : {0, 1}) {
    for (int64_t i = 0; i < dataset_.train.size(); ++i) {
      if (dataset_.train.labels[i] != label) continue;
      const auto image = dataset_.train.pixels.begin() + i * bytes;
      by_class.train.pixels.insert(by_class.train.pixels.end(), image, image + bytes);
      by_class.train.labels.push_back(static_cast<int>(label));
    }
  }
  const double drawn = loss(dataset_), sorted = loss(by_class);
  EXPECT_LT(sorted, 3 * drawn);
  EXPECT_LT(drawn, 3 * sorted);
}

TEST_F(SensitivityTest, WorkIsThatOfTheBlocksThatAreLeftAtEveryPosition) {
  const auto check = [&](double share_at_nine_tenths) {
    const std::vector<LayerSensitivity> layers = Measure();
    for (const auto& [name, blocks, positions] : {std::tuple{"layer1.0.conv1", 16 * 4 * 9, 8 * 8},
                                                  {"layer3.1.conv1", 64 * 16 * 9, 2 * 2}}) {
      const LayerSensitivity& layer = Find(layers, name);
      const double full = 0.25 * blocks * positions;
      EXPECT_DOUBLE_EQ(layer.choices.front().work, full) << name;
      EXPECT_NEAR(Choice(layer, 0.9, v1::WEIGHT_TYPE_INT4).work, share_at_nine_tenths * full,
                  0.05 * full)
          << name;
    }
  };
  check(1);  // single weights: 34 % of the blocks have one left
  recipe_.mutable_prune()->set_pattern(v1::PRUNE_PATTERN_BLOCK4);
  check(0.4);
}

// A block takes large weights with it, and zeros in blocks take fewer bytes to tell.
TEST_F(SensitivityTest, BlocksCostMoreAndAreSmallerThanSingleWeights) {
  const std::vector<LayerSensitivity> single = Measure();
  v1::PruneOptions& prune = *recipe_.mutable_prune();
  prune.set_pattern(v1::PRUNE_PATTERN_BLOCK4);
  const std::vector<LayerSensitivity> blocks = Measure();
  ASSERT_EQ(blocks.size(), single.size());
  for (size_t i = 0; i < blocks.size(); ++i) {
    const LayerChoice of_single = Choice(single[i], 0.8, v1::WEIGHT_TYPE_INT8);
    const LayerChoice of_blocks = Choice(blocks[i], 0.8, v1::WEIGHT_TYPE_INT8);
    EXPECT_GT(of_blocks.loss, 1.2 * of_single.loss) << blocks[i].layer;
    EXPECT_LT(of_blocks.bytes, of_single.bytes) << blocks[i].layer;
  }
  recipe_.mutable_quantize()->set_weights(v1::WEIGHT_TYPE_INT8);
  prune.set_method(v1::PRUNE_METHOD_LAYER_MAGNITUDE);
  const WeightGrids grids = FindWeightGrids(network_, recipe_.quantize());
  ApplyMasks(MagnitudeMasks(network_, prune, 0.8), network_);
  const IntegerWeights integers = RoundToNearest(network_, recipe_.quantize(), grids);
  // Blocks are neighbours in the file of the one, and not of the other.
  for (const std::string layer : {"layer3.0.downsample.0", "layer2.0.conv2"}) {
    const double bytes = BytesInAFile(integers.at(layer + ".weight"));
    const LayerChoice estimate = Choice(Find(blocks, layer), 0.8, v1::WEIGHT_TYPE_INT8);
    EXPECT_NEAR(estimate.bytes, bytes, 0.1 * bytes) << layer;
  }
}

// A file has the integers of groups in four bits, and their multipliers beside them.
TEST_F(SensitivityTest, GroupsTakeTheBytesThatAFileHas) {
  recipe_.mutable_quantize()->set_group_size(32);
  const std::vector<LayerSensitivity> layers = Measure();
  const WeightGrids grids = FindWeightGrids(network_, recipe_.quantize());
  const IntegerWeights integers = RoundToNearest(network_, recipe_.quantize(), grids);
  for (const std::string layer : {"layer2.1.conv2", "layer3.1.conv2"}) {
    const double bytes = BytesInAFile(integers.at(layer + ".weight"));
    const LayerChoice estimate = Choice(Find(layers, layer), 0, v1::WEIGHT_TYPE_INT4);
    EXPECT_NEAR(estimate.bytes, bytes, 0.1 * bytes) << layer;
  }
}

// Channels that their batch norm makes quiet are rounded to nothing beside the loud ones.
TEST_F(SensitivityTest, OneScaleATensorIsThatOfTheFoldedWeights) {
  recipe_.mutable_quantize()->set_per_tensor_scales(true);
  const auto bytes = [this] {
    return Choice(Find(Measure(), "layer3.1.conv2"), 0, v1::WEIGHT_TYPE_INT4).bytes;
  };
  const double all_loud = bytes();
  {
    torch::NoGradGuard no_grad;
    torch::Tensor gamma = network_.tensors().at("layer3.1.bn2.weight");
    gamma.slice(0, 0, 32).fill_(0.01);
  }
  EXPECT_LT(bytes(), 0.9 * all_loud);
}

TEST_F(SensitivityTest, ALayerWhoseOutputIsIgnoredCostsNothing) {
  {
    torch::NoGradGuard no_grad;
    torch::Tensor gamma = network_.tensors().at("layer3.0.bn2.weight");
    gamma.zero_();
  }
  const std::vector<LayerSensitivity> layers = Measure();
  EXPECT_EQ(Find(layers, "layer3.0.conv2").choices.back().loss, 0);
  EXPECT_GT(Find(layers, "layer3.1.conv2").choices.back().loss, 0);
}

TEST_F(SensitivityTest, LeavesTheNetworkAsItWas) {
  const TensorMap before = network_.Export();
  Measure();
  const TensorMap after = network_.Export();
  for (const auto& [name, tensor] : before) EXPECT_EQ(tensor.values, after.at(name).values) << name;
  EXPECT_FALSE(network_.tensors().at("conv1.weight").grad().defined());
}

TEST_F(SensitivityTest, EndsWithTheErrorOfItsProgress) {
  // In a batch, and in a layer.
  for (const double end : {0.2, 0.8}) {
    double last = 0;
    const auto layers =
        MeasureSensitivity(network_, dataset_, recipe_, /*images=*/64, [&](double done) {
          EXPECT_GE(done, last);
          EXPECT_LE(last, end);
          last = done;
          return done > end ? absl::CancelledError("stopped") : absl::OkStatus();
        });
    EXPECT_TRUE(absl::IsCancelled(layers.status())) << layers.status();
    EXPECT_FALSE(network_.tensors().at("conv1.weight").grad().defined());
  }
}

}  // namespace
}  // namespace cytopress
