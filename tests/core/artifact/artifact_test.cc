#include "core/artifact/artifact.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/artifact/sample_artifact.h"

namespace cytopress {
namespace {

using testing::ElementsAre;

TEST(ArtifactTest, DequantizeMultipliesByTheChannelsScale) {
  StoredTensor tensor;
  tensor.encoding = Encoding::kInt8;
  tensor.shape = {2, 3};
  tensor.integers = {1, -2, 0, 127, -127, 4};
  tensor.scales = {0.5f, 2.0f};
  const Tensor dense = Dequantize(tensor);
  EXPECT_THAT(dense.shape, ElementsAre(2, 3));
  EXPECT_THAT(dense.values, ElementsAre(0.5f, -1.0f, 0.0f, 254.0f, -254.0f, 8.0f));
}

TEST(ArtifactTest, DequantizeCopiesFloats) {
  StoredTensor tensor;
  tensor.shape = {2};
  tensor.floats = {1.5f, -3};
  EXPECT_THAT(Dequantize(tensor).values, ElementsAre(1.5f, -3));
}

TEST(ArtifactTest, StemAndClassifierStayDense) {
  const Network network = BuildNetwork(SampleSpec()).value();
  for (const Layer& layer : network.layers) {
    EXPECT_EQ(IsPrunable(layer), layer.op == Op::kConv && layer.input != 0) << layer.name;
  }
}

TEST(ArtifactTest, ParametersAreTheTrainedNetworks) {
  Artifact artifact;
  artifact.network.classes = 8;
  artifact.network.stem = Stem::kStride2;
  const v1::ModelSize size = MeasureSize(artifact, 7);
  EXPECT_EQ(size.parameters(), 23516744);  // torchvision's ResNet-50 with this stem and classifier
  EXPECT_EQ(size.dense_bytes(), 4 * 23516744);
  EXPECT_EQ(size.disk_bytes(), 7);
}

TEST(ArtifactTest, SparsityIsOfThePrunableWeights) {
  SampleOptions options;
  options.weights = v1::WEIGHT_TYPE_FP32;
  options.density = 0.25;
  const Artifact artifact = SampleArtifact(options);
  const v1::ModelSize size = MeasureSize(artifact, 0);
  EXPECT_NEAR(size.sparsity(), 0.75, 0.001);
  EXPECT_NEAR(static_cast<double>(size.nonzero_parameters()) / size.parameters(), 0.25, 0.01);
}

TEST(ArtifactTest, PackedBytesFollowTheEncodings) {
  const Network network = BuildNetwork(SampleSpec()).value();
  int64_t expected = 0;
  for (const Layer& layer : network.layers) {
    if (layer.weight_count() == 0) continue;
    const int64_t values = IsPrunable(layer) ? layer.weight_count() / 2 : layer.weight_count();
    expected += values + layer.out_channels * (4 + 2);  // scale and FP16 bias
  }
  EXPECT_EQ(MeasureSize(SampleArtifact(), 0).packed_bytes(), expected);
}

}  // namespace
}  // namespace cytopress
