#include "core/engine/layer_choice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "core/engine/batch_engine.h"
#include "core/engine/compiled_model.h"
#include "core/engine/layer_costs.h"
#include "tests/core/engine/random_artifact.h"

namespace cytopress {
namespace {

DenseModel Model(float sparsity, DenseArithmetic arithmetic = DenseArithmetic::kInt8,
                 const std::string& architecture = "resnet50") {
  NetworkSpec spec;
  spec.architecture = architecture;
  spec.stem = Stem::kStride2;
  spec.classes = 8;
  return BuildDenseModel(
             RandomArtifact(spec, v1::WEIGHT_TYPE_INT8, /*seed=*/1, {sparsity, /*blocks=*/true}),
             arithmetic)
      .value();
}

int64_t InBlocks(const LayerWays& choice) {
  return std::count_if(choice.begin(), choice.end(), [](const LayerWay& w) { return w.in_blocks; });
}

int64_t Convolutions(const DenseModel& model) { return InBlocks(AllInBlocks(model.network)); }

class LayerChoiceTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!HasExactInt8()) GTEST_SKIP() << "this CPU's 8-bit products saturate: all is in blocks";
  }
  // The fastest without matrices.
  static const BlockKernel& VectorKernel() {
    const BlockKernel& best = BestBlockKernel();
    return best.run_matrix != nullptr ? *Avx512VnniBlockKernel() : best;
  }
};

TEST_F(LayerChoiceTest, FullWeightsAreOneDnns) {
  const DenseModel model = Model(0);
  EXPECT_LE(InBlocks(ChooseLayers(model, VectorKernel())), Convolutions(model) / 4)
      << "but for the stem, and without AMX for the first block, where both are about as fast";
}

TEST_F(LayerChoiceTest, FullWeightsAreMatricesWhereThereAreAny) {
  if (AmxBlockKernel() == nullptr || BestIntegerUnit() != IntegerUnit::kAmx) {
    GTEST_SKIP() << "this CPU has no AMX";
  }
  const DenseModel model = Model(0);
  const LayerWays choice = ChooseLayers(model, *AmxBlockKernel());
  EXPECT_EQ(InBlocks(choice), Convolutions(model));
  const auto matrices = std::count_if(choice.begin(), choice.end(),
                                      [](const LayerWay& way) { return way.matrix_from == 1; });
  EXPECT_GE(matrices, Convolutions(model) - 1) << "but for the stem, perhaps";
  EXPECT_EQ(CompiledModel(model, choice).engine_name(), "block-int8-amx");
}

TEST_F(LayerChoiceTest, EmptyOnesAreSkipped) {
  const DenseModel model = Model(0.97f);
  EXPECT_EQ(InBlocks(ChooseLayers(model)), Convolutions(model));
}

TEST_F(LayerChoiceTest, EachLayerGetsWhatSuitsIt) {
  DenseModel model = Model(0);
  const std::vector<Layer>& layers = model.network.layers;
  for (size_t i = 0; i < layers.size(); ++i) {
    if (layers[i].name.rfind("layer4", 0) != 0) continue;
    std::vector<int8_t>& weights = model.convolutions[i].integer_weights;
    std::fill(weights.begin(), weights.end() - weights.size() / 50, 0);
  }
  const LayerWays choice = ChooseLayers(model, VectorKernel());
  for (size_t i = 0; i < layers.size(); ++i) {
    const std::string& name = layers[i].name;
    if (layers[i].op != Op::kConv || name == "conv1" || name.rfind("layer1", 0) == 0) continue;
    EXPECT_EQ(choice[i].in_blocks, name.rfind("layer4", 0) == 0) << name;
  }
  EXPECT_EQ(choice, ChooseLayers(model, VectorKernel())) << "a file has one choice";
  EXPECT_THAT(CompiledModel(model, choice, VectorKernel()).engine_name(),
              testing::StartsWith("mixed-int8-"));
}

TEST(LayerTimesTest, OnlyBlocksGainFromZeros) {
  const DenseModel full = Model(0), half = Model(0.5f), empty = Model(0.99f);
  for (const IntegerUnit unit :
       {IntegerUnit::kAmx, IntegerUnit::kAvx512Vnni, IntegerUnit::kAvxVnni}) {
    for (const int batch : {1, 8, 32}) {
      const BlockKernel& kernel = PortableBlockKernel();
      const auto full_times = EstimateTimes(full, batch, unit, kernel);
      const auto half_times = EstimateTimes(half, batch, unit, kernel);
      const auto empty_times = EstimateTimes(empty, batch, unit, kernel);
      for (size_t i = 0; i < full_times.size(); ++i) {
        const Layer& layer = full.network.layers[i];
        if (layer.op != Op::kConv) {
          EXPECT_EQ(full_times[i].blocks, 0) << layer.name;
          continue;
        }
        EXPECT_GT(full_times[i].blocks, 0) << layer.name;
        EXPECT_EQ(full_times[i].onednn, empty_times[i].onednn) << layer.name;
        if (layer.in_channels < kBlockChannels) continue;  // the stem has one block a tap
        EXPECT_GT(full_times[i].blocks, half_times[i].blocks) << layer.name;
        EXPECT_GT(half_times[i].blocks, empty_times[i].blocks) << layer.name;
      }
    }
  }
}

