#include "core/compression/torch_network.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/compression/test_data.h"

namespace cytopress {
namespace {

TEST(TorchNetworkTest, EveryArchitectureAndStemRuns) {
  torch::NoGradGuard no_grad;
  for (const char* architecture : {"resnet18", "resnet50"}) {
    for (Stem stem : {Stem::kImagenet, Stem::kCifar, Stem::kStride2}) {
      NetworkSpec spec;
      spec.architecture = architecture;
      spec.stem = stem;
      spec.classes = 8;
      const TorchNetwork network(*BuildNetwork(spec), torch::kCPU, 1);
      int checked = 0;
      TorchNetwork::Hooks hooks;
      hooks.after = [&](const Layer& layer, const torch::Tensor& output) {
        EXPECT_EQ(output.size(1), layer.out_channels) << layer.name;
        if (output.dim() == 4) {
          EXPECT_EQ(output.size(2), layer.out_height) << layer.name;
          EXPECT_EQ(output.size(3), layer.out_width) << layer.name;
        }
        ++checked;
      };
      const torch::Tensor logits =
          network.Forward(torch::randn({2, 3, 28, 28}), TorchNetwork::Mode::kEvaluate, hooks);
      EXPECT_EQ(logits.sizes(), (std::vector<int64_t>{2, 8}));
      EXPECT_EQ(checked, static_cast<int>(network.network().layers.size()));
    }
  }
}

TEST(TorchNetworkTest, EqualSeedsMakeEqualNetworks) {
  const TorchNetwork a = SmallNetwork("resnet18", 3), b = SmallNetwork("resnet18", 3),
                     c = SmallNetwork("resnet18", 4);
  EXPECT_TRUE(a.tensors().at("conv1.weight").equal(b.tensors().at("conv1.weight")));
  EXPECT_FALSE(a.tensors().at("conv1.weight").equal(c.tensors().at("conv1.weight")));
}

TEST(TorchNetworkTest, ImportsWhatItExports) {
  torch::NoGradGuard no_grad;
  const TorchNetwork from = SmallNetwork("resnet50", 3);
  TorchNetwork to = SmallNetwork("resnet50", 4);
  const torch::Tensor input = torch::randn({2, 3, 16, 16});
  ASSERT_TRUE(to.Import(from.Export()).ok());
  EXPECT_TRUE(from.Forward(input, TorchNetwork::Mode::kEvaluate)
                  .equal(to.Forward(input, TorchNetwork::Mode::kEvaluate)));
}

TEST(TorchNetworkTest, ImportsFoldedConvolutions) {
  torch::NoGradGuard no_grad;
  const TorchNetwork from = SmallNetwork("resnet18", 3);
  // Statistics that are worth folding.
  for (const auto& [name, tensor] : from.tensors()) {
    torch::Tensor target = tensor;
    if (name.find("bn") != std::string::npos || name.find("downsample.1") != std::string::npos) {
      target.uniform_(0.5, 1.5);
    }
  }
  const TensorMap tensors = from.Export();
  TensorMap folded;
  for (const Layer& layer : from.network().layers) {
    if (layer.op == Op::kLinear) {
      folded["fc.weight"] = tensors.at("fc.weight");
      folded["fc.bias"] = tensors.at("fc.bias");
    }
    if (layer.op != Op::kConv) continue;
    const ChannelAffine affine = *FoldBatchNorm(layer, tensors);
    Tensor weight = tensors.at(layer.name + ".weight");
    const size_t row = weight.values.size() / layer.out_channels;
    for (size_t i = 0; i < weight.values.size(); ++i) weight.values[i] *= affine.scale[i / row];
    folded[layer.name + ".weight"] = weight;
    folded[layer.name + ".bias"] = {{layer.out_channels}, affine.bias};
  }
  TorchNetwork to = SmallNetwork("resnet18", 4);
  ASSERT_TRUE(to.Import(folded).ok());
  const torch::Tensor input = torch::randn({2, 3, 16, 16});
  EXPECT_TRUE(from.Forward(input, TorchNetwork::Mode::kEvaluate)
                  .allclose(to.Forward(input, TorchNetwork::Mode::kEvaluate), 1e-3, 1e-3));
}

TEST(TorchNetworkTest, ImportNamesWhatDoesNotFit) {
  TensorMap values = SmallNetwork().Export();
  TorchNetwork network = SmallNetwork();
  values["fc.bias"].shape = {3};
  EXPECT_THAT(network.Import(values).message(), testing::HasSubstr("fc.bias has the shape [3]"));
  values.erase("fc.bias");
  EXPECT_THAT(network.Import(values).message(), testing::HasSubstr("lacks the tensor fc.bias"));
}

}  // namespace
}  // namespace cytopress
