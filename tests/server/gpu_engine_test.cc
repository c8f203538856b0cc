#include "server/gpu_engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "core/base/file.h"
#include "tests/core/engine/random_artifact.h"
#include "tests/temporary_folder.h"

namespace cytopress {
namespace {

using ::testing::HasSubstr;

Artifact SmallModel() {
  NetworkSpec spec;
  spec.architecture = "resnet18";
  spec.classes = 2;
  return RandomArtifact(spec, v1::WEIGHT_TYPE_FP16);
}

TEST(GpuEngineTest, TheModuleMakesEngines) {
  const absl::StatusOr<EngineFactory> factory = LoadGpuEngine(FAKE_GPU_MODULE, 0);
  ASSERT_TRUE(factory.ok()) << factory.status();
  const absl::StatusOr<std::unique_ptr<Engine>> engine = (*factory)(SmallModel(), {});
  ASSERT_TRUE(engine.ok()) << engine.status();
  EXPECT_EQ((*engine)->classes(), 2);
}

TEST(GpuEngineTest, ItsErrorsArrive) {
  const absl::StatusOr<EngineFactory> factory = LoadGpuEngine(FAKE_GPU_MODULE, 1);
  ASSERT_TRUE(factory.ok()) << factory.status();
  EXPECT_EQ((*factory)(SmallModel(), {}).status(),
            absl::ResourceExhaustedError("no memory of the GPU is free"));
}

TEST(GpuEngineTest, AGpuThatIsNotThereIsToldOfBeforeAnythingIsServed) {
  EXPECT_EQ(LoadGpuEngine(FAKE_GPU_MODULE, 4).status(),
            absl::UnavailableError("there are four GPUs"));
}

TEST(GpuEngineTest, ALostGpuIsToldOf) {
  int told = 0;
  const absl::StatusOr<EngineFactory> factory =
      LoadGpuEngine(FAKE_GPU_MODULE, 2, [&told] { ++told; });
  ASSERT_TRUE(factory.ok()) << factory.status();
  const absl::StatusOr<std::unique_ptr<Engine>> engine = (*factory)(SmallModel(), {});
  ASSERT_TRUE(engine.ok()) << engine.status();
  const absl::StatusOr<std::unique_ptr<Engine>> other = (*engine)->Clone();
  ASSERT_TRUE(other.ok()) << other.status();
  EXPECT_EQ(told, 0);
  const std::vector<uint8_t> pixels(1);
  std::vector<float> probabilities(2);
  int expected = 0;
  for (Engine* const lost : {engine->get(), other->get()}) {
    EXPECT_EQ(lost->Classify(pixels, 1, absl::MakeSpan(probabilities)).code(),
              absl::StatusCode::kUnavailable);
    EXPECT_EQ(told, ++expected);
  }
}

TEST(GpuEngineTest, AGpuThatIsLostBeforeIsToldOf) {
  int told = 0;
  const absl::StatusOr<EngineFactory> factory =
      LoadGpuEngine(FAKE_GPU_MODULE, 3, [&told] { ++told; });
  ASSERT_TRUE(factory.ok()) << factory.status();
  EXPECT_EQ((*factory)(SmallModel(), {}).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(told, 1);
}

TEST(GpuEngineTest, AModuleOfAnotherReleaseIsRefused) {
  const absl::Status old = LoadGpuEngine(OLD_GPU_MODULE, 0).status();
  EXPECT_EQ(old.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(old.message()),
              HasSubstr("is of another build (version 0.0.1) than this cytopressd"));
}

TEST(GpuEngineTest, WhatIsNoModuleIsNamedWithTheRemedy) {
  const absl::Status missing = LoadGpuEngine("/nowhere/module.so", 0).status();
  EXPECT_EQ(missing.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(missing.message()), HasSubstr("build it with a CUDA LibTorch"));
  const TemporaryFolder folder;
  const std::string path = folder.PathOf("broken.so");
  ASSERT_TRUE(WriteFileAtomically(path, "no library").ok());
  const absl::Status broken = LoadGpuEngine(path, 0).status();
  EXPECT_EQ(broken.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(broken.message()), HasSubstr(path));
}

}  // namespace
}  // namespace cytopress
