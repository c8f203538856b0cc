#include "core/engine/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <thread>

#include "core/engine/batch_engine.h"
#include "core/engine/dense_model.h"
#include "core/kernels/onednn.h"
#include "tests/core/engine/random_artifact.h"
#include "tests/core/kernels/reference.h"

namespace cytopress {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

NetworkSpec Spec(const std::string& architecture, Stem stem, int size, int channels = 3) {
  NetworkSpec spec;
  spec.architecture = architecture;
  spec.stem = stem;
  spec.classes = 8;
  spec.input_channels = channels;
  spec.input_height = spec.input_width = size;
  return spec;
}

std::unique_ptr<Engine> Create(const Artifact& artifact, Arithmetic arithmetic, int threads = 1) {
  EngineOptions options;
  options.arithmetic = arithmetic;
  options.threads = threads;
  return CreateEngine(artifact, options).value();
}

std::vector<float> Classify(Engine& engine, absl::Span<const uint8_t> pixels, int count) {
  std::vector<float> probabilities(size_t(count) * engine.classes(), -1.0f);
  const absl::Status status = engine.Classify(pixels, count, absl::MakeSpan(probabilities));
  EXPECT_TRUE(status.ok()) << status;
  return probabilities;
}

// Each image by itself.
std::vector<float> ClassifyAlone(Engine& engine, absl::Span<const uint8_t> pixels, int count) {
  std::vector<float> probabilities;
  for (int i = 0; i < count; ++i) {
    const std::vector<float> one =
        Classify(engine, pixels.subspan(i * engine.image_bytes(), engine.image_bytes()), 1);
    probabilities.insert(probabilities.end(), one.begin(), one.end());
  }
  return probabilities;
}

double LargestDifference(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(double{a[i]} - b[i]));
  return largest;
}

// Of the first `count` images.
std::vector<float> Reference(const Artifact& artifact, const std::vector<uint8_t>& pixels,
                             int count) {
  const NetworkSpec& spec = artifact.network;
  const size_t image_bytes = size_t(spec.input_channels) * spec.input_height * spec.input_width;
  const Network network = BuildNetwork(artifact.network).value();
  const TensorMap tensors = DequantizeAll(artifact);
  std::vector<float> probabilities;
  for (int i = 0; i < count; ++i) {
    const auto outputs = ReferenceForward(
        network, tensors, Normalize(artifact.preprocessing, &pixels[i * image_bytes]));
    const std::vector<float> one = ReferenceSoftmax(outputs.back());
    probabilities.insert(probabilities.end(), one.begin(), one.end());
  }
  return probabilities;
}

struct Case {
  std::string name;
  NetworkSpec spec;
};

class EngineTest : public testing::TestWithParam<Case> {};

TEST_P(EngineTest, Fp32IsTheReference) {
  const Artifact artifact = RandomArtifact(GetParam().spec, v1::WEIGHT_TYPE_FP32);
  const auto engine = Create(artifact, Arithmetic::kAuto);
  EXPECT_EQ(engine->name(), "onednn-fp32");
  const std::vector<uint8_t> pixels = RandomPixels(GetParam().spec, 3);
  EXPECT_LT(LargestDifference(Classify(*engine, pixels, 3), Reference(artifact, pixels, 3)), 1e-5);
}

TEST_P(EngineTest, Bf16IsNearTheReference) {
  const Artifact artifact = RandomArtifact(GetParam().spec, v1::WEIGHT_TYPE_FP16);
  EngineOptions options;
  options.arithmetic = Arithmetic::kBf16;
  auto engine = CreateEngine(artifact, options);
  if (!HasBfloat16()) {
    EXPECT_TRUE(absl::IsFailedPrecondition(engine.status())) << engine.status();
    GTEST_SKIP() << "this CPU has no instructions for BF16";
  }
  ASSERT_TRUE(engine.ok()) << engine.status();
  EXPECT_EQ((*engine)->name(), "onednn-bf16");
  options = EngineOptions();
  options.prefer_bf16 = true;
  EXPECT_EQ(CreateEngine(artifact, options).value()->name(), "onednn-bf16");
  constexpr int kImages = 33, kCompared = 3;
  const std::vector<uint8_t> pixels = RandomPixels(GetParam().spec, kImages);
  std::vector<float> alone = ClassifyAlone(**engine, pixels, kImages);
  EXPECT_LT(LargestDifference(Classify(**engine, pixels, kImages), alone), 0.02);
  alone.resize(kCompared * (*engine)->classes());
  EXPECT_LT(LargestDifference(alone, Reference(artifact, pixels, kCompared)), 0.05);
}

