#include "core/network/network.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/network/description.h"

namespace cytopress {
namespace {

using ::testing::HasSubstr;

int64_t WeightCount(const Network& network) {
  int64_t sum = 0;
  for (const Layer& layer : network.layers) sum += layer.weight_count();
  return sum;
}

NetworkSpec Spec(const std::string& architecture, Stem stem, int classes, int size) {
  NetworkSpec spec;
  spec.architecture = architecture;
  spec.stem = stem;
  spec.classes = classes;
  spec.input_height = spec.input_width = size;
  return spec;
}

int IndexOf(const Network& network, const std::string& name) {
  for (size_t i = 0; i < network.layers.size(); ++i) {
    if (network.layers[i].name == name) return static_cast<int>(i);
  }
  return -1;
}

// Published parameter counts of torchvision's models at 1000 classes, less batch norm and biases.
TEST(BuildNetworkTest, HasTorchvisionsParameterCounts) {
  struct Case {
    const char* architecture;
    int64_t parameters;
    int64_t batch_norm_channels;
  } cases[] = {{"resnet18", 11689512, 4800},
               {"resnet34", 21797672, 8512},
               {"resnet50", 25557032, 26560},
               {"resnet101", 44549160, 52672}};
  for (const Case& c : cases) {
    const Network network = *BuildNetwork(Spec(c.architecture, Stem::kImagenet, 1000, 224));
    int64_t channels = 0;
    for (const Layer& layer : network.layers) {
      if (!layer.batch_norm.empty()) channels += layer.out_channels;
    }
    EXPECT_EQ(channels, c.batch_norm_channels) << c.architecture;
    EXPECT_EQ(WeightCount(network) + 2 * channels + 1000, c.parameters) << c.architecture;
  }
}

TEST(BuildNetworkTest, BuildsWhatIsNamed) {
  EXPECT_THAT(ArchitectureNames(), testing::IsSupersetOf({"resnet18", "resnet20", "resnet101"}));
  for (const std::string& name : ArchitectureNames()) {
    EXPECT_TRUE(BuildNetwork(Spec(name, Stem::kCifar, 8, 28)).ok()) << name;
  }
}

// He et al., section 4.2, with ten classes; projections as shortcuts have 2560 weights of it.
TEST(BuildNetworkTest, HasTheSmallNetworkOfThePaper) {
  const Network network = *BuildNetwork(Spec("resnet20", Stem::kCifar, 10, 32));
  int64_t channels = 0, layers = 0;
  for (const Layer& layer : network.layers) {
    if (!layer.batch_norm.empty()) channels += layer.out_channels;
    const bool is_shortcut = layer.name.find("downsample") != std::string::npos;
    layers += layer.weight_count() > 0 && !is_shortcut;
  }
  EXPECT_EQ(layers, 20);
  EXPECT_EQ(WeightCount(network) + 2 * channels + 10, 272474);
  EXPECT_EQ(network.layers.back().in_channels, 64);
}

// 4.09 GMAC at 224 px is the figure everybody quotes; 79.2 MMAC at 28 px is ours.
TEST(BuildNetworkTest, CountsMultiplyAccumulates) {
  const auto macs = [](int classes, int size) {
    return Macs(*BuildNetwork(Spec("resnet50", Stem::kImagenet, classes, size)));
  };
  EXPECT_NEAR(macs(1000, 224) / 1e9, 4.09, 0.01);
  EXPECT_NEAR(macs(8, 28) / 1e6, 79.2, 0.1);
}

TEST(BuildNetworkTest, WiresResidualsAndStridesAsTorchvision) {
  const Network network = *BuildNetwork(Spec("resnet50", Stem::kStride2, 8, 28));
  const auto find = [&](const std::string& name) { return IndexOf(network, name); };
  const Layer& last = network.layers[find("layer2.0.conv3")];
  EXPECT_EQ(last.residual, find("layer2.0.downsample.0"));
  EXPECT_TRUE(last.relu);
  EXPECT_FALSE(network.layers[find("layer2.0.downsample.0")].relu);
  EXPECT_EQ(network.layers[find("layer2.0.conv2")].stride, 2);
  EXPECT_EQ(network.layers[find("layer2.0.conv1")].stride, 1);
  EXPECT_EQ(network.layers[find("layer2.1.conv3")].residual, find("layer2.0.conv3"));
  EXPECT_EQ(last.out_height, 7);
  EXPECT_EQ(find("maxpool"), -1);
  EXPECT_EQ(network.layers.back().name, "fc");
  EXPECT_EQ(network.layers.back().in_channels, 2048);
}

TEST(ConvolutionsReadingTest, NoneWhereAnythingElseReads) {
  const Network network = *BuildNetwork(Spec("resnet50", Stem::kImagenet, 8, 28));
  const auto index = [&](const std::string& name) { return IndexOf(network, name); };
  EXPECT_THAT(ConvolutionsReading(network, index("layer1.0.conv1")),
              testing::ElementsAre(index("layer1.0.conv2")));
  // Pooled, added, and both convolved and added.
  EXPECT_THAT(ConvolutionsReading(network, index("conv1")), testing::IsEmpty());
  EXPECT_THAT(ConvolutionsReading(network, index("layer1.0.downsample.0")), testing::IsEmpty());
  EXPECT_THAT(ConvolutionsReading(network, index("layer1.0.conv3")), testing::IsEmpty());
}

TEST(BuildNetworkTest, RefusesBadSpecsByField) {
  auto error = [](NetworkSpec spec) { return std::string(BuildNetwork(spec).status().message()); };
  EXPECT_THAT(error(Spec("vgg16", Stem::kCifar, 8, 28)),
              HasSubstr("network.architecture: 'vgg16'"));
  for (const std::string& name : ArchitectureNames()) {
    EXPECT_THAT(error(Spec("vgg16", Stem::kCifar, 8, 28)), HasSubstr(name));
  }
  EXPECT_THAT(error(Spec("resnet18", Stem::kCifar, 1, 28)), HasSubstr("network.classes: 1"));
  EXPECT_THAT(error(Spec("resnet18", Stem::kCifar, 8, 4)), HasSubstr("4 pixels"));
  NetworkSpec spec = Spec("resnet18", Stem::kCifar, 8, 28);
  spec.input_channels = 2;
  EXPECT_THAT(error(spec), HasSubstr("network.input_channels: 2"));
}

TEST(FoldBatchNormTest, FoldsAndPassesFoldedThrough) {
  Layer layer;
  layer.name = "conv1";
  layer.batch_norm = "bn1";
  layer.out_channels = 2;
  TensorMap tensors;
  tensors["bn1.weight"] = {{2}, {2, 3}};
  tensors["bn1.bias"] = {{2}, {1, -1}};
  tensors["bn1.running_mean"] = {{2}, {0.5, 1}};
  tensors["bn1.running_var"] = {{2}, {4, 9}};
  const ChannelAffine folded = *FoldBatchNorm(layer, tensors);
  EXPECT_NEAR(folded.scale[0], 1.0, 1e-5);
  EXPECT_NEAR(folded.bias[0], 0.5, 1e-5);
  EXPECT_NEAR(folded.scale[1], 1.0, 1e-5);
  EXPECT_NEAR(folded.bias[1], -2.0, 1e-5);

  TensorMap stored;
  stored["conv1.bias"] = {{2}, {7, 8}};
  EXPECT_EQ(FoldBatchNorm(layer, stored)->bias, (std::vector<float>{7, 8}));
  EXPECT_EQ(FoldBatchNorm(layer, stored)->scale, (std::vector<float>{1, 1}));
  tensors.erase("bn1.running_var");
  EXPECT_THAT(FoldBatchNorm(layer, tensors).status().message(), HasSubstr("bn1.running_var"));
}

}  // namespace
}  // namespace cytopress
