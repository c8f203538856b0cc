#include "core/engine/dense_model.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/artifact/activation_grid.h"
#include "core/artifact/checks.h"
#include "core/artifact/tensor_codec.h"
#include "core/base/status_macros.h"
#include "core/engine/compaction.h"

namespace cytopress {
namespace {

constexpr int kPixelValues = 256;

// To the nearest, even where two are; `value` is no NaN.
uint16_t ToBfloat16(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

absl::StatusOr<const StoredTensor*> FindWeight(const Artifact& artifact, const Layer& layer) {
  const std::string name = layer.name + ".weight";
  const auto it = artifact.tensors.find(name);
  if (it == artifact.tensors.end()) {
    return absl::NotFoundError(absl::StrCat("the tensor ", name, " is missing"));
  }
  const StoredTensor& tensor = it->second;
  const auto count = static_cast<size_t>(layer.weight_count());
  const bool integer = IsInteger(tensor.encoding);
  const size_t found = integer ? tensor.integers.size() : tensor.floats.size();
  if (found != count || tensor.count() != layer.weight_count()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the tensor ", name, " has ", found, " values; the network needs ", count));
  }
  if (integer && tensor.scales.size() != static_cast<size_t>(layer.out_channels)) {
    return absl::InvalidArgumentError(absl::StrCat("the tensor ", name, " has ",
                                                   tensor.scales.size(), " scales; it needs ",
                                                   layer.out_channels));
  }
  return &tensor;
}

class ModelBuilder {
 public:
  ModelBuilder(const Artifact& artifact, DenseArithmetic arithmetic, Network network)
      : artifact_(artifact), small_tensors_(VectorsOf(artifact)) {
    model_.arithmetic = arithmetic;
    model_.network = std::move(network);
  }

  absl::StatusOr<DenseModel> Build() {
    const size_t count = model_.network.layers.size();
    model_.grids.resize(count);
    model_.convolutions.resize(count);
    for (size_t i = 0; i < count; ++i) {
      CYTOPRESS_RETURN_IF_ERROR(AddLayer(static_cast<int>(i)));
    }
    Compact(&model_);
    for (size_t i = 0; i < count; ++i) {
      if (model_.network.layers[i].op == Op::kConv) Simplify(model_.convolutions[i]);
    }
    return std::move(model_);
  }

 private:
  absl::Status AddLayer(int index) {
    const Layer& layer = model_.network.layers[index];
    switch (layer.op) {
      case Op::kInput:
        CYTOPRESS_RETURN_IF_ERROR(SetGrid(index));
        return AddInput();
      case Op::kConv:
        CYTOPRESS_RETURN_IF_ERROR(SetGrid(index));
        return AddConvolution(index);
      case Op::kMaxPool:
        model_.grids[index] = model_.grids[layer.input];
        return absl::OkStatus();
      case Op::kGlobalAvgPool:
        return absl::OkStatus();
      case Op::kLinear:
        return AddClassifier(layer);
    }
    return absl::InternalError("unknown layer");
  }

  absl::Status SetGrid(int index) {
    const Layer& layer = model_.network.layers[index];
    OutputGrid& grid = model_.grids[index];
    if (model_.arithmetic == DenseArithmetic::kFp32) return absl::OkStatus();
    if (model_.arithmetic == DenseArithmetic::kBf16) {
      grid.type = DataType::kBfloat16;
      return absl::OkStatus();
    }
    CYTOPRESS_ASSIGN_OR_RETURN(grid.step, ActivationStep(artifact_, layer));
    grid.type = layer.relu ? DataType::kUint8 : DataType::kInt8;
    return absl::OkStatus();
  }

  absl::Status AddInput() {
    const OutputGrid& grid = model_.grids[0];
    const Preprocessing& preprocessing = artifact_.preprocessing;
    for (int c = 0; c < preprocessing.channels; ++c) {
      for (int v = 0; v < kPixelValues; ++v) {
        const float value =
            (static_cast<float>(v) / 255.0f - preprocessing.mean[c]) / preprocessing.stddev[c];
        if (grid.type == DataType::kInt8) {
          const float steps = std::clamp(std::nearbyint(value / grid.step), -128.0f, 127.0f);
          model_.integer_input.push_back(static_cast<int8_t>(steps));
        } else if (grid.type == DataType::kBfloat16) {
          model_.bfloat16_input.push_back(ToBfloat16(value));
        } else {
          model_.float_input.push_back(value);
        }
      }
    }
    return absl::OkStatus();
  }

  absl::Status AddConvolution(int index) {
    const Layer& layer = model_.network.layers[index];
    CYTOPRESS_ASSIGN_OR_RETURN(const StoredTensor* weight, FindWeight(artifact_, layer));
    CYTOPRESS_ASSIGN_OR_RETURN(const ChannelAffine affine, FoldBatchNorm(layer, small_tensors_));
    Convolution& convolution = model_.convolutions[index];
    convolution = Shape(index);
    if (model_.arithmetic == DenseArithmetic::kInt8 && weight->integers.empty()) {
      return absl::FailedPreconditionError(
          absl::StrCat("the tensor ", layer.name,
                       ".weight is not stored as integers, so it cannot run in INT8; quantize the "
                       "model, or use FP32 arithmetic"));
    }
    if (model_.arithmetic == DenseArithmetic::kInt8) {
      FillInteger(index, *weight, affine, convolution);
    } else {
      FillFloat(*weight, affine, convolution);
    }
    return absl::OkStatus();
  }

  Convolution Shape(int index) const {
    const Layer& layer = model_.network.layers[index];
    const Layer& input = model_.network.layers[layer.input];
    Convolution c;
    c.in_channels = layer.in_channels;
    c.in_height = input.out_height;
    c.in_width = input.out_width;
    c.out_channels = layer.out_channels;
    c.out_height = layer.out_height;
    c.out_width = layer.out_width;
    c.kernel_height = c.kernel_width = layer.kernel;
    c.stride = layer.stride;
    c.pad_top = c.pad_left = layer.padding;
    c.source = model_.grids[layer.input].type;
    c.destination = model_.grids[index].type;
    c.relu = layer.relu;
    c.adds_residual = layer.residual >= 0;
    if (c.adds_residual) c.residual = model_.grids[layer.residual].type;
    return c;
  }

  static void FillFloat(const StoredTensor& weight, const ChannelAffine& affine,
                        Convolution& convolution) {
    convolution.float_weights = Dequantize(weight).values;
    convolution.bias = affine.bias;
    const size_t row = convolution.float_weights.size() / affine.scale.size();
    for (size_t i = 0; i < convolution.float_weights.size(); ++i) {
      convolution.float_weights[i] *= affine.scale[i / row];
    }
  }

  void FillInteger(int index, const StoredTensor& weight, const ChannelAffine& affine,
                   Convolution& convolution) const {
    const Layer& layer = model_.network.layers[index];
    convolution.integer_weights = weight.integers;
    const float step = model_.grids[index].step;
    const float input_step = model_.grids[layer.input].step;
    const size_t row = weight.integers.size() / affine.scale.size();
    for (size_t o = 0; o < affine.scale.size(); ++o) {
      float multiplier = input_step * weight.scales[o] * affine.scale[o] / step;
      if (!(std::abs(multiplier) >= kSmallestProduct) || !std::isfinite(multiplier)) {
        // A channel that its batch norm silences has no weights, for all kernels alike; oneDNN 2.x
        // divides the bias by the multiplier.
        multiplier = 1;
        std::fill_n(&convolution.integer_weights[o * row], row, int8_t{0});
      }
      convolution.multiplier.push_back(multiplier);
      convolution.bias.push_back(affine.bias[o] / step);
    }
    if (layer.residual >= 0) {
      convolution.residual_multiplier = model_.grids[layer.residual].step / step;
    }
  }

  absl::Status AddClassifier(const Layer& layer) {
    CYTOPRESS_ASSIGN_OR_RETURN(const StoredTensor* weight, FindWeight(artifact_, layer));
    CYTOPRESS_ASSIGN_OR_RETURN(const ChannelAffine affine, FoldBatchNorm(layer, small_tensors_));
    model_.classifier = Classifier(Dequantize(*weight).values, affine.bias);
    return absl::OkStatus();
  }

  const Artifact& artifact_;
  const TensorMap small_tensors_;
  DenseModel model_;
};

}  // namespace

absl::StatusOr<DenseModel> BuildDenseModel(const Artifact& artifact, DenseArithmetic arithmetic) {
  CYTOPRESS_ASSIGN_OR_RETURN(Network network, BuildNetwork(artifact.network));
  CYTOPRESS_RETURN_IF_ERROR(CheckMetadata(artifact, network));
  return ModelBuilder(artifact, arithmetic, std::move(network)).Build();
}

}  // namespace cytopress
