// ONNX Runtime computes what the engines compute. Skipped where it is not installed.
#include "tests/core/onnx/onnx_runtime.h"

#include <gtest/gtest.h>
#include <onnx/onnx_pb.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <iostream>

#include "core/artifact/float16.h"
#include "core/base/file.h"
#include "core/dataset/dataset.h"
#include "core/engine/dense_model.h"
#include "core/engine/engine.h"
#include "core/onnx/onnx_export.h"
#include "tests/core/engine/random_artifact.h"
#include "tests/core/kernels/reference.h"
#include "tests/core/network/description.h"
#include "tests/temporary_folder.h"

namespace cytopress {
namespace {

NetworkSpec Spec(Stem stem) {
  NetworkSpec spec;
  spec.architecture = "resnet18";
  spec.stem = stem;
  spec.classes = 8;
  return spec;
}

// Weights that FP16 holds.
Artifact HalfArtifact(const NetworkSpec& spec) {
  Artifact half = RandomArtifact(spec, v1::WEIGHT_TYPE_FP32);
  half.weights = v1::WEIGHT_TYPE_FP16;
  for (auto& [name, tensor] : half.tensors) {
    if (tensor.shape.size() == 1) continue;
    tensor.encoding = Encoding::kFloat16;
    for (float& value : tensor.floats) value = FromFloat16(ToFloat16(value));
  }
  return half;
}

std::string Export(const Artifact& artifact, OnnxResidual residual = OnnxResidual::kExact) {
  OnnxOptions options;
  options.name = "test";
  options.version = 1;
  options.residual = residual;
  return ExportOnnx(artifact, options).value();
}

std::vector<float> Classify(const Artifact& artifact, absl::Span<const uint8_t> pixels) {
  const std::unique_ptr<Engine> engine = CreateEngine(artifact).value();
  const int count = static_cast<int>(pixels.size() / engine->image_bytes());
  std::vector<float> probabilities(size_t(count) * engine->classes());
  EXPECT_TRUE(engine->Classify(pixels, count, absl::MakeSpan(probabilities)).ok());
  return probabilities;
}

struct Agreement {
  int images = 0;
  int same_class = 0;
  double largest_difference = 0;  // of a probability
};

Agreement Compare(const std::vector<float>& a, const std::vector<float>& b, int classes) {
  EXPECT_EQ(a.size(), b.size());
  Agreement agreement;
  for (size_t i = 0; i < a.size(); i += classes, ++agreement.images) {
    const auto best = [&](const std::vector<float>& p) {
      return std::max_element(&p[i], &p[i] + classes) - &p[i];
    };
    agreement.same_class += best(a) == best(b) ? 1 : 0;
    for (int c = 0; c < classes; ++c) {
      agreement.largest_difference =
          std::max(agreement.largest_difference, std::abs(double{a[i + c]} - b[i + c]));
    }
  }
  return agreement;
}

std::ostream& operator<<(std::ostream& out, const Agreement& agreement) {
  return out << agreement.same_class << " of " << agreement.images
             << " images have the same class; probabilities differ by up to "
             << agreement.largest_difference;
}

class OnnxRuntimeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = WhyNoOnnxRuntime(); !why.empty()) {
      GTEST_SKIP() << "no ONNX Runtime: " << why;
    }
  }

  std::map<std::string, std::string> Run(const std::string& model,
                                         absl::Span<const uint8_t> pixels) {
    auto outputs = RunOnnxRuntime(model, pixels, folder_);
    EXPECT_TRUE(outputs.ok()) << outputs.status();
    return outputs.ok() ? *outputs : std::map<std::string, std::string>();
  }
  std::vector<float> Probabilities(const std::string& model, absl::Span<const uint8_t> pixels) {
    return Floats(Run(model, pixels)["probabilities"]);
  }

  const TemporaryFolder temporary_;
  const std::string folder_ = temporary_.path();
};

TEST_F(OnnxRuntimeTest, FloatWeightsGiveTheSameProbabilities) {
  for (const Stem stem : {Stem::kImagenet, Stem::kStride2}) {
    for (const Artifact& artifact :
         {RandomArtifact(Spec(stem), v1::WEIGHT_TYPE_FP32), HalfArtifact(Spec(stem))}) {
      const std::vector<uint8_t> pixels = RandomPixels(artifact.network, 70);  // two batches
      const Agreement agreement =
          Compare(Probabilities(Export(artifact), pixels), Classify(artifact, pixels), 8);
      std::cout << StemName(stem) << ": " << agreement << "\n";
      EXPECT_EQ(agreement.images, 70);
      EXPECT_EQ(agreement.same_class, 70);
      EXPECT_LT(agreement.largest_difference, 1e-5);
    }
  }
}

