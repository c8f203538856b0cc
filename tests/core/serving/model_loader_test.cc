#include "core/serving/model_loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <new>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "core/serving/error_details.h"
#include "tests/core/engine/random_artifact.h"
#include "tests/core/serving/fakes.h"
#include "tests/fake_clock.h"
#include "tests/temporary_folder.h"

namespace cytopress {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

NetworkSpec SmallNetwork() {
  NetworkSpec spec;
  spec.architecture = "resnet18";
  spec.stem = Stem::kStride2;
  spec.classes = 3;
  spec.input_height = spec.input_width = 8;
  return spec;
}

class RegistryModelLoaderTest : public testing::Test {
 protected:
  void SetUp() override {
    absl::StatusOr<ModelRegistry> registry = ModelRegistry::Open(root_);
    ASSERT_TRUE(registry.ok()) << registry.status();
    registry_.emplace(*std::move(registry));
  }

  void Publish(const std::string& name) {
    static const auto* const bytes = new absl::StatusOr<std::string>(
        SerializeArtifact(RandomArtifact(SmallNetwork(), v1::WEIGHT_TYPE_INT4)));
    ASSERT_TRUE(bytes->ok()) << bytes->status();
    const absl::StatusOr<ModelVersion> version = registry_->Publish(name, **bytes, "");
    ASSERT_TRUE(version.ok()) << version.status();
  }
  RegistryModelLoader Make(const std::string& default_model = "", int engines = 1) {
    RegistryModelLoaderOptions options;
    options.default_model = default_model;
    options.engines = engines;
    return RegistryModelLoader(options, &*registry_);
  }

  const TemporaryFolder temporary_;
  const std::string root_ = temporary_.PathOf("models");
  std::optional<ModelRegistry> registry_;
};

TEST_F(RegistryModelLoaderTest, ResolvesTheNewest) {
  Publish("cells");
  Publish("cells");
  RegistryModelLoader loader = Make();
  EXPECT_EQ(*loader.Resolve({"cells", 0}), (ModelVersion{"cells", 2}));
  EXPECT_EQ(*loader.Resolve({"cells", 1}), (ModelVersion{"cells", 1}));
  const absl::Status missing = loader.Resolve({"cells", 3}).status();
  EXPECT_EQ(missing.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ErrorInfoOf(missing).reason(), "MODEL_NOT_FOUND");
}

TEST_F(RegistryModelLoaderTest, TellsOfChanges) {
  RegistryModelLoader loader = Make();
  const int64_t before = loader.changes();
  Publish("cells");
  EXPECT_GT(loader.changes(), before);
}

TEST_F(RegistryModelLoaderTest, TheOnlyModelIsTheDefault) {
  RegistryModelLoader loader = Make();
  EXPECT_EQ(loader.Resolve({}).status().code(), absl::StatusCode::kNotFound);
  Publish("cells");
  EXPECT_EQ(*loader.Resolve({}), (ModelVersion{"cells", 1}));
  Publish("others");
  const absl::Status ambiguous = loader.Resolve({}).status();
  EXPECT_EQ(ambiguous.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ErrorInfoOf(ambiguous).reason(), "INVALID_FIELD");
  EXPECT_THAT(std::string(ambiguous.message()), HasSubstr("cells, others"));
  RegistryModelLoader chosen = Make("others");
  EXPECT_EQ(*chosen.Resolve({}), (ModelVersion{"others", 1}));
}

TEST_F(RegistryModelLoaderTest, ADefaultModelThatIsNotThereIsSaidToBeTheServers) {
  Publish("cells");
  RegistryModelLoader loader = Make("gone");
  const absl::Status missing = loader.Resolve({}).status();
  EXPECT_EQ(missing.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ErrorInfoOf(missing).reason(), "MODEL_NOT_FOUND");
  EXPECT_THAT(std::string(missing.message()),
              HasSubstr("the server's default model 'gone' is not there; name another"));
  EXPECT_THAT(std::string(missing.message()), HasSubstr("there are: cells"));
  EXPECT_THAT(std::string(loader.Resolve({"gone", 0}).status().message()),
              Not(HasSubstr("default")));
}

TEST_F(RegistryModelLoaderTest, WithoutItsFolderTheDefaultModelIsUnknown) {
  Publish("cells");
  ASSERT_TRUE(registry_->MakeIdentity().ok());
  std::filesystem::rename(root_, temporary_.PathOf("elsewhere"));
  std::filesystem::create_directory(root_);  // the mount point
  for (const char* default_model : {"", "cells"}) {
    RegistryModelLoader loader = Make(default_model);
    const absl::Status unknown = loader.Resolve({}).status();
    EXPECT_EQ(unknown.code(), absl::StatusCode::kUnavailable) << unknown;
    EXPECT_THAT(std::string(unknown.message()), HasSubstr("mount it again"));
  }
}

// It is looked for in every request that names none.
TEST_F(RegistryModelLoaderTest, TheOnlyModelIsFoundWithoutReadingItsFile) {
  Publish("cells");
  std::ofstream(*registry_->PathOf({"cells", 1})) << "junk";
  RegistryModelLoader loader = Make();
  EXPECT_EQ(*loader.Resolve({}), (ModelVersion{"cells", 1}));
}

TEST_F(RegistryModelLoaderTest, LoadsEnginesThatComputeTheSame) {
  Publish("cells");
  RegistryModelLoader loader = Make("", 2);
  const absl::StatusOr<LoadedModel> model = loader.Load({"cells", 1});
  ASSERT_TRUE(model.ok()) << model.status();
  ASSERT_EQ(model->engines.size(), 2u);
  EXPECT_EQ(model->class_names.size(), 3u);
  EXPECT_EQ(model->preprocessing.width, 8);
  const std::vector<uint8_t> pixels = RandomPixels(SmallNetwork(), 1);
  std::vector<float> first(3), second(3);
  ASSERT_TRUE(model->engines[0]->Classify(pixels, 1, absl::MakeSpan(first)).ok());
  ASSERT_TRUE(model->engines[1]->Classify(pixels, 1, absl::MakeSpan(second)).ok());
  EXPECT_EQ(first, second);
  EXPECT_NEAR(first[0] + first[1] + first[2], 1, 1e-5);
}

TEST_F(RegistryModelLoaderTest, EveryBatchSizeHasBeenComputed) {
  Publish("cells");
  Puppet puppet;
  RegistryModelLoaderOptions options;
  options.engines = 2;
  options.make_engine = [&](const Artifact&, const EngineOptions&) {
    return std::make_unique<PuppetEngine>(&puppet, 8);
  };
  RegistryModelLoader loader(options, &*registry_);
  ASSERT_TRUE(loader.Load({"cells", 1}).ok());
  // Of the first engine, of the second, and once more for the time of one.
  EXPECT_THAT(puppet.batches(), ElementsAre(8, 4, 2, 1, 8, 1, 1));
}

// Every batch takes 40 ms, of however many images.
class SteadyEngine : public PuppetEngine {
 public:
  SteadyEngine(Puppet* puppet, int preferred_batch, FakeClock* clock)
      : PuppetEngine(puppet, preferred_batch), clock_(clock) {}
  absl::Status Classify(absl::Span<const uint8_t> pixels, int count,
                        absl::Span<float> probabilities) override {
    clock_->Advance(absl::Milliseconds(40));
    return PuppetEngine::Classify(pixels, count, probabilities);
  }

