#include "core/gpu/cuda_engine.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
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

TEST_F(CudaEngineTest, AGpuThatIsNotThereIsAnError) {
  NetworkSpec spec;
  spec.classes = 2;
  EXPECT_EQ(CreateCudaEngine(RandomArtifact(spec, v1::WEIGHT_TYPE_FP16), 99).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace cytopress
