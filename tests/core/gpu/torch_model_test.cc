#include "core/gpu/torch_model.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <string>
#include <vector>

#include "core/engine/engine.h"
#include "tests/core/engine/random_artifact.h"

namespace cytopress {
namespace {

constexpr int kImages = 3;

struct Case {
  std::string name;
  std::string architecture;
  Stem stem;
  int height;
  int width;
  int channels;
  float sparsity;
};

class TorchModelTest : public testing::TestWithParam<Case> {
 protected:
  TorchModelTest() {
    spec_.architecture = GetParam().architecture;
    spec_.stem = GetParam().stem;
    spec_.classes = 5;
    spec_.input_height = GetParam().height;
    spec_.input_width = GetParam().width;
    spec_.input_channels = GetParam().channels;
  }

  // The largest difference between the probabilities and those of the FP32 engine.
  double Difference(v1::WeightType weights, torch::ScalarType type) {
    const Artifact artifact = RandomArtifact(spec_, weights, 1, {GetParam().sparsity});
    const std::vector<uint8_t> pixels = RandomPixels(spec_, kImages);
    EngineOptions options;
    options.arithmetic = Arithmetic::kFp32;
    std::vector<float> expected(kImages * spec_.classes);
    EXPECT_TRUE(CreateEngine(artifact, options)
                    .value()
                    ->Classify(pixels, kImages, absl::MakeSpan(expected))
                    .ok());
    const DenseModel dense = BuildDenseModel(artifact, DenseArithmetic::kFp32).value();
    const TorchModel model(dense, torch::kCPU, type);
    const torch::Tensor probabilities = model.Classify(torch::from_blob(
        const_cast<uint8_t*>(pixels.data()),
        {kImages, spec_.input_height, spec_.input_width, spec_.input_channels}, torch::kUInt8));
    EXPECT_EQ(probabilities.sizes(), (torch::IntArrayRef{kImages, spec_.classes}));
    double largest = 0;
    for (size_t i = 0; i < expected.size(); ++i) {
      const float value = probabilities.contiguous().data_ptr<float>()[i];
      largest = std::max(largest, double{std::abs(value - expected[i])});
    }
    return largest;
  }

  NetworkSpec spec_;
};

TEST_P(TorchModelTest, Fp32IsTheEngines) {
  EXPECT_LT(Difference(v1::WEIGHT_TYPE_FP32, torch::kFloat32), 1e-5);
}

TEST_P(TorchModelTest, IntegerWeightsAreExpanded) {
  EXPECT_LT(Difference(v1::WEIGHT_TYPE_INT4, torch::kFloat32), 1e-5);
}

TEST_P(TorchModelTest, HalfThePrecisionIsNear) {
  EXPECT_LT(Difference(v1::WEIGHT_TYPE_FP16, torch::kBFloat16), 0.03);
}

// At 28 pixels kernels lose taps, paddings become one-sided and maps are covered whole.
INSTANTIATE_TEST_SUITE_P(
    Networks, TorchModelTest,
    testing::Values(Case{"Imagenet", "resnet50", Stem::kImagenet, 28, 28, 3, 0},
                    Case{"Stride2Pruned", "resnet50", Stem::kStride2, 28, 28, 3, 0.95f},
                    Case{"CifarOblongGray", "resnet18", Stem::kCifar, 12, 17, 1, 0.5f}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace cytopress
