#include "core/safetensors/state_dict.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "tests/core/engine/random_artifact.h"

namespace cytopress {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// Weights under torchvision's names.
TensorMap StateDict(const std::string& architecture, Stem stem, int classes = 3, int channels = 3) {
  NetworkSpec spec;
  spec.architecture = architecture;
  spec.stem = stem;
  spec.classes = classes;
  spec.input_channels = channels;
  spec.input_height = spec.input_width = 8;
  return DequantizeAll(RandomArtifact(spec, v1::WEIGHT_TYPE_FP32));
}

TensorMap Renamed(const TensorMap& tensors,
                  const std::function<std::string(const std::string&)>& name) {
  TensorMap renamed;
  for (const auto& [old, tensor] : tensors) renamed[name(old)] = tensor;
  return renamed;
}

bool Same(const TensorMap& a, const TensorMap& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x.first == y.first && x.second.shape == y.second.shape &&
           x.second.values == y.second.values;
  });
}

TEST(RecognizeNetwork, KnowsEveryArchitectureAndStem) {
  for (const std::string& architecture : ArchitectureNames()) {
    for (const Stem stem : {Stem::kImagenet, Stem::kCifar, Stem::kStride2}) {
      if (stem != Stem::kImagenet && architecture != "resnet18") continue;
      const TensorMap tensors = StateDict(architecture, stem, 5, 1);
      const auto said = stem == Stem::kImagenet ? std::nullopt : std::optional(stem);
      const absl::StatusOr<RecognizedNetwork> network = RecognizeNetwork(tensors, said);
      ASSERT_TRUE(network.ok()) << network.status();
      EXPECT_EQ(network->spec.architecture, architecture);
      EXPECT_EQ(network->spec.stem, stem);
      EXPECT_EQ(network->spec.classes, 5);
      EXPECT_EQ(network->spec.input_channels, 1);
      EXPECT_TRUE(Same(network->tensors, tensors));
    }
  }
}

TEST(RecognizeNetwork, KnowsTheNamesOfMedMnistAndOfWrappers) {
  const TensorMap plain = StateDict("resnet18", Stem::kCifar);
  TensorMap medmnist = Renamed(plain, [](const std::string& name) {
    return absl::StrReplaceAll(name, {{"downsample", "shortcut"}, {"fc.", "linear."}});
  });
  ASSERT_TRUE(medmnist.count("layer2.0.shortcut.0.weight") == 1 && medmnist.count("linear.bias"));
  medmnist["bn1.num_batches_tracked"] = {{}, {7}};
  EXPECT_TRUE(Same(RecognizeNetwork(medmnist, Stem::kCifar)->tensors, plain));

  TensorMap wrapped =
      Renamed(plain, [](const std::string& name) { return absl::StrCat("module.net.", name); });
  wrapped["loss.weight"] = {{3}, {1, 1, 1}};
  EXPECT_TRUE(Same(RecognizeNetwork(wrapped, Stem::kCifar)->tensors, plain));

  const TensorMap dropout = Renamed(plain, [](const std::string& name) {
    return absl::StrReplaceAll(name, {{"fc.", "fc.1."}});
  });
  EXPECT_TRUE(Same(RecognizeNetwork(dropout, Stem::kCifar)->tensors, plain));
}

TEST(RecognizeNetwork, RefusesTheWeightsOfTwoNetworks) {
  const TensorMap plain = StateDict("resnet18", Stem::kCifar);
  const auto complaint = [&](const std::string& one, const std::string& other) {
    TensorMap both = Renamed(plain, [&](const std::string& name) { return one + name; });
    both.merge(Renamed(plain, [&](const std::string& name) { return other + name; }));
    const absl::Status status = RecognizeNetwork(both, Stem::kCifar).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    return std::string(status.message());
  };
  EXPECT_EQ(complaint("model.", "ema."),
            "the weights are of two networks, ema.* and model.*; save one network's state_dict()");
  EXPECT_THAT(complaint("encoder_q.", "encoder_k."), HasSubstr("encoder_k.* and encoder_q.*"));
  EXPECT_THAT(complaint("module.model.", "module.ema."), HasSubstr("module.ema.* and module.mod"));
  EXPECT_THAT(complaint("", "ema."), HasSubstr("it does not have ema."));
}

