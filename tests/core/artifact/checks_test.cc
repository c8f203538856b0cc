// Artifacts that must not be written, each with one fault; and that reading finds the same faults.
#include "core/artifact/checks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "tests/core/artifact/sample_artifact.h"

namespace cytopress {
namespace {

using testing::HasSubstr;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct Fault {
  std::string name;
  v1::WeightType weights;
  std::function<void(Artifact&)> make;
  std::string message;
};

void PrintTo(const Fault& fault, std::ostream* out) { *out << fault.name; }

std::vector<Fault> MetadataFaults() {
  const v1::WeightType int4 = v1::WEIGHT_TYPE_INT4;
  return {
      {"Architecture", int4, [](Artifact& a) { a.network.architecture = "vgg"; }, "vgg"},
      {"Classes", int4, [](Artifact& a) { a.network.classes = 1; }, "classes"},
      {"ClassNames", int4, [](Artifact& a) { a.class_names.pop_back(); }, "class_names: 3"},
      {"ClassNameLong", int4, [](Artifact& a) { a.class_names[2] = std::string(257, 'x'); },
       "class_names[2]: is 257 bytes long; at most 256"},
      {"ClassNameEmpty", int4, [](Artifact& a) { a.class_names[1].clear(); },
       "class_names[1]: is empty; give every class a name"},
      {"ClassNameTwice", int4, [](Artifact& a) { a.class_names[3] = a.class_names[0]; },
       "class_names[3]: \"class 0\" is there twice; names must differ"},
      {"WeightType", int4, [](Artifact& a) { a.weights = v1::WEIGHT_TYPE_UNSPECIFIED; }, "weights"},
      {"Width", int4, [](Artifact& a) { a.preprocessing.width = 9; }, "9x8x3"},
      {"Mean", int4, [](Artifact& a) { a.preprocessing.mean.pop_back(); }, "2 means"},
      {"MeanNan", int4, [](Artifact& a) { a.preprocessing.mean[1] = kNan; }, "mean nan"},
      {"Stddev", int4, [](Artifact& a) { a.preprocessing.stddev[2] = 0; }, "channel 2"},
      {"Crop", int4, [](Artifact& a) { a.preprocessing.center_crop = -1; }, "center_crop: -1"},
      {"Jpeg", int4, [](Artifact& a) { a.preprocessing.jpeg_quality = 101; }, "jpeg_quality: 101"},
      {"RangeOfNoLayer", int4, [](Artifact& a) { a.activation_ranges["layer9"] = 1; }, "layer9"},
      {"RangeZero", int4, [](Artifact& a) { a.activation_ranges["fc"] = 0; }, "fc"},
      {"RangeNan", int4, [](Artifact& a) { a.activation_ranges["fc"] = kNan; }, "nan"},
      {"Recall", int4, [](Artifact& a) { a.evaluations[0].add_class_recall(1); }, "1 recalls"},
      {"Confusion", int4, [](Artifact& a) { a.evaluations[0].add_confusion(1); }, "1 cells"},
      {"Images", int4, [](Artifact& a) { a.evaluations[0].set_images(-1); }, "-1 images"},
      {"Right", int4,
       [](Artifact& a) {
         a.evaluations[0].set_images(int64_t{1} << 62);
         a.evaluations[0].set_right("x");
       },
       "1 bytes of answers"},
      {"ParentTest", int4,
       [](Artifact& a) { a.certificate.emplace().mutable_parent_test()->add_confusion(1); },
       "parent_test: '' has 0 recalls and 1 cells"},
      {"WeightsOnlyTest", int4,
       [](Artifact& a) { a.certificate.emplace().mutable_weights_only_test()->set_images(-2); },
       "weights_only_test"},
      {"OnlyParentRight", int4,
       [](Artifact& a) { a.certificate.emplace().set_only_parent_right(-1); },
       "certificate.only_parent_right: -1"},
      {"OnlyModelRight", int4,
       [](Artifact& a) { a.certificate.emplace().set_only_model_right(-1); },
       "certificate.only_model_right: -1"},
      {"PValue", int4, [](Artifact& a) { a.certificate.emplace().set_mcnemar_p_value(kNan); },
       "certificate.mcnemar_p_value: nan"},
      {"LowestRecall", int4, [](Artifact& a) { a.certificate.emplace().set_lowest_recall(1.5); },
       "certificate.lowest_recall: 1.5"},
      {"LatencyNan", int4, [](Artifact& a) { a.certificate.emplace().set_latency_seconds(kNan); },
       "certificate.latency_seconds: nan"},
      {"LatencyInfinite", int4,
       [](Artifact& a) { a.certificate.emplace().set_latency_seconds(kInfinity); },
       "certificate.latency_seconds: inf"},
      {"LatencyNegative", int4,
       [](Artifact& a) { a.certificate.emplace().set_latency_seconds(-0.5); },
       "certificate.latency_seconds: -0.5"},
      {"LedgerSeconds", int4, [](Artifact& a) { a.ledger.at(0).set_seconds(kInfinity); },
       "ledger[0].seconds: inf"},
      {"LedgerSpeed", int4, [](Artifact& a) { a.ledger.at(0).set_images_per_second(kNan); },
       "ledger[0].images_per_second: nan"},
      {"LedgerDenseBytes", int4, [](Artifact& a) { a.ledger.at(0).set_dense_bytes(-1); },
       "ledger[0].dense_bytes: -1"},
      {"LedgerPackedBytes", int4, [](Artifact& a) { a.ledger.at(0).set_packed_bytes(-1); },
       "ledger[0].packed_bytes: -1"},
      {"LedgerDiskBytes", int4, [](Artifact& a) { a.ledger.at(0).set_disk_bytes(-1); },
       "ledger[0].disk_bytes: -1"},
      {"Created", int4,
       [](Artifact& a) { a.provenance.mutable_created()->set_seconds(int64_t{1} << 60); },
       "provenance.created"},
  };
}

std::vector<Fault> TensorFaults() {
  const v1::WeightType int4 = v1::WEIGHT_TYPE_INT4;
  const v1::WeightType fp16 = v1::WEIGHT_TYPE_FP16;
  return {
      {"NoWeight", int4, [](Artifact& a) { a.tensors.erase("fc.weight"); }, "fc.weight is missing"},
      {"NoBias", int4, [](Artifact& a) { a.tensors.erase("conv1.bias"); }, "conv1"},
      {"Unknown", int4, [](Artifact& a) { a.tensors["extra"] = a.tensors["fc.bias"]; }, "extra"},
      {"Shape", int4,
       [](Artifact& a) {
         a.tensors["fc.bias"].shape = {2, 2};
       },
       "[2, 2]"},
      {"NoShape", int4, [](Artifact& a) { a.tensors["fc.bias"].shape = {}; }, "fc.bias"},
      {"Values", int4, [](Artifact& a) { a.tensors["fc.bias"].floats.pop_back(); }, "3 floats"},
      {"Scales", int4, [](Artifact& a) { a.tensors["fc.weight"].scales.pop_back(); }, "3 scales"},
      {"Int4Range", int4, [](Artifact& a) { a.tensors["layer1.0.conv1.weight"].integers[5] = -8; },
       "-8"},
      {"Int8Range", int4, [](Artifact& a) { a.tensors["fc.weight"].integers[5] = -128; }, "-128"},
      {"ScaleNan", int4, [](Artifact& a) { a.tensors["fc.weight"].scales[0] = kNan; }, "nan"},
      {"BiasInfinite", int4, [](Artifact& a) { a.tensors["fc.bias"].floats[0] = kInfinity; },
       "fc.bias holds inf"},
      {"HalfOverflow", int4, [](Artifact& a) { a.tensors["fc.bias"].floats[0] = 1e5f; },
       "FP16 cannot hold"},
      {"IntegersInFp16", fp16,
       [](Artifact& a) { a.tensors["fc.weight"].encoding = Encoding::kInt8; }, "WEIGHT_TYPE_FP16"},
      {"HalfInFp32", fp16, [](Artifact& a) { a.weights = v1::WEIGHT_TYPE_FP32; },
       "WEIGHT_TYPE_FP32"},
      {"PartOfABatchNorm", fp16, [](Artifact& a) { a.tensors.erase("bn1.running_var"); }, "3 of 4"},
      {"BothBiasAndBatchNorm", fp16,
       [](Artifact& a) { a.tensors["conv1.bias"] = a.tensors["bn1.bias"]; }, "conv1"},
      {"Variance", fp16, [](Artifact& a) { a.tensors["bn1.running_var"].floats[0] = -1; },
       "is no variance"},
      {"Nan", fp16, [](Artifact& a) { a.tensors["bn1.bias"].floats[0] = kNan; }, "bn1.bias"},
  };
}

const Artifact& Valid(v1::WeightType weights) {
  static auto* const artifacts = new std::map<v1::WeightType, Artifact>();
  if (artifacts->count(weights) == 0) {
    SampleOptions options;
    options.weights = weights;
    (*artifacts)[weights] = SampleArtifact(options);
  }
  return artifacts->at(weights);
}

class FaultTest : public testing::TestWithParam<Fault> {};

TEST_P(FaultTest, IsRefusedByName) {
  Artifact artifact = Valid(GetParam().weights);
  GetParam().make(artifact);
  const absl::Status status = SerializeArtifact(artifact).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(Metadata, FaultTest, testing::ValuesIn(MetadataFaults()),
                         [](const auto& info) { return info.param.name; });
INSTANTIATE_TEST_SUITE_P(Tensors, FaultTest, testing::ValuesIn(TensorFaults()),
                         [](const auto& info) { return info.param.name; });

TEST(CheckMetadata, TakesTheLongestNamesAndWhatWasNotMeasured) {
  Artifact artifact = Valid(v1::WEIGHT_TYPE_INT4);
  artifact.class_names[2] = std::string(kMaxClassNameBytes, 'x');
  artifact.certificate.emplace();
  artifact.ledger.emplace_back();
  EXPECT_EQ(CheckMetadata(artifact, BuildNetwork(artifact.network).value()), absl::OkStatus());
}

}  // namespace
}  // namespace cytopress
