#include "core/onnx/onnx_export.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/artifact/activation_grid.h"
#include "core/artifact/checks.h"
#include "core/artifact/tensor_codec.h"
#include "core/artifact/weight_type.h"
#include "core/base/status_macros.h"
#include "core/onnx/onnx_graph.h"
#include "core/onnx/onnx_metadata.h"
#include "core/onnx/qdq_weights.h"

namespace cytopress {
namespace {

// The lowest with scales for each channel in QuantizeLinear and DequantizeLinear, so that most
// runtimes read it; nothing here needs a later one.
constexpr int kOperatorSet = 13;
constexpr int kIrVersion = 7;  // of ONNX 1.8, which brought that operator set

class Exporter {
 public:
  Exporter(const Artifact& artifact, const OnnxOptions& options, Network network)
      : artifact_(artifact),
        options_(options),
        network_(std::move(network)),
        small_tensors_(VectorsOf(artifact)),
        quantizes_(IsInteger(artifact.weights)),
        grids_(network_.layers.size()),
        values_(network_.layers.size()),
        graph_(model_.mutable_graph()) {}

  absl::StatusOr<std::string> Export() {
    model_.set_ir_version(kIrVersion);
    model_.add_opset_import()->set_version(kOperatorSet);
    model_.mutable_graph()->set_name(artifact_.network.architecture);
    DescribeModel(artifact_, options_, &model_);
    DescribeInputAndOutput(artifact_.network, model_.mutable_graph());
    if (quantizes_) CYTOPRESS_RETURN_IF_ERROR(SetGrids());
    for (size_t i = 0; i < network_.layers.size(); ++i) {
      CYTOPRESS_RETURN_IF_ERROR(AddLayer(static_cast<int>(i)));
    }
    return model_.SerializeAsString();
  }

 private:
  absl::Status SetGrids() {
    for (size_t i = 0; i < network_.layers.size(); ++i) {
      const Layer& layer = network_.layers[i];
      if (layer.op == Op::kMaxPool) grids_[i] = grids_[layer.input];
      if (layer.op != Op::kInput && layer.op != Op::kConv) continue;
      grids_[i].is_signed = !layer.relu;
      CYTOPRESS_ASSIGN_OR_RETURN(grids_[i].step, ActivationStep(artifact_, layer));
    }
    return absl::OkStatus();
  }

  absl::Status AddLayer(int index) {
    const Layer& layer = network_.layers[index];
    switch (layer.op) {
      case Op::kInput:
        AddInput();
        break;
      case Op::kConv:
        return AddConvolution(index);
      case Op::kMaxPool:
        Store(index, Window(graph_.Add("MaxPool", {Real(index, layer.input)}, layer.name), layer));
        break;
      case Op::kGlobalAvgPool:
        graph_.Add("GlobalAveragePool", {Real(index, layer.input)}, layer.name);
        values_[index] = layer.name;
        break;
      case Op::kLinear:
        return AddClassifier(layer);
    }
    return absl::OkStatus();
  }

  void AddInput() {
    const Preprocessing& preprocessing = artifact_.preprocessing;
    const int64_t channels = preprocessing.channels;
    graph_.Cast("image", "pixels");
    graph_.Add("Div", {"pixels", graph_.Floats("white", {}, {255.0f})}, "unit");
    graph_.Add("Sub", {"unit", graph_.Floats("mean", {channels}, preprocessing.mean)}, "centered");
    graph_.Add("Div", {"centered", graph_.Floats("stddev", {channels}, preprocessing.stddev)},
               "normalized");
    SetInts(graph_.Add("Transpose", {"normalized"}, "input"), "perm", {0, 3, 1, 2});
    Store(0, "input");
  }

  // Names layer `index`'s output, FP32 so far, and rounds it to its grid.
  void Store(int index, const std::string& real) {
    values_[index] = quantizes_ ? graph_.Quantize(real, grids_[index], real + ".quantized") : real;
  }

  // The FP32 output of layer `source`, for layer `consumer`.
  std::string Real(int consumer, int source) {
    if (!quantizes_ || network_.layers[source].op == Op::kGlobalAvgPool) return values_[source];
    return graph_.Dequantize(
        values_[source], grids_[source],
        absl::StrCat(network_.layers[consumer].name, ".from.", network_.layers[source].name));
  }

  absl::Status AddConvolution(int index) {
    const Layer& layer = network_.layers[index];
    CYTOPRESS_ASSIGN_OR_RETURN(const ChannelAffine affine, FoldBatchNorm(layer, small_tensors_));
    const StoredTensor& weight = artifact_.tensors.at(layer.name + ".weight");
    const bool rounds_sums = layer.residual < 0 || options_.residual == OnnxResidual::kRounded;
    const bool integer = quantizes_ && IsInteger(weight.encoding) && rounds_sums;
    std::vector<std::string> inputs = {Real(index, layer.input)};
    if (integer) {
      AddIntegerWeights(index, weight, affine, inputs);
    } else {
      inputs.push_back(FloatWeights(layer, weight, affine.scale));
      inputs.push_back(graph_.Floats(layer.name + ".bias", {layer.out_channels}, affine.bias));
    }
    std::string value = layer.name;
    if (layer.residual >= 0 || layer.relu) value += ".sum";
    Window(graph_.Add("Conv", inputs, value), layer);
    if (layer.residual >= 0) {
      if (integer) value = RoundSum(layer, value);
      const std::string total = layer.relu ? layer.name + ".total" : layer.name;
      graph_.Add("Add", {value, Real(index, layer.residual)}, total);
      value = total;
    }
    if (layer.relu) graph_.Add("Relu", {value}, layer.name);
    Store(index, layer.name);
    return absl::OkStatus();
  }

