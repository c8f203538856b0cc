#include "core/gpu/cuda_engine.h"

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <cstdint>
#include <thread>
#include <vector>

#include "tests/core/engine/random_artifact.h"

namespace cytopress {
namespace {

class CudaEngineTest : public testing::Test {
 protected:
  void SetUp() override {
    if (torch::cuda::device_count() == 0) GTEST_SKIP() << "this machine has no GPU";
  }
};

TEST_F(CudaEngineTest, IsNearTheReferenceInEveryBatch) {
  NetworkSpec spec;
  spec.stem = Stem::kStride2;
  spec.classes = 8;
  const Artifact artifact = RandomArtifact(spec, v1::WEIGHT_TYPE_INT8);
  constexpr int kImages = 203;  // of batches of 128, 64, 8, 2 and 1
  const std::vector<uint8_t> pixels = RandomPixels(spec, kImages);
  std::vector<float> expected(kImages * spec.classes), got(expected.size());
  EngineOptions options;
  options.arithmetic = Arithmetic::kFp32;
  ASSERT_TRUE(CreateEngine(artifact, options)
                  .value()
                  ->Classify(pixels, kImages, absl::MakeSpan(expected))
                  .ok());
  const auto engine = CreateCudaEngine(artifact, 0);
  ASSERT_TRUE(engine.ok()) << engine.status();
  for (int pass = 0; pass < 2; ++pass) {  // records, then replays
    const absl::Status status = (*engine)->Classify(pixels, kImages, absl::MakeSpan(got));
    ASSERT_TRUE(status.ok()) << status;
    for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], expected[i], 0.01) << i;
  }
}

TEST_F(CudaEngineTest, AnotherComputesBesideTheFirstAndOutlivesIt) {
  NetworkSpec spec;
  spec.stem = Stem::kStride2;
  spec.classes = 8;
  constexpr int kImages = 33, kRounds = 20;
  const std::vector<uint8_t> pixels = RandomPixels(spec, kImages);
  auto first = CreateCudaEngine(RandomArtifact(spec, v1::WEIGHT_TYPE_INT8), 0);
  ASSERT_TRUE(first.ok()) << first.status();
  auto second = (*first)->Clone();
  ASSERT_TRUE(second.ok()) << second.status();
  std::vector<float> expected(kImages * spec.classes);
  ASSERT_TRUE((*first)->Classify(pixels, kImages, absl::MakeSpan(expected)).ok());
  const auto repeat = [&](Engine& engine) {
    std::vector<float> got(expected.size());
    for (int i = 0; i < kRounds; ++i) {
      EXPECT_TRUE(engine.Classify(pixels, kImages, absl::MakeSpan(got)).ok());
      for (size_t j = 0; j < got.size(); ++j) EXPECT_NEAR(got[j], expected[j], 0.01) << j;
    }
  };
  std::thread thread([&] { repeat(**second); });
  repeat(**first);
  thread.join();
  first->reset();
  repeat(**second);
}

// What no process has taken of the GPU.
int64_t FreeBytes() {
  size_t free = 0, total = 0;
  EXPECT_EQ(cudaMemGetInfo(&free, &total), cudaSuccess);
  return static_cast<int64_t>(free);
}

TEST_F(CudaEngineTest, TheDeviceGetsItsMemoryBack) {
  NetworkSpec spec;
  spec.classes = 8;
  auto engine = CreateCudaEngine(RandomArtifact(spec, v1::WEIGHT_TYPE_FP16), 0);
  ASSERT_TRUE(engine.ok()) << engine.status();
  const int64_t loaded = FreeBytes();
  engine->reset();
  EXPECT_GT(FreeBytes() - loaded, int64_t{24} << 20) << "the weights alone take 36 MB";
}

TEST_F(CudaEngineTest, LargeImagesAreComputedInLargeBatches) {
  NetworkSpec spec;
  spec.architecture = "resnet18";
  spec.classes = 2;
  spec.input_height = spec.input_width = 224;
  const auto engine = CreateCudaEngine(RandomArtifact(spec, v1::WEIGHT_TYPE_FP16), 0);
  ASSERT_TRUE(engine.ok()) << engine.status();
  EXPECT_EQ((*engine)->preferred_batch(), 128);
}

TEST_F(CudaEngineTest, AGpuThatIsNotThereIsAnError) {
  NetworkSpec spec;
  spec.classes = 2;
  EXPECT_EQ(CreateCudaEngine(RandomArtifact(spec, v1::WEIGHT_TYPE_FP16), 99).status().code(),
            absl::StatusCode::kUnavailable);
  EXPECT_EQ(CheckGpu(99).code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(CheckGpu(0), absl::OkStatus());
}

}  // namespace
}  // namespace cytopress
