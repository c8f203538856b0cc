#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "core/artifact/artifact.h"
#include "core/artifact/container.h"
#include "core/artifact/float16.h"
#include "tests/core/artifact/sample_artifact.h"

namespace cytopress {
namespace {

using testing::HasSubstr;

void ExpectSameTensors(const Artifact& read, const Artifact& written) {
  ASSERT_EQ(read.tensors.size(), written.tensors.size());
  for (const auto& [name, tensor] : written.tensors) {
    ASSERT_EQ(read.tensors.count(name), 1u) << name;
    const StoredTensor& other = read.tensors.at(name);
    EXPECT_EQ(other.encoding, tensor.encoding) << name;
    EXPECT_EQ(other.shape, tensor.shape) << name;
    EXPECT_EQ(other.integers, tensor.integers) << name;
    EXPECT_EQ(other.scales, tensor.scales) << name;
    std::vector<float> floats = tensor.floats;
    if (tensor.encoding == Encoding::kFloat16) {
      for (float& value : floats) value = FromFloat16(ToFloat16(value));
    }
    EXPECT_EQ(other.floats, floats) << name;
  }
}

TEST(FormatTest, GroupsReturn) {
  SampleOptions options;
  options.weights = v1::WEIGHT_TYPE_INT4;
  Artifact written = SampleArtifact(options);
  const auto grouped =
      std::find_if(written.tensors.begin(), written.tensors.end(),
                   [](const auto& entry) { return entry.second.encoding == Encoding::kInt4; });
  ASSERT_NE(grouped, written.tensors.end());
  StoredTensor& tensor = grouped->second;
  tensor.group_size = 24;
  const int64_t channel = tensor.count() / tensor.shape[0];
  const int64_t groups = GroupsOfChannel(tensor.shape, 24);
  for (int64_t group = 0; group < tensor.shape[0] * groups; ++group) {
    tensor.multipliers.push_back(group % 2 == 0 ? 2 : 3);
  }
  for (int64_t i = 0; i < tensor.count(); ++i) {
    const int multiplier = tensor.multipliers[i / channel * groups + i % channel / 24];
    tensor.integers[i] = static_cast<int8_t>(multiplier * tensor.integers[i]);
  }
  const absl::StatusOr<std::string> file = SerializeArtifact(written);
  ASSERT_TRUE(file.ok()) << file.status();
  const absl::StatusOr<Artifact> read = ParseArtifact(*file);
  ASSERT_TRUE(read.ok()) << read.status();
  ExpectSameTensors(*read, written);
  EXPECT_EQ(read->tensors.at(grouped->first).multipliers, tensor.multipliers);

  *std::find_if(tensor.integers.begin(), tensor.integers.end(), [](int q) { return q != 0; }) += 1;
  EXPECT_THAT(std::string(SerializeArtifact(written).status().message()), HasSubstr("multiplier"));
}

TEST(FormatTest, GroupsTooLargeToBeAnythingAreRefused) {
  SampleOptions options;
  options.weights = v1::WEIGHT_TYPE_INT4;
  Artifact written = SampleArtifact(options);
  for (auto& [name, tensor] : written.tensors) {
    if (tensor.encoding != Encoding::kInt4) continue;
    tensor.group_size = int64_t{1} << 40;
    tensor.multipliers.assign(tensor.shape[0], 1);
  }
  const absl::StatusOr<std::string> file = SerializeArtifact(written);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_THAT(std::string(ParseArtifact(*file).status().message()),
              HasSubstr("cannot have groups of 1099511627776 values"));
}

class RoundTripTest : public testing::TestWithParam<v1::WeightType> {};

TEST_P(RoundTripTest, ReturnsWhatWasWritten) {
  SampleOptions options;
  options.weights = GetParam();
  const Artifact written = SampleArtifact(options);
  const absl::StatusOr<std::string> file = SerializeArtifact(written);
  ASSERT_TRUE(file.ok()) << file.status();
  const absl::StatusOr<Artifact> read = ParseArtifact(*file);
  ASSERT_TRUE(read.ok()) << read.status();
  ExpectSameTensors(*read, written);
  EXPECT_TRUE(read->network == written.network);
  EXPECT_EQ(read->class_names, written.class_names);
  EXPECT_EQ(read->weights, written.weights);
  EXPECT_EQ(read->activation_ranges, written.activation_ranges);
  EXPECT_EQ(read->preprocessing.mean, written.preprocessing.mean);
  ASSERT_EQ(read->evaluations.size(), 1u);
  EXPECT_EQ(read->evaluations[0].accuracy(), 0.97);
  ASSERT_EQ(read->ledger.size(), 1u);
  EXPECT_EQ(read->ledger[0].stage(), "prune");
  EXPECT_EQ(read->provenance.versions_size(), 20);

  // What was read is written as the same bytes, so nothing is lost on a second way.
  EXPECT_TRUE(SerializeArtifact(*read).value() == *file);
}

INSTANTIATE_TEST_SUITE_P(Weights, RoundTripTest,
                         testing::Values(v1::WEIGHT_TYPE_FP32, v1::WEIGHT_TYPE_FP16,
                                         v1::WEIGHT_TYPE_INT8, v1::WEIGHT_TYPE_INT4),
                         [](const auto& info) { return v1::WeightType_Name(info.param); });

TEST(FormatTest, EqualArtifactsGiveEqualBytes) {
  // The map of versions is filled in another order.
  Artifact artifact = SampleArtifact();
  artifact.provenance.clear_versions();
  for (int i = 19; i >= 0; --i) {
    (*artifact.provenance.mutable_versions())["library" + std::to_string(i)] = std::to_string(i);
  }
  EXPECT_TRUE(SerializeArtifact(artifact).value() == SampleFile());
}

TEST(FormatTest, ManifestNeedsOnlyTheFilesBeginning) {
  const ContainerHead head = ReadContainerHead(SampleFile()).value();
  const absl::string_view beginning = absl::string_view(SampleFile()).substr(0, head.frames_begin);
  const absl::StatusOr<v1::Model> model = ParseManifest(beginning);
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->network().architecture(), "resnet18");
  EXPECT_EQ(model->class_names_size(), 4);
  EXPECT_EQ(model->weights(), v1::WEIGHT_TYPE_INT4);
  EXPECT_EQ(model->evaluations(0).accuracy(), 0.97);
  EXPECT_EQ(model->provenance().job_id(), "job-1");
  EXPECT_EQ(
      model->size().SerializeAsString(),
      MeasureSize(SampleArtifact(), static_cast<int64_t>(SampleFile().size())).SerializeAsString());
  EXPECT_EQ(model->name(), "");
}

TEST(FormatTest, ReplaceMetadataLeavesTheFramesAlone) {
  v1::Evaluation evaluation;
  evaluation.set_split("test");
  evaluation.set_accuracy(0.5);
  v1::LedgerEntry line;
  line.set_stage("evaluate");
  const absl::StatusOr<std::string> changed =
      ReplaceMetadata(SampleFile(), {{evaluation, evaluation}, {line, line, line}, {}});
  ASSERT_TRUE(changed.ok()) << changed.status();

  const ContainerHead head = ReadContainerHead(SampleFile()).value();
  const ContainerHead changed_head = ReadContainerHead(*changed).value();
  EXPECT_NE(changed_head.manifest, head.manifest);
  EXPECT_TRUE(VerifiedFrames(*changed, changed_head).value() ==
              VerifiedFrames(SampleFile(), head).value());

  const absl::StatusOr<Artifact> read = ParseArtifact(*changed);
  ASSERT_TRUE(read.ok()) << read.status();
  ASSERT_EQ(read->evaluations.size(), 2u);
  EXPECT_EQ(read->evaluations[1].split(), "test");
  EXPECT_EQ(read->ledger.size(), 3u);
  EXPECT_EQ(read->provenance.job_id(), "job-1");
  ExpectSameTensors(*read, SampleArtifact());
}

TEST(FormatTest, ReplaceMetadataWithTheSameGivesTheSameFile) {
  const Artifact artifact = SampleArtifact();
  EXPECT_TRUE(ReplaceMetadata(SampleFile(), {artifact.evaluations, artifact.ledger, {}}).value() ==
              SampleFile());
}

TEST(FormatTest, ReplaceMetadataRefusesADamagedFile) {
  std::string damaged = SampleFile();
  damaged[damaged.size() - 40] ^= 1;
  EXPECT_EQ(ReplaceMetadata(damaged, {}).status().code(), absl::StatusCode::kDataLoss);
}

TEST(FormatTest, OtherFilesAreNoArtifacts) {
  for (const std::string& bytes : {std::string(), std::string("PK\3\4 a zip file"),
                                   std::string(1000, '\0'), SampleFile().substr(1)}) {
    EXPECT_EQ(ParseArtifact(bytes).status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(ParseManifest(bytes).status().code(), absl::StatusCode::kInvalidArgument);
  }
}

TEST(FormatTest, NewerVersionsAndFlagsAreSaidToBeNewer) {
  for (const size_t at : {8, 12}) {
    std::string newer = SampleFile();
    newer[at] += 1;
    const absl::Status status = ParseArtifact(newer).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
    EXPECT_THAT(std::string(status.message()), HasSubstr("newer"));
  }
}

TEST(FormatTest, TextMustBeUtf8) {
  Artifact artifact = SampleArtifact();
  artifact.class_names[1] = "\xff\xfe";
  const absl::Status status = SerializeArtifact(artifact).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("UTF-8"));
}

}  // namespace
}  // namespace cytopress
