// What an exported file says, judged by ONNX's own checker. What it computes: onnx_runtime_test.cc.
#include "core/onnx/onnx_export.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <onnx/checker.h>
#include <onnx/shape_inference/implementation.h>

#include <map>

#include "nlohmann/json.hpp"
#include "tests/core/engine/random_artifact.h"

namespace cytopress {
namespace {

using ::testing::HasSubstr;

NetworkSpec Spec(const std::string& architecture, Stem stem, int channels = 3) {
  NetworkSpec spec;
  spec.architecture = architecture;
  spec.stem = stem;
  spec.classes = 8;
  spec.input_channels = channels;
  spec.input_height = 28;
  spec.input_width = 24;
  return spec;
}

OnnxOptions Options(OnnxResidual residual = OnnxResidual::kExact) {
  OnnxOptions options;
  options.name = "blood";
  options.version = 7;
  options.producer_version = "1.2.3";
  options.residual = residual;
  return options;
}

onnx::ModelProto Export(const Artifact& artifact, const OnnxOptions& options = Options()) {
  const absl::StatusOr<std::string> bytes = ExportOnnx(artifact, options);
  EXPECT_TRUE(bytes.ok()) << bytes.status();
  onnx::ModelProto model;
  EXPECT_TRUE(model.ParseFromString(*bytes));
  return model;
}

std::map<std::string, std::string> Properties(const onnx::ModelProto& model) {
  std::map<std::string, std::string> properties;
  for (const auto& entry : model.metadata_props()) properties[entry.key()] = entry.value();
  return properties;
}

int Count(const onnx::ModelProto& model, const std::string& op) {
  int count = 0;
  for (const onnx::NodeProto& node : model.graph().node()) count += node.op_type() == op ? 1 : 0;
  return count;
}

struct Case {
  std::string architecture;
  Stem stem;
  v1::WeightType weights;
  int channels = 3;
  OnnxResidual residual = OnnxResidual::kExact;
};

class CheckerTest : public ::testing::TestWithParam<Case> {};

TEST_P(CheckerTest, AcceptsTheModelAndInfersItsShapes) {
  const Case& c = GetParam();
  const NetworkSpec spec = Spec(c.architecture, c.stem, c.channels);
  onnx::ModelProto model = Export(RandomArtifact(spec, c.weights), Options(c.residual));
  ASSERT_NO_THROW(onnx::checker::check_model(model));
  onnx::ShapeInferenceOptions options;
  options.check_type = true;
  options.error_mode = 1;  // throws
  ASSERT_NO_THROW(
      onnx::shape_inference::InferShapes(model, onnx::OpSchemaRegistry::Instance(), options));
  const Network network = BuildNetwork(spec).value();
  int found = 0;
  for (const onnx::ValueInfoProto& value : model.graph().value_info()) {
    for (const Layer& layer : network.layers) {
      if (layer.name != value.name() || layer.op != Op::kConv) continue;
      const auto& shape = value.type().tensor_type().shape();
      ++found;
      EXPECT_EQ(shape.dim(0).dim_param(), "N") << layer.name;
      EXPECT_EQ(shape.dim(1).dim_value(), layer.out_channels) << layer.name;
      EXPECT_EQ(shape.dim(2).dim_value(), layer.out_height) << layer.name;
      EXPECT_EQ(shape.dim(3).dim_value(), layer.out_width) << layer.name;
    }
  }
  EXPECT_GE(found, 20);
}

INSTANTIATE_TEST_SUITE_P(All, CheckerTest,
                         ::testing::Values(Case{"resnet18", Stem::kImagenet, v1::WEIGHT_TYPE_INT8},
                                           Case{"resnet18", Stem::kStride2, v1::WEIGHT_TYPE_INT4},
                                           Case{"resnet18", Stem::kCifar, v1::WEIGHT_TYPE_FP32, 1},
                                           Case{"resnet50", Stem::kStride2, v1::WEIGHT_TYPE_FP16},
                                           Case{"resnet50", Stem::kImagenet, v1::WEIGHT_TYPE_INT8,
                                                1, OnnxResidual::kRounded}));

TEST(OnnxExportTest, DescribesTheModel) {
  Artifact artifact = RandomArtifact(Spec("resnet18", Stem::kStride2), v1::WEIGHT_TYPE_INT8);
  artifact.class_names[1] = "immature \"granulocytes\"";
  artifact.preprocessing.center_crop = 200;
  const onnx::ModelProto model = Export(artifact);
  EXPECT_EQ(model.producer_name(), "cytopress");
  EXPECT_EQ(model.producer_version(), "1.2.3");
  EXPECT_EQ(model.model_version(), 7);
  ASSERT_EQ(model.opset_import_size(), 1);
  EXPECT_EQ(model.opset_import(0).version(), 13);
  auto properties = Properties(model);
  EXPECT_EQ(properties["name"], "blood");
  EXPECT_EQ(properties["version"], "7");
  EXPECT_EQ(properties["cytopress_version"], "1.2.3");
  EXPECT_EQ(properties["weights"], "WEIGHT_TYPE_INT8");
  EXPECT_EQ(nlohmann::json::parse(properties["class_names"]), nlohmann::json(artifact.class_names));
  const auto preprocessing = nlohmann::json::parse(properties["preprocessing"]);
  EXPECT_EQ(preprocessing["center_crop"], 200);
  EXPECT_EQ(preprocessing["width"], 24);
  EXPECT_EQ(preprocessing["jpeg_quality"], 0);
  EXPECT_EQ(preprocessing["mean"].size(), 3u);
  ASSERT_EQ(model.graph().input_size(), 1);
  EXPECT_EQ(model.graph().input(0).name(), "image");
  EXPECT_EQ(model.graph().input(0).type().tensor_type().elem_type(), onnx::TensorProto::UINT8);
  ASSERT_EQ(model.graph().output_size(), 1);
  EXPECT_EQ(model.graph().output(0).name(), "probabilities");
}

TEST(OnnxExportTest, TheFileIsAsSmallAsTheWeights) {
  const NetworkSpec spec = Spec("resnet18", Stem::kStride2);
  const size_t parameters = 11'171'712;  // of the convolutions
  const size_t rest = 200'000;
  const auto bytes = [&](v1::WeightType weights) {
    return ExportOnnx(RandomArtifact(spec, weights), Options()).value().size();
  };
  EXPECT_LT(bytes(v1::WEIGHT_TYPE_INT8), parameters + rest);
  EXPECT_LT(bytes(v1::WEIGHT_TYPE_FP32), 4 * parameters + rest);
  Artifact half = RandomArtifact(spec, v1::WEIGHT_TYPE_FP32);
  half.weights = v1::WEIGHT_TYPE_FP16;
  for (auto& [name, tensor] : half.tensors) {
    if (tensor.shape.size() > 1) tensor.encoding = Encoding::kFloat16;
  }
  EXPECT_LT(ExportOnnx(half, Options()).value().size(), 2 * parameters + rest);
}

// Runtimes turn a convolution between DequantizeLinear and QuantizeLinear into an integer one.
TEST(OnnxExportTest, RoundedSumsMakeEveryConvolutionAnIntegerOne) {
  const Artifact artifact = RandomArtifact(Spec("resnet18", Stem::kStride2), v1::WEIGHT_TYPE_INT8);
  const onnx::ModelProto exact = Export(artifact);
  const onnx::ModelProto rounded = Export(artifact, Options(OnnxResidual::kRounded));
  EXPECT_EQ(Count(exact, "Conv"), 20);
  EXPECT_EQ(Count(exact, "Add"), 8);
  EXPECT_EQ(Count(exact, "QuantizeLinear"), 1 + 20);
  EXPECT_EQ(Count(rounded, "QuantizeLinear"), 1 + 20 + 8);
}

TEST(OnnxExportTest, IntegerWeightsNeedRanges) {
  Artifact artifact = RandomArtifact(Spec("resnet18", Stem::kStride2), v1::WEIGHT_TYPE_INT8);
  artifact.activation_ranges.erase("layer3.0.conv1");
  const absl::Status status = ExportOnnx(artifact, Options()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("layer3.0.conv1"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("quantize it again"));
}

TEST(OnnxExportTest, NamesWhatIsWrongWithAnArtifact) {
  const Artifact good = RandomArtifact(Spec("resnet18", Stem::kStride2), v1::WEIGHT_TYPE_FP32);
  Artifact artifact = good;
  artifact.tensors.erase("layer1.0.conv1.weight");
  EXPECT_EQ(ExportOnnx(artifact, Options()).status().code(), absl::StatusCode::kInvalidArgument);
  artifact = good;
  artifact.tensors["fc.bias"].floats.pop_back();
  EXPECT_EQ(ExportOnnx(artifact, Options()).status().code(), absl::StatusCode::kInvalidArgument);
  artifact = good;
  artifact.class_names.pop_back();
  EXPECT_EQ(ExportOnnx(artifact, Options()).status().code(), absl::StatusCode::kInvalidArgument);
  artifact = good;
  artifact.network.architecture = "resnet7";
  EXPECT_EQ(ExportOnnx(artifact, Options()).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace cytopress