 private:
  FakeClock* const clock_;
};

TEST_F(RegistryModelLoaderTest, MeasuresAnImageAloneAndInABatch) {
  Publish("cells");
  Puppet puppet;
  FakeClock clock;
  RegistryModelLoaderOptions options;
  options.clock = &clock;
  options.make_engine = [&](const Artifact&, const EngineOptions&) {
    return std::make_unique<SteadyEngine>(&puppet, 8, &clock);
  };
  RegistryModelLoader loader(options, &*registry_);
  const absl::StatusOr<LoadedModel> model = loader.Load({"cells", 1});
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_DOUBLE_EQ(model->times.in_full_batch, 0.040 / 4);
  EXPECT_DOUBLE_EQ(model->times.alone, 0.040);
}

TEST_F(RegistryModelLoaderTest, ADamagedFileIsAnError) {
  Publish("cells");
  const absl::StatusOr<std::string> path = registry_->PathOf({"cells", 1});
  ASSERT_TRUE(path.ok());
  {
    std::fstream file(*path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(-100, std::ios::end);
    file.write("damaged!", 8);
  }
  RegistryModelLoader loader = Make();
  EXPECT_EQ(loader.Load({"cells", 1}).status().code(), absl::StatusCode::kDataLoss);
}

// UNIMPLEMENTED would be a call that the server does not have.
TEST_F(RegistryModelLoaderTest, AFileOfANewerReleaseIsAFailedPrecondition) {
  Publish("cells");
  {
    std::fstream file(*registry_->PathOf({"cells", 1}),
                      std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(8);  // docs/artifact-format.md
    file.write("\x02", 1);
  }
  RegistryModelLoader loader = Make();
  const absl::Status status = loader.Load({"cells", 1}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("newer"));
}

TEST_F(RegistryModelLoaderTest, AFileThatIsLargerThanIsEverReadIsAFailedPrecondition) {
  Publish("cells");
  std::filesystem::resize_file(*registry_->PathOf({"cells", 1}), kMaxArtifactFileBytes + 1);
  RegistryModelLoader loader = Make();
  const absl::Status status = loader.Load({"cells", 1}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("1073741825 bytes"));
}

// Unlike that, it may pass.
TEST_F(RegistryModelLoaderTest, ALackOfFileDescriptorsIsOneOfResources) {
  Publish("cells");
  RegistryModelLoader loader = Make();
  rlimit before = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit none = before;
  none.rlim_cur = 0;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  const absl::Status status = loader.Load({"cells", 1}).status();
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
}

TEST_F(RegistryModelLoaderTest, ALackOfMemoryIsAnError) {
  Publish("cells");
  RegistryModelLoaderOptions options;
  options.make_engine = [](const Artifact&,
                           const EngineOptions&) -> absl::StatusOr<std::unique_ptr<Engine>> {
    throw std::bad_alloc();
  };
  RegistryModelLoader loader(options, &*registry_);
  const absl::Status status = loader.Load({"cells", 1}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("cells@1"));
}

}  // namespace
}  // namespace cytopress