// Random networks answer a step's difference in an early layer with a redrawn rounding in all later
// ones, so that probabilities come apart by about as much as INT8 and FP32 do; the layers one by
// one are compared below.
TEST_F(OnnxRuntimeTest, IntegerWeightsGiveNearlyTheSameProbabilities) {
  for (const Stem stem : {Stem::kImagenet, Stem::kStride2}) {
    for (const v1::WeightType weights : {v1::WEIGHT_TYPE_INT8, v1::WEIGHT_TYPE_INT4}) {
      const Artifact artifact = RandomArtifact(Spec(stem), weights);
      const std::vector<uint8_t> pixels = RandomPixels(artifact.network, 64);
      const Agreement agreement =
          Compare(Probabilities(Export(artifact), pixels), Classify(artifact, pixels), 8);
      std::cout << StemName(stem) << ": " << agreement << "\n";
      EXPECT_GE(agreement.same_class, 58);
      EXPECT_LT(agreement.largest_difference, 0.06);
    }
  }
}

// [channels, positions] to [positions, channels], of one image.
template <typename Value>
std::vector<Value> ToNhwc(const std::string& raw, int channels) {
  const size_t positions = raw.size() / channels;
  std::vector<Value> result(raw.size());
  for (int c = 0; c < channels; ++c) {
    for (size_t p = 0; p < positions; ++p) {
      result[p * channels + c] = static_cast<Value>(raw[c * positions + p]);
    }
  }
  return result;
}

// Checks each layer of one image for itself: from the inputs that ONNX Runtime computed, its output
// must be what the engine would store, up to a rounding.
class LayerComparison {
 public:
  LayerComparison(const Artifact& artifact, std::map<std::string, std::string> outputs)
      : model_(BuildDenseModel(artifact, DenseArithmetic::kInt8).value()),
        outputs_(std::move(outputs)) {}

  // The stored values of a layer's output, NHWC.
  std::vector<int> Stored(int index) const {
    const Layer& layer = model_.network.layers[index];
    const std::string& raw = outputs_.at(layer.name + ".quantized");
    if (model_.grids[index].type == DataType::kInt8) {
      const auto values = ToNhwc<int8_t>(raw, layer.out_channels);
      return std::vector<int>(values.begin(), values.end());
    }
    const auto values = ToNhwc<uint8_t>(raw, layer.out_channels);
    return std::vector<int>(values.begin(), values.end());
  }

  void CheckInput(const std::vector<uint8_t>& pixels) const {
    const std::vector<int> stored = Stored(0);
    ASSERT_EQ(stored.size(), pixels.size());
    const int channels = model_.network.spec.input_channels;
    for (size_t i = 0; i < pixels.size(); ++i) {
      ASSERT_EQ(stored[i], model_.integer_input[256 * (i % channels) + pixels[i]]) << i;
    }
  }

  // How far the layer's outputs are from the real numbers that they stand for, in steps; at most
  // 0.5 if nothing but the output is rounded.
  double LargestError(int index) const {
    const Layer& layer = model_.network.layers[index];
    const Convolution& conv = model_.convolutions[index];
    const std::vector<int> input = Stored(layer.input);
    const std::vector<int32_t> sums =
        ReferenceConvolve<int32_t>(conv, input.data(), conv.integer_weights);
    const std::vector<int> residual =
        layer.residual >= 0 ? Stored(layer.residual) : std::vector<int>();
    const std::vector<int> stored = Stored(index);
    EXPECT_EQ(stored.size(), sums.size());
    double largest = 0;
    for (size_t i = 0; i < sums.size(); ++i) {
      const size_t o = i % conv.out_channels;
      double value = double{conv.multiplier[o]} * sums[i] + conv.bias[o];
      if (!residual.empty()) value += double{conv.residual_multiplier} * residual[i];
      value = std::clamp(value, layer.relu ? 0.0 : -128.0, layer.relu ? 255.0 : 127.0);
      largest = std::max(largest, std::abs(value - stored[i]));
    }
    return largest;
  }

  void CheckProbabilities() {
    const int last = model_.network.layers.back().input;  // the pooling
    const int map = model_.network.layers[last].input;
    const std::vector<int> stored = Stored(map);
    const std::vector<uint8_t> bytes(stored.begin(), stored.end());
    std::vector<float> expected(model_.classifier.classes());
    Classifier::Buffers buffers;
    model_.classifier.Classify(bytes.data(),
                               static_cast<int>(bytes.size()) / model_.classifier.features(),
                               model_.grids[map].step, buffers, expected.data());
    const std::vector<float> found = Floats(outputs_.at("probabilities"));
    EXPECT_LT(Compare(found, expected, model_.classifier.classes()).largest_difference, 1e-6);
  }

  // The allowed error of a layer whose sums were rounded before the residual was added.
  double RoundedSumError(const Layer& layer, int index) const {
    const OutputGrid& residual = model_.grids[layer.residual];
    const OutputGrid& output = model_.grids[index];
    const double range = residual.step * (residual.type == DataType::kInt8 ? 2 * 127 : 255);
    return 0.5 + 0.5 * (range + 255 * output.step) / 255 / output.step;
  }