TEST_P(EngineTest, Int8IsNearTheReference) {
  const Artifact artifact = RandomArtifact(GetParam().spec, v1::WEIGHT_TYPE_INT8);
  const auto engine = Create(artifact, Arithmetic::kAuto);
  EXPECT_THAT(engine->name(),
              AnyOf(StartsWith("onednn-int8"), StartsWith("mixed-int8"), StartsWith("block-int8")));
  const std::vector<uint8_t> pixels = RandomPixels(GetParam().spec, 3);
  EXPECT_LT(LargestDifference(Classify(*engine, pixels, 3), Reference(artifact, pixels, 3)), 0.08);
}

TEST_P(EngineTest, Int8IsTheSameAloneAndInAnyBatch) {
  const Artifact artifact = RandomArtifact(GetParam().spec, v1::WEIGHT_TYPE_INT8);
  const auto engine = Create(artifact, Arithmetic::kInt8);
  constexpr int kImages = 70;  // more than one plan's
  const std::vector<uint8_t> pixels = RandomPixels(GetParam().spec, kImages);
  const std::vector<float> alone = ClassifyAlone(*engine, pixels, kImages);
  for (int count : {2, 3, 5, 8, 13, 33, 70}) {
    const std::vector<float> together =
        Classify(*engine, absl::MakeSpan(pixels).subspan(0, count * engine->image_bytes()), count);
    EXPECT_TRUE(std::equal(together.begin(), together.end(), alone.begin())) << count;
  }
}

TEST_P(EngineTest, Fp32IsTheSameAloneAndInAnyBatch) {
  const Artifact artifact = RandomArtifact(GetParam().spec, v1::WEIGHT_TYPE_INT8);
  const auto engine = Create(artifact, Arithmetic::kFp32);
  constexpr int kImages = 33;
  const std::vector<uint8_t> pixels = RandomPixels(GetParam().spec, kImages);
  std::vector<float> alone = ClassifyAlone(*engine, pixels, kImages);
  EXPECT_LT(LargestDifference(Classify(*engine, pixels, kImages), alone), 1e-6);
  alone.resize(8 * engine->classes());
  EXPECT_LT(LargestDifference(
                Classify(*engine, absl::MakeSpan(pixels).subspan(0, 8 * engine->image_bytes()), 8),
                alone),
            1e-6);
}

INSTANTIATE_TEST_SUITE_P(
    Networks, EngineTest,
    testing::Values(Case{"Resnet18Imagenet", Spec("resnet18", Stem::kImagenet, 28)},
                    Case{"Resnet18Cifar", Spec("resnet18", Stem::kCifar, 9)},
                    Case{"Resnet18Stride2Gray", Spec("resnet18", Stem::kStride2, 20, 1)},
                    Case{"Resnet20Cifar", Spec("resnet20", Stem::kCifar, 28)},
                    Case{"Resnet50Stride2", Spec("resnet50", Stem::kStride2, 28)}),
    [](const auto& info) { return info.param.name; });

class SmallEngineTest : public testing::Test {
 protected:
  const NetworkSpec spec_ = Spec("resnet18", Stem::kStride2, 16);
};

// On threads of their own, at the same time.
void ExpectSameSideBySide(Engine& first, Engine& second, const NetworkSpec& spec) {
  constexpr int kImages = 33, kRounds = 20;
  const std::vector<uint8_t> pixels = RandomPixels(spec, kImages, 1);
  const std::vector<uint8_t> other_pixels = RandomPixels(spec, kImages, 2);
  const std::vector<float> expected = Classify(first, pixels, kImages);
  const std::vector<float> other_expected = Classify(first, other_pixels, kImages);
  ASSERT_NE(expected, other_expected);
  const auto repeat = [&](Engine& engine, const std::vector<uint8_t>& images,
                          const std::vector<float>& wanted) {
    for (int i = 0; i < kRounds; ++i) EXPECT_EQ(Classify(engine, images, kImages), wanted);
  };
  std::thread thread([&] { repeat(second, other_pixels, other_expected); });
  repeat(first, pixels, expected);
  thread.join();
}