TEST(RecognizeNetwork, BlocksAreNotNetworks) {
  const TensorMap plain = StateDict("resnet18", Stem::kCifar);
  const auto complaint = [&](const std::vector<std::pair<std::string, std::string>>& changes) {
    const TensorMap renamed = Renamed(plain, [&](const std::string& name) {
      for (const auto& [old, other] : changes) {
        if (absl::StartsWith(name, old)) return absl::StrCat(other, name.substr(old.size()));
      }
      return name;
    });
    return std::string(RecognizeNetwork(renamed, Stem::kCifar).status().message());
  };
  const std::string expected =
      "there is no tensor conv1.weight, as the ResNets of torchvision and MedMNIST have it; there "
      "are: ";
  // A stem of several convolutions; the same in a wrapper; the children of a network in a row.
  EXPECT_THAT(complaint({{"conv1.", "conv1.0."}}), HasSubstr(expected + "bn1.bias, "));
  EXPECT_THAT(complaint({{"conv1.", "module.conv1.0."}, {"", "module."}}),
              HasSubstr(expected + "module.bn1.bias, "));
  EXPECT_THAT(complaint({{"conv1.", "0."},
                         {"layer1.", "4."},
                         {"layer2.", "5."},
                         {"layer3.", "6."},
                         {"layer4.", "7."}}),
              HasSubstr(expected + "0.weight, "));
  // Networks in a row are networks.
  EXPECT_EQ(complaint({{"", "0."}}), "");
  TensorMap both = Renamed(plain, [](const std::string& name) { return "models.0." + name; });
  both.merge(Renamed(plain, [](const std::string& name) { return "models.1." + name; }));
  EXPECT_THAT(std::string(RecognizeNetwork(both, Stem::kCifar).status().message()),
              HasSubstr("of two networks, models.0.* and models.1.*"));
}

TEST(RecognizeNetwork, AsksForTheStemThatWeightsDoNotTell) {
  const TensorMap small = StateDict("resnet18", Stem::kCifar);
  EXPECT_THAT(RecognizeNetwork(small, std::nullopt).status().message(),
              HasSubstr("say cifar (stride 1, as MedMNIST has it) or stride2"));
  EXPECT_THAT(RecognizeNetwork(small, Stem::kImagenet).status().message(), HasSubstr("stem: "));
  EXPECT_EQ(RecognizeNetwork(small, Stem::kStride2)->spec.stem, Stem::kStride2);
  const TensorMap large = StateDict("resnet18", Stem::kImagenet);
  EXPECT_THAT(RecognizeNetwork(large, Stem::kCifar).status().message(),
              HasSubstr("the first convolution is 7x7"));
  EXPECT_TRUE(RecognizeNetwork(large, Stem::kImagenet).ok());
}

TEST(RecognizeNetwork, NamesWhatDoesNotFit) {
  const auto complaint = [](const std::function<void(TensorMap*)>& change) {
    TensorMap tensors = StateDict("resnet18", Stem::kImagenet);
    change(&tensors);
    const absl::Status status = RecognizeNetwork(tensors, std::nullopt).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  EXPECT_THAT(
      complaint([](TensorMap* t) { t->erase("layer3.0.bn2.running_var"); }),
      HasSubstr("fit none of resnet18, resnet20, resnet34, resnet50, resnet101; of resnet18, "
                "the nearest, missing are layer3.0.bn2.running_var"));
  EXPECT_THAT(complaint([](TensorMap* t) {
                (*t)["layer1.0.se.weight"] = {{1}, {1}};
              }),
              HasSubstr("it does not have layer1.0.se.weight"));
  EXPECT_THAT(complaint([](TensorMap* t) {
                t->at("layer2.1.conv1.weight").shape = {128, 4, 3, 3};
              }),
              HasSubstr("of another shape are layer2.1.conv1.weight [128, 4, 3, 3] for [128, 128, "
                        "3, 3]"));
  EXPECT_THAT(complaint([](TensorMap* t) { t->erase("fc.weight"); }), HasSubstr("linear layer fc"));
  EXPECT_THAT(complaint([](TensorMap* t) {
                t->at("conv1.weight").shape = {64, 3};
              }),
              HasSubstr("no convolution conv1"));
  EXPECT_THAT(complaint([](TensorMap* t) {
                t->at("conv1.weight").shape = {64, 4, 7, 7};
              }),
              HasSubstr("network.input_channels: 4"));
  EXPECT_THAT(complaint([](TensorMap* t) {
                t->at("fc.weight").shape = {int64_t{1} << 40, 512};
              }),
              HasSubstr("network.classes: "));
  EXPECT_THAT(complaint([](TensorMap* t) {
                *t = {{"encoder.weight", {{1}, {1}}}, {"head.bias", {{1}, {1}}}};
              }),
              HasSubstr("there are: encoder.weight, head.bias"));
}

TEST(RecognizeNetwork, NamesAFewTensorsOfMany) {
  TensorMap deeper = StateDict("resnet18", Stem::kImagenet);
  for (int i = 0; i < 40; ++i) deeper[absl::StrCat("layer5.", i, ".weight")] = {{1}, {1}};
  const std::string message(RecognizeNetwork(deeper, std::nullopt).status().message());
  EXPECT_THAT(message, HasSubstr(", ..."));
  EXPECT_THAT(message, Not(HasSubstr("layer5.39")));
}

}  // namespace
}  // namespace cytopress