  const Network& network() const { return model_.network; }

 private:
  DenseModel model_;
  const std::map<std::string, std::string> outputs_;
};

// Makes every quantized value an output of the graph.
std::string WithLayerOutputs(const std::string& bytes) {
  onnx::ModelProto model;
  EXPECT_TRUE(model.ParseFromString(bytes));
  for (const onnx::NodeProto& node : model.graph().node()) {
    if (node.op_type() != "QuantizeLinear") continue;
    const std::string& zero_point = node.input(2);
    for (const onnx::TensorProto& constant : model.graph().initializer()) {
      if (constant.name() != zero_point) continue;
      onnx::ValueInfoProto* const output = model.mutable_graph()->add_output();
      output->set_name(node.output(0));
      output->mutable_type()->mutable_tensor_type()->set_elem_type(constant.data_type());
    }
  }
  return model.SerializeAsString();
}

TEST_F(OnnxRuntimeTest, EveryLayerComputesWhatTheEngineDoes) {
  // A bias is stored in whole products of the smallest input and weight.
  constexpr double kBiasRounding = 0.002;
  for (const Stem stem : {Stem::kImagenet, Stem::kStride2}) {
    for (const OnnxResidual residual : {OnnxResidual::kExact, OnnxResidual::kRounded}) {
      const Artifact artifact = RandomArtifact(Spec(stem), v1::WEIGHT_TYPE_INT8);
      const std::vector<uint8_t> pixels = RandomPixels(artifact.network, 1);
      LayerComparison layers(artifact, Run(WithLayerOutputs(Export(artifact, residual)), pixels));
      layers.CheckInput(pixels);
      double largest = 0;
      for (size_t i = 0; i < layers.network().layers.size(); ++i) {
        const Layer& layer = layers.network().layers[i];
        if (layer.op != Op::kConv) continue;
        const int index = static_cast<int>(i);
        const double error = layers.LargestError(index);
        const double bound = layer.residual >= 0 && residual == OnnxResidual::kRounded
                                 ? layers.RoundedSumError(layer, index)
                                 : 0.5;
        EXPECT_LT(error, bound + kBiasRounding) << StemName(stem) << " " << layer.name;
        largest = std::max(largest, error - bound);
      }
      std::cout << StemName(stem) << ": beyond the rounding by up to " << largest << " steps\n";
      layers.CheckProbabilities();
    }
  }
}

// A trained model on images that were not trained on.
class TrainedModelTest : public OnnxRuntimeTest {
 protected:
  void Load(const std::string& file, const std::string& dataset) {
    artifact_ = ParseArtifact(ReadFile(file, kMaxArtifactFileBytes).value()).value();
    images_ = LoadDataset(dataset).value().test;
    ours_ = Classify(artifact_, images_.pixels);
  }
  Agreement AgreementOf(OnnxResidual residual) {
    const Agreement agreement = Compare(Probabilities(Export(artifact_, residual), images_.pixels),
                                        ours_, artifact_.network.classes);
    std::cout << (residual == OnnxResidual::kExact ? "exact: " : "rounded: ") << agreement << "\n";
    EXPECT_EQ(agreement.images, images_.size());
    return agreement;
  }
  void ExpectTheSameClasses(double share) {
    const Agreement agreement = AgreementOf(OnnxResidual::kExact);
    EXPECT_GE(agreement.same_class, share * agreement.images);
  }

 private:
  Artifact artifact_;
  Split images_;
  std::vector<float> ours_;
};

// A fifth of the cells, a little more than 1,000: ONNX Runtime takes 5 to 10 ms for each. They are
// drawn, and the model is less sure of them than of cells: more answers hang by a rounding.
TEST_F(TrainedModelTest, AReadyMadeModelGivesTheSameClasses) {
  Load(CYTOPRESS_ZOO "/blood-cells-small.cyp", "synthetic:5040");
  ExpectTheSameClasses(0.995);
}

// CYTOPRESS_ONNX_MODEL is a .cyp file, CYTOPRESS_DATASET its data set.
TEST_F(TrainedModelTest, TheModelOfTheEnvironmentGivesTheSameClasses) {
  const char* const file = std::getenv("CYTOPRESS_ONNX_MODEL");
  const char* const dataset = std::getenv("CYTOPRESS_DATASET");
  if (file == nullptr || dataset == nullptr) {
    GTEST_SKIP() << "CYTOPRESS_ONNX_MODEL (a .cyp file) and CYTOPRESS_DATASET are not both set";
  }
  Load(file, dataset);
  ExpectTheSameClasses(0.999);
  AgreementOf(OnnxResidual::kRounded);
}

}  // namespace
}  // namespace cytopress