TEST_F(SmallEngineTest, AnotherComputesBesideTheFirst) {
  for (const Arithmetic arithmetic : {Arithmetic::kInt8, Arithmetic::kFp32}) {
    auto first = Create(RandomArtifact(spec_, v1::WEIGHT_TYPE_INT8), arithmetic);
    auto second = first->Clone().value();
    EXPECT_EQ(second->name(), first->name());
    ExpectSameSideBySide(*first, *second, spec_);
    first.reset();
    auto third = second->Clone().value();
    second.reset();
    const std::vector<uint8_t> pixels = RandomPixels(spec_, 2);
    const auto fresh = Create(RandomArtifact(spec_, v1::WEIGHT_TYPE_INT8), arithmetic);
    EXPECT_EQ(Classify(*third, pixels, 2), Classify(*fresh, pixels, 2));
  }
}

// Bytes that malloc has given out.
int64_t AllocatedBytes() {
  const auto info = mallinfo2();
  return static_cast<int64_t>(info.uordblks + info.hblkhd);
}

TEST(EngineMemoryTest, EnginesShareTheWeights) {
  const NetworkSpec spec = Spec("resnet50", Stem::kStride2, 28);
  const std::vector<uint8_t> pixels = RandomPixels(spec, 32);
  const Artifact artifact = RandomArtifact(spec, v1::WEIGHT_TYPE_INT8, 1, {0.8f, true});
  const int64_t before = AllocatedBytes();
  const auto first = Create(artifact, Arithmetic::kInt8);
  const std::vector<float> expected = Classify(*first, pixels, 32);
  const int64_t with_first = AllocatedBytes();
  if (with_first == before) GTEST_SKIP() << "not glibc's malloc";
  const auto second = first->Clone().value();
  EXPECT_EQ(Classify(*second, pixels, 32), expected);
  EXPECT_LT(AllocatedBytes() - with_first, (with_first - before) / 4);
}

TEST(EngineMemoryTest, FloatWeightsAreKeptOnce) {
  // Large enough for no tap to meet padding alone.
  const Artifact artifact =
      RandomArtifact(Spec("resnet18", Stem::kStride2, 64), v1::WEIGHT_TYPE_FP32);
  int64_t weight_bytes = 0;
  for (const auto& [name, tensor] : artifact.tensors) {
    weight_bytes += static_cast<int64_t>(tensor.floats.size() * sizeof(float));
  }
  const int64_t before = AllocatedBytes();
  const auto engine = Create(artifact, Arithmetic::kFp32);
  const int64_t taken = AllocatedBytes() - before;
  if (taken == 0) GTEST_SKIP() << "not glibc's malloc";
  EXPECT_LT(taken, weight_bytes * 3 / 2);
}

TEST(EngineMemoryTest, NothingIsLeftOfAnEngine) {
  const NetworkSpec spec = Spec("resnet18", Stem::kStride2, 16);
  const std::vector<uint8_t> pixels = RandomPixels(spec, 33);
  const Artifact artifact = RandomArtifact(spec, v1::WEIGHT_TYPE_INT8, 1, {0.8f, true});
  for (const Arithmetic arithmetic : {Arithmetic::kInt8, Arithmetic::kFp32}) {
    int64_t taken = 0;
    const auto make_and_destroy = [&] {
      const int64_t before = AllocatedBytes();
      const auto first = Create(artifact, arithmetic);
      const auto second = first->Clone().value();
      for (Engine* const engine : {first.get(), second.get()}) Classify(*engine, pixels, 33);
      taken = AllocatedBytes() - before;
    };
    make_and_destroy();  // leaves what oneDNN keeps for others like it
    const int64_t left = AllocatedBytes();
    make_and_destroy();
    if (taken == 0) GTEST_SKIP() << "not glibc's malloc";
    EXPECT_LT(AllocatedBytes() - left, taken / 10);
  }
}

