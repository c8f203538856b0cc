#include "core/safetensors/import.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "core/engine/engine.h"
#include "tests/core/engine/random_artifact.h"
#include "tests/core/safetensors/write_safetensors.h"

namespace cytopress {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

NetworkSpec Spec() {
  NetworkSpec spec;
  spec.architecture = "resnet18";
  spec.stem = Stem::kCifar;
  spec.classes = 3;
  spec.input_height = spec.input_width = 12;
  return spec;
}

ImportOptions Options() {
  ImportOptions options;
  options.stem = Stem::kCifar;
  options.preprocessing.width = options.preprocessing.height = 12;
  options.preprocessing.mean = {0.5f};
  options.preprocessing.stddev = {0.5f};
  options.source = "weights.safetensors";
  return options;
}

std::string Weights() {
  return WriteSafetensors(DequantizeAll(RandomArtifact(Spec(), v1::WEIGHT_TYPE_FP32)));
}

std::vector<float> Classify(const Artifact& artifact) {
  const std::unique_ptr<Engine> engine = CreateEngine(artifact).value();
  constexpr int kImages = 2;
  std::vector<float> probabilities(kImages * artifact.network.classes);
  EXPECT_EQ(engine->Classify(RandomPixels(artifact.network, kImages), kImages,
                             absl::MakeSpan(probabilities)),
            absl::OkStatus());
  return probabilities;
}

TEST(ImportSafetensors, AnswersAsTheModelDidThatTheWeightsAreOf) {
  const Artifact original = RandomArtifact(Spec(), v1::WEIGHT_TYPE_FP32);
  ImportOptions options = Options();
  options.preprocessing.mean = original.preprocessing.mean;
  options.preprocessing.stddev = original.preprocessing.stddev;
  const absl::StatusOr<Artifact> imported = ImportSafetensors(Weights(), options);
  ASSERT_TRUE(imported.ok()) << imported.status();
  EXPECT_EQ(imported->network, original.network);
  EXPECT_EQ(Classify(*imported), Classify(original));
}

TEST(ImportSafetensors, MakesAFileThatSaysWhereItIsFrom) {
  const absl::StatusOr<Artifact> imported = ImportSafetensors(Weights(), Options());
  ASSERT_TRUE(imported.ok()) << imported.status();
  const absl::StatusOr<std::string> file = SerializeArtifact(*imported);
  ASSERT_TRUE(file.ok()) << file.status();
  const absl::StatusOr<Artifact> read = ParseArtifact(*file);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_THAT(read->class_names, ElementsAre("class 0", "class 1", "class 2"));
  EXPECT_THAT(read->preprocessing.mean, ElementsAre(0.5f, 0.5f, 0.5f));
  EXPECT_THAT(read->provenance.imported_from(), HasSubstr("weights.safetensors, SHA-256 "));
  EXPECT_EQ(read->weights, v1::WEIGHT_TYPE_FP32);
  EXPECT_TRUE(read->evaluations.empty());
}

TEST(ImportSafetensors, WantsOneMeanAChannelOrOneForAll) {
  ImportOptions options = Options();
  options.preprocessing.mean = {0.1f, 0.2f};
  EXPECT_THAT(ImportSafetensors(Weights(), options).status().message(),
              HasSubstr("mean: 2 values for 3 channels"));
  options.preprocessing.mean = {0.1f, 0.2f, 0.3f};
  EXPECT_THAT(ImportSafetensors(Weights(), options)->preprocessing.mean,
              ElementsAre(0.1f, 0.2f, 0.3f));
  options.preprocessing.stddev = {};
  EXPECT_THAT(ImportSafetensors(Weights(), options).status().message(),
              HasSubstr("stddev: 0 values for 3 channels"));
}

TEST(ImportSafetensors, RefusesWhatIsMeantForPixelsOf255) {
  ImportOptions options = Options();
  options.preprocessing.mean = {0.5f, 123.7f, 0.5f};
  absl::Status status = ImportSafetensors(Weights(), options).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(),
            "mean: 123.7 is not within 0 to 1, where pixels are; divide by 255 what is meant for "
            "pixels of 0 to 255");
  options.preprocessing.mean = {0};
  options.preprocessing.stddev = {58.4f};
  status = ImportSafetensors(Weights(), options).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("stddev: 58.4 is not within 0 to 1"));
  options.preprocessing.stddev = {1};
  EXPECT_TRUE(ImportSafetensors(Weights(), options).ok());
}

TEST(ImportSafetensors, WantsNamesByWhichClassesCanBeMeant) {
  const auto complaint = [](const std::vector<std::string>& names) {
    ImportOptions options = Options();
    options.class_names = names;
    const absl::Status status = ImportSafetensors(Weights(), options).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    return std::string(status.message());
  };
  EXPECT_EQ(complaint({"a", "a", "b"}), "class_names[1]: \"a\" is there twice; names must differ");
  EXPECT_EQ(complaint({"a", "", "b"}), "class_names[1]: is empty; give every class a name");
  EXPECT_EQ(complaint({"a", "b", "Erythrozyt\xfc"}),
            "class_names[2]: \"Erythrozyt\\xfc\" is not UTF-8; write it in UTF-8");
  ImportOptions options = Options();
  options.class_names = {"a", "b", std::string(257, 'x')};
  const absl::StatusOr<Artifact> imported = ImportSafetensors(Weights(), options);
  ASSERT_TRUE(imported.ok()) << imported.status();
  EXPECT_THAT(SerializeArtifact(*imported).status().message(),
              HasSubstr("class_names[2]: is 257 bytes long; at most 256"));
}

}  // namespace
}  // namespace cytopress