  // Rounds what is added to a residual r >= low and then to 8 bits after a ReLU, over the range
  // within which it can change the result: below -max(r) the ReLU makes it 0 and above
  // max(result) - low the result saturates.
  std::string RoundSum(const Layer& layer, const std::string& sum) {
    const OnnxGrid& residual = grids_[layer.residual];
    const float residual_range = residual.step * (residual.is_signed ? 127.0f : 255.0f);
    const float result_range = artifact_.activation_ranges.at(layer.name);
    const float low = -residual_range;
    const float high = result_range + (residual.is_signed ? residual_range : 0.0f);
    OnnxGrid grid;
    grid.step = (high - low) / 255.0f;
    grid.zero_point = static_cast<int>(-low / grid.step + 0.5f);
    const std::string rounded = graph_.Quantize(sum, grid, sum + ".quantized");
    return graph_.Dequantize(rounded, grid, sum + ".rounded");
  }

  void AddIntegerWeights(int index, const StoredTensor& weight, const ChannelAffine& affine,
                         std::vector<std::string>& inputs) {
    const Layer& layer = network_.layers[index];
    const QdqWeights integers =
        MakeQdqWeights(weight, affine, grids_[layer.input].step, grids_[index].step);
    const std::vector<int64_t> channels = {layer.out_channels};
    const std::string name = layer.name + ".weight";
    const std::string bias = layer.name + ".bias";
    SetInt(graph_.Add("DequantizeLinear",
                      {graph_.Int8(name + ".quantized", weight.shape, integers.weights),
                       graph_.Floats(name + ".step", channels, integers.scales),
                       graph_.Int8(name + ".zero_point", channels,
                                   std::vector<int8_t>(layer.out_channels))},
                      name),
           "axis", 0);
    SetInt(graph_.Add("DequantizeLinear",
                      {graph_.Int32(bias + ".quantized", channels, integers.bias),
                       graph_.Floats(bias + ".step", channels, integers.bias_scales),
                       graph_.Int32(bias + ".zero_point", channels,
                                    std::vector<int32_t>(layer.out_channels))},
                      bias),
           "axis", 0);
    inputs.push_back(name);
    inputs.push_back(bias);
  }

  // FP32 weights times their channel's scale. What is stored in fewer bits stays so in the file:
  // runtimes compute such constants once, when they load it.
  std::string FloatWeights(const Layer& layer, const StoredTensor& weight,
                           const std::vector<float>& channel_scale) {
    std::string name = layer.name + ".weight";
    std::vector<float> scale = channel_scale;
    if (IsInteger(weight.encoding)) {
      for (size_t o = 0; o < scale.size(); ++o) scale[o] *= weight.scales[o];
    }
    if (weight.encoding == Encoding::kFloat32) {
      std::vector<float> values = weight.floats;
      const size_t row = values.size() / scale.size();
      for (size_t i = 0; i < values.size(); ++i) values[i] *= scale[i / row];
      return graph_.Floats(name, weight.shape, values);
    }
    const std::string stored = IsInteger(weight.encoding)
                                   ? graph_.Int8(name + ".stored", weight.shape, weight.integers)
                                   : graph_.Halves(name + ".stored", weight.shape, weight.floats);
    std::vector<int64_t> broadcast(weight.shape.size(), 1);
    broadcast[0] = layer.out_channels;
    graph_.Add(
        "Mul",
        {graph_.Cast(stored, name + ".cast"), graph_.Floats(name + ".scale", broadcast, scale)},
        name);
    return name;
  }

  absl::Status AddClassifier(const Layer& layer) {
    CYTOPRESS_ASSIGN_OR_RETURN(const ChannelAffine affine, FoldBatchNorm(layer, small_tensors_));
    graph_.Add("Flatten", {values_[layer.input]}, "features");
    const std::string weight =
        FloatWeights(layer, artifact_.tensors.at(layer.name + ".weight"), affine.scale);
    const std::string bias = graph_.Floats(layer.name + ".bias", {layer.out_channels}, affine.bias);
    SetInt(graph_.Add("Gemm", {"features", weight, bias}, "logits"), "transB", 1);
    SetInt(graph_.Add("Softmax", {"logits"}, "probabilities"), "axis", 1);
    return absl::OkStatus();
  }

  static std::string Window(onnx::NodeProto* node, const Layer& layer) {
    SetInts(node, "kernel_shape", {layer.kernel, layer.kernel});
    SetInts(node, "strides", {layer.stride, layer.stride});
    SetInts(node, "pads", {layer.padding, layer.padding, layer.padding, layer.padding});
    return node->output(0);
  }

  const Artifact& artifact_;
  const OnnxOptions& options_;
  const Network network_;
  const TensorMap small_tensors_;
  const bool quantizes_;
  std::vector<OnnxGrid> grids_;      // of each layer's output; only where quantizes_
  std::vector<std::string> values_;  // each layer's output: on its grid where quantizes_, else FP32
  onnx::ModelProto model_;
  OnnxGraph graph_;
};

}  // namespace

absl::StatusOr<std::string> ExportOnnx(const Artifact& artifact, const OnnxOptions& options) {
  CYTOPRESS_ASSIGN_OR_RETURN(Network network, BuildNetwork(artifact.network));
  CYTOPRESS_RETURN_IF_ERROR(CheckArtifact(artifact, network));
  return Exporter(artifact, options, std::move(network)).Export();
}

}  // namespace cytopress