// Computes nothing.
class IdleEngine : public BatchEngine {
 public:
  using BatchEngine::BatchEngine;
  absl::StatusOr<std::unique_ptr<Engine>> Clone() override {
    return absl::UnimplementedError("there is one");
  }
  std::string name() const override { return "idle"; }

 private:
  void ClassifyBatch(const uint8_t*, int, int, float*) override {}
};

TEST(BatchLimitsTest, LargeImagesAreComputedInSmallerBatches) {
  auto model = std::make_shared<DenseModel>();
  model->network = BuildNetwork(Spec("resnet18", Stem::kImagenet, 64)).value();
  model->grids.resize(model->network.layers.size());
  // The first convolution's map has 64 x 32 x 32 values of 4 bytes, a quarter of a MiB.
  const auto largest = [&](const BatchLimits& limits) {
    return IdleEngine(model, /*threads=*/1, limits).preferred_batch();
  };
  EXPECT_EQ(largest({}), 32);
  EXPECT_EQ(largest({128, int64_t{32} << 20}), 128);
  EXPECT_EQ(largest({128, int64_t{16} << 20}), 64);
  EXPECT_EQ(largest({128, 1}), 1);
}

TEST_F(SmallEngineTest, Describes) {
  const auto engine = Create(RandomArtifact(spec_, v1::WEIGHT_TYPE_INT4), Arithmetic::kAuto);
  EXPECT_THAT(engine->name(),
              AnyOf(StartsWith("onednn-int8"), StartsWith("mixed-int8"), StartsWith("block-int8")));
  EXPECT_EQ(engine->classes(), 8);
  EXPECT_EQ(engine->image_bytes(), 16 * 16 * 3);
  EXPECT_EQ(engine->preferred_batch(), 32);
}

TEST_F(SmallEngineTest, ProbabilitiesSumToOne) {
  const auto engine = Create(RandomArtifact(spec_, v1::WEIGHT_TYPE_INT4), Arithmetic::kAuto);
  const std::vector<float> probabilities = Classify(*engine, RandomPixels(spec_, 4), 4);
  for (int i = 0; i < 4; ++i) {
    float sum = 0;
    for (int c = 0; c < 8; ++c) sum += probabilities[i * 8 + c];
    EXPECT_NEAR(sum, 1, 1e-6);
  }
}

TEST_F(SmallEngineTest, NormalizesEachChannelByItself) {
  Artifact artifact = RandomArtifact(spec_, v1::WEIGHT_TYPE_FP32);
  artifact.preprocessing.mean = {0.1f, 0.5f, 0.7f};
  artifact.preprocessing.stddev = {0.2f, 0.6f, 1.5f};
  const std::vector<uint8_t> pixels = RandomPixels(spec_, 2);
  const auto engine = Create(artifact, Arithmetic::kFp32);
  EXPECT_LT(LargestDifference(Classify(*engine, pixels, 2), Reference(artifact, pixels, 2)), 1e-5);
}

TEST_F(SmallEngineTest, ThreadsDoNotChangeInt8) {
  const Artifact artifact = RandomArtifact(spec_, v1::WEIGHT_TYPE_INT8);
  const auto one = Create(artifact, Arithmetic::kInt8, 1);
  const auto two = Create(artifact, Arithmetic::kInt8, 2);
  const std::vector<uint8_t> pixels = RandomPixels(spec_, 9);
  EXPECT_EQ(Classify(*one, pixels, 9), Classify(*two, pixels, 9));
}

// Of [out, in, 3, 3], the weights that read input channels from `first` on.
template <typename T>
void IgnoreInputs(int first, const StoredTensor& tensor, std::vector<T>* values) {
  const int64_t channels = tensor.shape[1], taps = tensor.shape[2] * tensor.shape[3];
  for (size_t i = 0; i < values->size(); ++i) {
    if (static_cast<int64_t>(i) / taps % channels >= first) (*values)[i] = 0;
  }
}

