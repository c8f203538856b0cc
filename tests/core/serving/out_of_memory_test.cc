// What lacks memory is refused for now, and is not the fault of who sends it.
#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/string_view.h"
#include "core/base/clock.h"
#include "core/serving/classify_pipeline.h"
#include "core/serving/error_details.h"
#include "core/serving/model_loader.h"
#include "tests/core/serving/classify_pipeline_fixture.h"
#include "tests/core/serving/fakes.h"

namespace cytopress {
namespace {

// A PNG of 2^30 x 60000 pixels, which no address space has room for.
constexpr char kEndless[] =
    "89504e470d0a1a0a0000000d49484452400000000000ea600802000000a6408ced0000000b49444154789c63"
    "6080000000080001b75873950000000049454e44ae426082";

// More bytes than there are addresses for.
constexpr int64_t kTooManyBytes = int64_t{1} << 60;

class OutOfMemoryTest : public ClassifyPipelineTest {
 protected:
  void SetUp() override {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "they end the process instead";
#endif
    options_.decode.max_pixels = std::numeric_limits<int64_t>::max();
    options_.admission.max_bytes = std::numeric_limits<int64_t>::max();
  }

  void ExpectOutOfMemory(const InputImage& image) {
    for (int i = 1; i <= 2; ++i) {  // the model is loaded, and in memory
      const auto answer = Send({image});
      const absl::Status status = answer->Get().status();
      EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
      EXPECT_EQ(ErrorInfoOf(status).reason(), "OUT_OF_MEMORY");
      EXPECT_TRUE(RetryDelayOf(status).has_value());
      EXPECT_EQ(observer_.refused(), i);
    }
  }
};

TEST_F(OutOfMemoryTest, IsNotTheFaultOfWhoSendsALargeFile) {
  const std::string png = absl::HexStringToBytes(kEndless);
  InputImage endless;
  endless.bytes = png;
  ExpectOutOfMemory(endless);
}

TEST_F(OutOfMemoryTest, IsNotTheFaultOfWhoSendsManyRawPixels) {
  InputImage endless = Raw(one_);
  endless.bytes = absl::string_view(one_.data(), kTooManyBytes);  // nothing reads them
  endless.width = 1 << 30;
  endless.height = 1 << 30;
  ExpectOutOfMemory(endless);
}

// Its images are so large that there is no room for one.
class EndlessEngine : public PuppetEngine {
 public:
  using PuppetEngine::PuppetEngine;
  int64_t image_bytes() const override { return kTooManyBytes; }
};

class EndlessModelLoader : public FakeModelLoader {
 public:
  explicit EndlessModelLoader(Puppet* puppet) : FakeModelLoader(puppet), puppet_(puppet) {}
  absl::StatusOr<LoadedModel> Load(const ModelVersion& version) override {
    absl::StatusOr<LoadedModel> model = FakeModelLoader::Load(version);
    model->engines[0] = std::make_unique<EndlessEngine>(puppet_, kFakeBatch);
    return model;
  }

 private:
  Puppet* const puppet_;
};

TEST_F(OutOfMemoryTest, IsNotTheFaultOfWhoUsesALargeNetwork) {
  EndlessModelLoader loader(&puppet_);
  pipeline_ = std::make_unique<ClassifyPipeline>(options_, &loader, &observer_, RealClock());
  ExpectOutOfMemory(Raw(one_));
  pipeline_.reset();
}

TEST_F(OutOfMemoryTest, IsNotTheFaultOfWhoUsesAModelThatFindsNone) {
  loader_.Fail(absl::ResourceExhaustedError("no memory to load m@1"));
  ExpectOutOfMemory(Raw(one_));
}

TEST_F(OutOfMemoryTest, IsNotTheFaultOfWhoseBatchFindsNone) {
  puppet_.FailNext(absl::ResourceExhaustedError("no memory for the network's activations"));
  const auto answer = Send({Raw(one_)});
  EXPECT_EQ(ErrorInfoOf(answer->Get().status()).reason(), "OUT_OF_MEMORY");
  EXPECT_TRUE(RetryDelayOf(answer->Get().status()).has_value());
}

}  // namespace
}  // namespace cytopress
