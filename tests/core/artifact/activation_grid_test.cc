#include "core/artifact/activation_grid.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cytopress {
namespace {

Layer Named(const std::string& name, bool relu) {
  Layer layer;
  layer.name = name;
  layer.relu = relu;
  return layer;
}

TEST(ActivationGridTest, OutputsOfAReluHaveTwiceAsManySteps) {
  Artifact artifact;
  artifact.activation_ranges = {{"a", 25.5f}, {"b", 12.7f}};
  EXPECT_FLOAT_EQ(*ActivationStep(artifact, Named("a", true)), 0.1f);
  EXPECT_FLOAT_EQ(*ActivationStep(artifact, Named("b", false)), 0.1f);
}

TEST(ActivationGridTest, NamesTheLayerThatHasNone) {
  Artifact artifact;
  artifact.activation_ranges = {{"zero", 0.0f}, {"denormal", 1e-38f}};
  const absl::Status none = ActivationStep(artifact, Named("conv1", true)).status();
  EXPECT_EQ(none.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(none.message()), testing::HasSubstr("'conv1'"));
  for (const char* bad : {"zero", "denormal"}) {
    EXPECT_EQ(ActivationStep(artifact, Named(bad, true)).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace cytopress