TEST_F(SmallEngineTest, ChannelsThatNobodyReadsAreNotComputed) {
  Artifact artifact = RandomArtifact(spec_, v1::WEIGHT_TYPE_FP32);
  StoredTensor& reader = artifact.tensors.at("layer3.0.conv2.weight");
  IgnoreInputs(20, reader, &reader.floats);
  const DenseModel model = BuildDenseModel(artifact, DenseArithmetic::kFp32).value();
  for (const Layer& layer : model.network.layers) {
    if (layer.name == "layer3.0.conv1") {
      EXPECT_EQ(layer.out_channels, 32);
    }
    if (layer.name == "layer3.0.conv2") {
      EXPECT_EQ(layer.in_channels, 32);
    }
    if (layer.name == "layer3.1.conv1") {
      EXPECT_EQ(layer.out_channels, 256);
    }
  }
  const std::vector<uint8_t> pixels = RandomPixels(spec_, 3);
  const auto engine = Create(artifact, Arithmetic::kFp32);
  EXPECT_LT(LargestDifference(Classify(*engine, pixels, 3), Reference(artifact, pixels, 3)), 1e-5);
}

// The residual has all channels, whichever the next stage reads.
TEST_F(SmallEngineTest, AStagesLastMapKeepsChannelsThatNobodyReads) {
  Artifact artifact = RandomArtifact(spec_, v1::WEIGHT_TYPE_FP32);
  for (const char* name : {"layer2.0.conv1.weight", "layer2.0.downsample.0.weight"}) {
    StoredTensor& reader = artifact.tensors.at(name);
    IgnoreInputs(20, reader, &reader.floats);
  }
  const std::vector<uint8_t> pixels = RandomPixels(spec_, 3);
  const auto engine = Create(artifact, Arithmetic::kFp32);
  EXPECT_LT(LargestDifference(Classify(*engine, pixels, 3), Reference(artifact, pixels, 3)), 1e-5);
}

TEST_F(SmallEngineTest, WhatNobodyReadsMakesNoDifferenceInIntegers) {
  const std::vector<uint8_t> pixels = RandomPixels(spec_, 33);
  for (const bool blocks : {false, true}) {
    const RandomPruning pruning = {blocks ? 0.8f : 0.0f, blocks};  // for either engine
    Artifact artifact = RandomArtifact(spec_, v1::WEIGHT_TYPE_INT8, 1, pruning);
    StoredTensor& some = artifact.tensors.at("layer3.1.conv2.weight");
    IgnoreInputs(7, some, &some.integers);
    StoredTensor& all = artifact.tensors.at("layer4.1.conv2.weight");
    std::fill(all.integers.begin(), all.integers.end(), int8_t{0});
    const auto engine = Create(artifact, Arithmetic::kInt8);
    const std::vector<float> expected = Classify(*engine, pixels, 33);
    const std::vector<float> alone = ClassifyAlone(*engine, pixels, 33);
    EXPECT_EQ(alone, expected);
    // The rows of the unread channels, and a convolution that nothing reads at all.
    StoredTensor& rows = artifact.tensors.at("layer3.1.conv1.weight");
    std::fill(rows.integers.begin() + 16 * rows.integers.size() / rows.shape[0],
              rows.integers.end(), int8_t{1});
    StoredTensor& whole = artifact.tensors.at("layer4.1.conv1.weight");
    std::fill(whole.integers.begin(), whole.integers.end(), int8_t{1});
    EXPECT_EQ(Classify(*Create(artifact, Arithmetic::kInt8), pixels, 33), expected);
  }
}

TEST_F(SmallEngineTest, RefusesWrongSizes) {
  const auto engine = Create(RandomArtifact(spec_, v1::WEIGHT_TYPE_FP32), Arithmetic::kAuto);
  const std::vector<uint8_t> pixels = RandomPixels(spec_, 2);
  std::vector<float> probabilities(16);
  const auto status = [&](int count, size_t bytes, size_t values) {
    return engine->Classify(absl::MakeSpan(pixels).subspan(0, bytes), count,
                            absl::MakeSpan(probabilities).subspan(0, values));
  };
  EXPECT_TRUE(status(2, pixels.size(), 16).ok());
  for (const absl::Status& refused :
       {status(0, 0, 0), status(-1, 0, 0), status(1, pixels.size(), 8),
        status(2, pixels.size() - 1, 16), status(2, pixels.size(), 15)}) {
    EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument) << refused;
  }
  EXPECT_THAT(std::string(status(1, 5, 8).message()), HasSubstr("768 bytes an image"));
}

