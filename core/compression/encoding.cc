#include "core/compression/encoding.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/artifact/container.h"
#include "core/artifact/float16.h"
#include "core/artifact/tensor_codec.h"
#include "core/base/status_macros.h"

namespace cytopress {
namespace {

StoredTensor StoreFloats(const Tensor& tensor, Encoding encoding) {
  StoredTensor stored;
  stored.encoding = encoding;
  stored.shape = tensor.shape;
  stored.floats = tensor.values;
  return stored;
}

// Multiplies the scales by the batch norm's, moving signs into the integers. A channel that its
// batch norm silences keeps no weights.
void FoldScales(const std::vector<float>& batch_norm_scale, StoredTensor& weight) {
  const int64_t row = weight.count() / weight.shape[0];
  for (int64_t channel = 0; channel < weight.shape[0]; ++channel) {
    float& scale = weight.scales[channel];
    scale *= batch_norm_scale[channel];
    int8_t* integers = &weight.integers[channel * row];
    if (scale < 0) {
      scale = -scale;
      std::transform(integers, integers + row, integers, [](int8_t q) { return -q; });
    }
    if (!std::isnormal(scale)) {
      scale = 1;
      std::fill_n(integers, row, 0);
    }
  }
}

}  // namespace

std::map<std::string, StoredTensor> EncodeFloats(const TensorMap& tensors, v1::WeightType weights) {
  std::map<std::string, StoredTensor> stored;
  for (const auto& [name, tensor] : tensors) {
    const bool half = tensor.shape.size() > 1 && weights != v1::WEIGHT_TYPE_FP32;
    StoredTensor& values = stored[name];
    values = StoreFloats(tensor, half ? Encoding::kFloat16 : Encoding::kFloat32);
    // A mask leaves -0 of a negative weight, which takes a bit to tell from 0.
    for (float& value : values.floats) value += 0.0f;
  }
  return stored;
}

absl::StatusOr<std::map<std::string, StoredTensor>> EncodeIntegers(const Network& network,
                                                                   const TensorMap& tensors,
                                                                   const IntegerWeights& integers) {
  std::map<std::string, StoredTensor> stored;
  for (const Layer& layer : network.layers) {
    if (layer.weight_count() == 0) continue;
    StoredTensor weight = integers.at(layer.name + ".weight");
    CYTOPRESS_ASSIGN_OR_RETURN(const ChannelAffine affine, FoldBatchNorm(layer, tensors));
    FoldScales(affine.scale, weight);
    stored[layer.name + ".weight"] = std::move(weight);
    stored[layer.name + ".bias"] =
        StoreFloats({{layer.out_channels}, affine.bias}, Encoding::kFloat16);
  }
  return stored;
}

TensorMap DecodeTensors(const std::map<std::string, StoredTensor>& tensors) {
  TensorMap decoded;
  for (const auto& [name, tensor] : tensors) {
    decoded[name] = Dequantize(tensor);
    if (tensor.encoding != Encoding::kFloat16) continue;
    for (float& value : decoded[name].values) {
      const float rounded = FromFloat16(ToFloat16(value));
      if (std::isfinite(rounded)) value = rounded;
    }
  }
  return decoded;
}

absl::StatusOr<StoredBytes> MeasureBytes(const std::map<std::string, StoredTensor>& tensors) {
  StoredBytes bytes;
  std::string raw;
  for (const auto& [name, tensor] : tensors) {
    bytes.packed += PackedBytes({tensor.encoding, tensor.shape, false, 0, tensor.group_size});
    AppendPacked(tensor, ChooseLayout(tensor), raw);
  }
  CYTOPRESS_ASSIGN_OR_RETURN(const std::string stored, Compress(raw, Packing::kQuick));
  bytes.disk = static_cast<int64_t>(stored.size());
  return bytes;
}

}  // namespace cytopress
