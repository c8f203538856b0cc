// How small a ResNet-50 becomes on disk, with weights as pruning and rounding leave them.
#include <gtest/gtest.h>

#include "core/artifact/artifact.h"
#include "core/artifact/container.h"
#include "tests/core/artifact/sample_artifact.h"

namespace cytopress {
namespace {

SampleOptions ResNet50(double sparsity) {
  SampleOptions options;
  options.spec = NetworkSpec();
  options.spec.classes = 8;
  options.spec.stem = Stem::kStride2;
  options.density = 1 - sparsity;
  return options;
}

TEST(ArtifactSizeTest, EightyPercentSparseInt4) {
  const std::string file = SerializeArtifact(SampleArtifact(ResNet50(0.80))).value();
  EXPECT_LE(file.size(), 4300000u);
  // Nothing is won by leaving bits out: the file must stay near the entropy of what it holds.
  EXPECT_GE(file.size(), 3000000u);
  EXPECT_TRUE(ParseArtifact(file).ok());
}

TEST(ArtifactSizeTest, NinetyFivePercentSparseInt4) {
  const std::string file = SerializeArtifact(SampleArtifact(ResNet50(0.95))).value();
  EXPECT_LE(file.size(), 1700000u);
  EXPECT_TRUE(ParseArtifact(file).ok());
}

TEST(ArtifactSizeTest, FullWeightsInFp16) {
  SampleOptions options = ResNet50(0);
  options.weights = v1::WEIGHT_TYPE_FP16;
  const std::string file = SerializeArtifact(SampleArtifact(options)).value();
  EXPECT_LE(file.size(), 41200000u);  // of 47.4 MB
  EXPECT_TRUE(ParseArtifact(file).ok());
}

TEST(ArtifactSizeTest, DescribingTheTensorsCostsLittle) {
  SampleOptions options = ResNet50(0.5);
  options.density = 1e-6;
  const std::string file = SerializeArtifact(SampleArtifact(options)).value();
  const ContainerHead head = ReadContainerHead(file).value();
  EXPECT_LE(head.frames_begin, 8192u);
}

}  // namespace
}  // namespace cytopress