TEST_F(SmallEngineTest, RefusesArtifactsThatLackSomething) {
  const Artifact good = RandomArtifact(spec_, v1::WEIGHT_TYPE_INT8);
  const auto status = [&](absl::FunctionRef<void(Artifact&)> spoil,
                          Arithmetic arithmetic = Arithmetic::kAuto) {
    Artifact artifact = good;
    spoil(artifact);
    EngineOptions options;
    options.arithmetic = arithmetic;
    return CreateEngine(artifact, options).status();
  };
  EXPECT_TRUE(status([](Artifact&) {}).ok());
  const absl::Status no_range =
      status([](Artifact& a) { a.activation_ranges.erase("layer2.0.conv1"); });
  EXPECT_EQ(no_range.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(no_range.message()), HasSubstr("layer2.0.conv1"));
  EXPECT_TRUE(status([](Artifact& a) { a.activation_ranges.clear(); }, Arithmetic::kFp32).ok());
  for (float range : {0.0f, -1.0f, std::numeric_limits<float>::quiet_NaN(),
                      std::numeric_limits<float>::infinity()}) {
    EXPECT_EQ(status([&](Artifact& a) { a.activation_ranges["conv1"] = range; }).code(),
              absl::StatusCode::kInvalidArgument)
        << range;
  }
  const absl::Status no_weight = status([](Artifact& a) { a.tensors.erase("conv1.weight"); });
  EXPECT_EQ(no_weight.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(no_weight.message()), HasSubstr("conv1.weight"));
  EXPECT_EQ(status([](Artifact& a) { a.tensors["fc.weight"].integers.pop_back(); }).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status([](Artifact& a) { a.tensors["fc.weight"].scales.pop_back(); }).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status([](Artifact& a) { a.preprocessing.width = 17; }).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status([](Artifact& a) {
              a.preprocessing.stddev = {1, 0, 1};
            }).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status([](Artifact& a) { a.preprocessing.mean = {1}; }).code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(SmallEngineTest, FloatWeightsDoNotRunInInt8) {
  Artifact artifact = RandomArtifact(spec_, v1::WEIGHT_TYPE_FP32);
  artifact.activation_ranges = RandomArtifact(spec_, v1::WEIGHT_TYPE_INT8).activation_ranges;
  EngineOptions options;
  options.arithmetic = Arithmetic::kInt8;
  EXPECT_EQ(CreateEngine(artifact, options).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(SmallEngineTest, RefusesNoThreads) {
  EngineOptions options;
  options.threads = 0;
  EXPECT_EQ(CreateEngine(RandomArtifact(spec_, v1::WEIGHT_TYPE_INT8), options).status().code(),
            absl::StatusCode::kInvalidArgument);
}

// A channel that its batch norm silences has a scale of zero.
TEST_F(SmallEngineTest, SilencedChannel) {
  Artifact artifact = RandomArtifact(spec_, v1::WEIGHT_TYPE_INT8);
  StoredTensor& weight = artifact.tensors.at("layer1.0.conv1.weight");
  weight.scales[3] = 0;
  const std::vector<uint8_t> pixels = RandomPixels(spec_, 2);
  const auto engine = Create(artifact, Arithmetic::kInt8);
  EXPECT_LT(LargestDifference(Classify(*engine, pixels, 2), Reference(artifact, pixels, 2)), 0.05);
}

TEST(NextBatchTest, FewPlansAndLittleWaste) {
  EXPECT_EQ(NextBatch(1, 32), 1);
  EXPECT_EQ(NextBatch(2, 32), 2);
  EXPECT_EQ(NextBatch(3, 32), 4);
  EXPECT_EQ(NextBatch(5, 32), 4);
  EXPECT_EQ(NextBatch(6, 32), 8);
  EXPECT_EQ(NextBatch(23, 32), 16);
  EXPECT_EQ(NextBatch(24, 32), 32);
  EXPECT_EQ(NextBatch(33, 32), 32);
  EXPECT_EQ(NextBatch(1000, 32), 32);
  EXPECT_EQ(NextBatch(7, 1), 1);
}

}  // namespace
}  // namespace cytopress
