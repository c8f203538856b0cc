// Every layer of a plan against plain loops that read what the plan's earlier layers wrote, so that
// a difference is that layer's own.
#include "core/engine/plan.h"

#include <gtest/gtest.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>

#include "core/artifact/activation_grid.h"
#include "tests/core/engine/random_artifact.h"
#include "tests/core/kernels/reference.h"

namespace cytopress {
namespace {

constexpr int kBatch = 3;

using Maps = std::vector<std::vector<double>>;  // of each layer, [batch, height, width, channels]

double ValueAt(const OutputGrid& grid, const void* output, size_t index) {
  switch (grid.type) {
    case DataType::kUint8:
      return grid.step * static_cast<double>(static_cast<const uint8_t*>(output)[index]);
    case DataType::kInt8:
      return grid.step * static_cast<double>(static_cast<const int8_t*>(output)[index]);
    case DataType::kBfloat16:
    case DataType::kFloat32:
      break;
  }
  return static_cast<const float*>(output)[index];
}

size_t MapSize(const Layer& layer) {
  return size_t(layer.out_height) * layer.out_width * layer.out_channels;
}

struct PlanRun {
  DenseModel model;
  Maps maps;  // real values
};

PlanRun RunPlan(const Artifact& artifact, DenseArithmetic arithmetic,
                const std::function<LayerWays(const Network&)>& choose = AllByOneDnn) {
  omp_set_num_threads(1);
  PlanRun run;
  run.model = BuildDenseModel(artifact, arithmetic).value();
  PackedModel packed = PackModel(run.model, choose(run.model.network));
  Plan plan(run.model, packed, kBatch);
  Arena arena;
  arena.Reserve(plan.arena_bytes());
  run.maps.resize(run.model.network.layers.size());
  const auto keep = [&](int layer) {
    std::vector<uint8_t> stored(plan.image_map_bytes(layer));
    for (int image = 0; image < kBatch; ++image) {
      plan.ReadMap(arena, layer, image, stored.data());
      for (size_t i = 0; i < MapSize(run.model.network.layers[layer]); ++i) {
        run.maps[layer].push_back(ValueAt(run.model.grids[layer], stored.data(), i));
      }
    }
  };
  plan.FillInput(RandomPixels(artifact.network, kBatch, 9).data(), kBatch, arena);
  keep(0);
  plan.Run(arena, /*threads=*/1, keep);
  return run;
}

// Every second convolution in blocks, so that maps change their form at each.
LayerWays Alternating(const Network& network) {
  LayerWays choice = AllByOneDnn(network);
  bool in_blocks = false;
  for (size_t i = 0; i < choice.size(); ++i) {
    if (network.layers[i].op == Op::kConv) choice[i].in_blocks = in_blocks = !in_blocks;
  }
  return choice;
}

// Before it is stored.
std::vector<double> Expected(const PlanRun& run, const TensorMap& tensors, const Layer& layer,
                             int image) {
  const Network& network = run.model.network;
  const size_t input_size = MapSize(network.layers[layer.input]);
  std::vector<double> values =
      ReferenceConvolve<double>(ShapeOf(network, layer), &run.maps[layer.input][image * input_size],
                                tensors.at(layer.name + ".weight").values);
  const ChannelAffine affine = FoldBatchNorm(layer, tensors).value();
  for (size_t i = 0; i < values.size(); ++i) {
    const size_t channel = i % layer.out_channels;
    values[i] = values[i] * affine.scale[channel] + affine.bias[channel];
    if (layer.residual >= 0) values[i] += run.maps[layer.residual][image * values.size() + i];
    if (layer.relu) values[i] = std::max(values[i], 0.0);
  }
  return values;
}

struct Case {
  std::string name;
  NetworkSpec spec;
  v1::WeightType weights = v1::WEIGHT_TYPE_INT8;
};

NetworkSpec Spec(const std::string& architecture, Stem stem, int size, int channels = 3) {
  NetworkSpec spec;
  spec.architecture = architecture;
  spec.stem = stem;
  spec.classes = 5;
  spec.input_channels = channels;
  spec.input_height = spec.input_width = size;
  return spec;
}

std::vector<Case> Cases() {
  NetworkSpec oblong = Spec("resnet18", Stem::kStride2, 16);
  oblong.input_width = 22;
  return {
      {"Resnet18Imagenet", Spec("resnet18", Stem::kImagenet, 28)},
      {"Resnet18Cifar", Spec("resnet18", Stem::kCifar, 9)},
      {"Resnet18Stride2Gray", Spec("resnet18", Stem::kStride2, 20, 1)},
      {"Resnet18Oblong", oblong},
      {"Resnet18Int4", Spec("resnet18", Stem::kStride2, 16), v1::WEIGHT_TYPE_INT4},
      {"Resnet20Cifar", Spec("resnet20", Stem::kCifar, 28)},
      {"Resnet50Imagenet", Spec("resnet50", Stem::kImagenet, 28)},
      {"Resnet50Stride2", Spec("resnet50", Stem::kStride2, 28)},
  };
}

class PlanTest : public testing::TestWithParam<Case> {};

// Every output must be the grid's point nearest to the exact value, but for values in the middle of
// two points, where the engine's FP32 arithmetic, which may lose `lost` of a step, may decide
// otherwise.
void ExpectRounded(const PlanRun& run, const TensorMap& tensors, double lost) {
  const Network& network = run.model.network;
  for (size_t l = 0; l < network.layers.size(); ++l) {
    const Layer& layer = network.layers[l];
    if (layer.op != Op::kConv) continue;
    const double step = run.model.grids[l].step;
    const double low = layer.relu ? 0 : -128, high = layer.relu ? 255 : 127;
    double worst = 0;
    int64_t nonzero = 0;
    for (int image = 0; image < kBatch; ++image) {
      const std::vector<double> expected = Expected(run, tensors, layer, image);
      for (size_t i = 0; i < expected.size(); ++i) {
        const double got = run.maps[l][image * expected.size() + i] / step;
        worst = std::max(worst, std::abs(std::clamp(expected[i] / step, low, high) - got));
        nonzero += std::lround(got) != 0;
      }
    }
    EXPECT_LE(worst, 0.5 + lost) << layer.name;
    EXPECT_GT(nonzero, 0) << layer.name;
  }
}

TEST_P(PlanTest, DenseInt8RoundsEveryOutputRight) {
  if (!HasExactInt8()) GTEST_SKIP() << "this CPU's 8-bit products saturate";
  const Artifact artifact = RandomArtifact(GetParam().spec, GetParam().weights);
  ExpectRounded(RunPlan(artifact, DenseArithmetic::kInt8), DequantizeAll(artifact), 0.001);
}

TEST_P(PlanTest, BlockInt8RoundsEveryOutputRight) {
  const Artifact artifact = RandomArtifact(GetParam().spec, GetParam().weights, /*seed=*/1,
                                           {/*sparsity=*/0.5f, /*blocks=*/true});
  ExpectRounded(RunPlan(artifact, DenseArithmetic::kInt8, AllInBlocks), DequantizeAll(artifact),
                0.04);
}

TEST_P(PlanTest, MixedInt8RoundsEveryOutputRight) {
  if (!HasExactInt8()) GTEST_SKIP() << "this CPU's 8-bit products saturate";
  const Artifact artifact = RandomArtifact(GetParam().spec, GetParam().weights);
  ExpectRounded(RunPlan(artifact, DenseArithmetic::kInt8, Alternating), DequantizeAll(artifact),
                0.04);
}

TEST_P(PlanTest, Fp32IsThePlainConvolution) {
  const Artifact artifact = RandomArtifact(GetParam().spec, v1::WEIGHT_TYPE_FP32);
  const TensorMap tensors = DequantizeAll(artifact);
  const PlanRun run = RunPlan(artifact, DenseArithmetic::kFp32);
  for (size_t l = 0; l < run.model.network.layers.size(); ++l) {
    const Layer& layer = run.model.network.layers[l];
    if (layer.op != Op::kConv) continue;
    for (int image = 0; image < kBatch; ++image) {
      const std::vector<double> expected = Expected(run, tensors, layer, image);
      for (size_t i = 0; i < expected.size(); ++i) {
        ASSERT_NEAR(run.maps[l][image * expected.size() + i], expected[i],
                    1e-5 * (1 + std::abs(expected[i])))
            << layer.name << " at " << i;
      }
    }
  }
}

// Of the first convolution, whose first two channels' products are worth so many steps, and whose
// bias is 100.
Artifact WithTinyProducts(float first, float second) {
  Artifact artifact = RandomArtifact(Spec("resnet18", Stem::kStride2, 16), v1::WEIGHT_TYPE_INT8);
  const Network network = BuildNetwork(artifact.network).value();
  const float input_step = ActivationStep(artifact, network.layers[0]).value();
  const float step = ActivationStep(artifact, network.layers[1]).value();
  std::vector<float>& scales = artifact.tensors.at("conv1.weight").scales;
  std::vector<float>& bias = artifact.tensors.at("conv1.bias").floats;
  scales[0] = first / input_step * step;
  scales[1] = second / input_step * step;
  bias[0] = bias[1] = 100 * step;
  return artifact;
}

TEST(TinyProductsTest, AreLeftOutWhereTheyChangeNothing) {
  const Artifact artifact = WithTinyProducts(1e-37f, -1e-11f);
  const DenseModel model = BuildDenseModel(artifact, DenseArithmetic::kInt8).value();
  const Convolution& c = model.convolutions[1];
  const auto row = static_cast<int64_t>(c.integer_weights.size()) / c.out_channels;
  const auto first = c.integer_weights.begin();
  EXPECT_EQ(c.multiplier[0], 1);
  EXPECT_EQ(std::count(first, first + row, 0), row);
  EXPECT_NEAR(c.multiplier[1], -1e-11, 1e-16);
  EXPECT_LT(std::count(first + row, first + 2 * row, 0), row);
}

// 100 / 1e-37 is more than a float holds.
TEST(TinyProductsTest, LeaveTheBias) {
  const Artifact artifact = WithTinyProducts(1e-37f, -1e-11f);
  for (const auto& choose : {AllByOneDnn, AllInBlocks}) {
    if (choose == AllByOneDnn && !HasExactInt8()) continue;  // this CPU's 8-bit products saturate
    const PlanRun run = RunPlan(artifact, DenseArithmetic::kInt8, choose);
    const size_t channels = run.model.network.layers[1].out_channels;
    for (size_t i = 0; i < run.maps[1].size(); i += channels) {
      ASSERT_EQ(std::lround(run.maps[1][i] / run.model.grids[1].step), 100) << i;
      ASSERT_EQ(std::lround(run.maps[1][i + 1] / run.model.grids[1].step), 100) << i;
    }
  }
}

// The map that ReferenceForward's pooling makes of `input`.
std::vector<float> Pooled(const Network& network, size_t pool, const std::vector<float>& input) {
  Network alone;
  alone.layers = {network.layers[network.layers[pool].input], network.layers[pool]};
  alone.layers[0].op = Op::kInput;
  alone.layers[1].input = 0;
  return ReferenceForward(alone, {}, input).back();
}

TEST(DensePlanPoolingTest, KeepsTheLargest) {
  const Artifact artifact =
      RandomArtifact(Spec("resnet18", Stem::kImagenet, 26), v1::WEIGHT_TYPE_INT8);
  for (DenseArithmetic arithmetic : {DenseArithmetic::kInt8, DenseArithmetic::kFp32}) {
    if (arithmetic == DenseArithmetic::kInt8 && !HasExactInt8()) continue;
    const PlanRun run = RunPlan(artifact, arithmetic);
    const Network& network = run.model.network;
    const size_t pool = 2;
    ASSERT_EQ(network.layers[pool].op, Op::kMaxPool);
    const std::vector<double>& input = run.maps[network.layers[pool].input];
    const std::vector<double>& output = run.maps[pool];
    for (int image = 0; image < kBatch; ++image) {
      const auto from = input.begin() + image * input.size() / kBatch;
      const std::vector<float> expected =
          Pooled(network, pool, std::vector<float>(from, from + input.size() / kBatch));
      for (size_t i = 0; i < expected.size(); ++i) {
        ASSERT_EQ(static_cast<float>(output[image * expected.size() + i]), expected[i]);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Networks, PlanTest, testing::ValuesIn(Cases()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace cytopress