// Without about so many of its weights, in blocks of 1 or kBlockChannels; the stem keeps its own.
DenseModel Pruned(DenseModel model, float sparsity, int block) {
  std::mt19937 random(1);
  for (Convolution& c : model.convolutions) {
    if (c.in_channels % kBlockChannels != 0) continue;
    const int taps = c.kernel_height * c.kernel_width;
    for (int64_t first = 0; first < int64_t{c.out_channels} * c.in_channels; first += block) {
      for (int tap = 0; tap < taps; ++tap) {
        if (static_cast<float>(random() % 1024) >= 1024 * sparsity) continue;
        for (int i = 0; i < block; ++i) c.integer_weights[(first + i) * taps + tap] = 0;
      }
    }
  }
  return model;
}

// What estimates ask of a CPU.
struct Machine {
  std::string name;
  IntegerUnit unit;
  int lanes;
  int alike_vectors;
};

BlockKernel KernelOf(const Machine& machine) {
  BlockKernel kernel = PortableBlockKernel();
  kernel.lanes = machine.lanes;
  kernel.alike_vectors = machine.alike_vectors;
  kernel.run_matrix = [](const MatrixTask&, const uint8_t*, uint8_t*, int, int) {};
  return kernel;
}

Machine AmxMachine() { return {"AMX", IntegerUnit::kAmx, 16, 6}; }

// Each layer the fastest way.
double PassTime(const DenseModel& model, int batch, const Machine& machine) {
  double time = 0;
  for (const LayerTimes& layer : EstimateTimes(model, batch, machine.unit, KernelOf(machine))) {
    time += std::min({layer.onednn, layer.blocks, layer.matrix});
  }
  return time;
}

TEST(LayerTimesTest, APrunedModelIsNotSlowerThanAFullOne) {
  // With a quarter of the single weights left, two thirds of the blocks are: most of the work, but
  // not of rows that are alike (kAlikeShare), which the full model's layers are.
  constexpr double kMostLost = 0.1;
  const DenseModel full = Model(0, DenseArithmetic::kInt8, "resnet18");
  const std::vector<Machine> machines = {AmxMachine(),
                                         {"AVX512-VNNI", IntegerUnit::kAvx512Vnni, 16, 6},
                                         {"AVX-VNNI", IntegerUnit::kAvxVnni, 8, 2}};
  for (const int block : {1, kBlockChannels}) {
    for (const float sparsity : {0.5f, 0.75f, 0.8f, 0.95f}) {
      const DenseModel pruned = Pruned(full, sparsity, block);
      for (const Machine& machine : machines) {
        for (const int batch : {1, 32}) {
          EXPECT_LE(PassTime(pruned, batch, machine),
                    (1 + kMostLost) * PassTime(full, batch, machine))
              << machine.name << ", batch " << batch << ", " << sparsity << " in blocks of "
              << block;
        }
      }
    }
  }
}

// Matrices that only some batches are multiplied by.
int64_t MatricesOfBatches(const DenseModel& model) {
  const LayerWays choice = ChooseLayers(model, IntegerUnit::kAmx, KernelOf(AmxMachine()));
  return std::count_if(choice.begin(), choice.end(), [](const LayerWay& way) {
    return way.matrix_from > 1 && way.matrix_from != LayerWay::kNever;
  });
}

TEST(LayerChoice, BatchesThatNeverOccurDoNotCount) {
  DenseModel model = Model(0.7f, DenseArithmetic::kInt8, "resnet18");
  EXPECT_EQ(LargestBatch(model), 32);
  EXPECT_GT(MatricesOfBatches(model), 0);
  // Nothing but the largest batch depends on the size of the classifier's map.
  model.network.layers.back().out_height = 1 << 13;
  model.network.layers.back().out_width = 1 << 13;
  EXPECT_EQ(LargestBatch(model), 1);
  EXPECT_EQ(MatricesOfBatches(model), 0);
}

TEST(LayerChoice, OtherArithmeticIsOneDnns) {
  EXPECT_EQ(InBlocks(ChooseLayers(Model(0.97f, DenseArithmetic::kFp32))), 0);
}

}  // namespace
}  // namespace cytopress
