// What an artifact is, apart from how it is written.
#include "core/artifact/artifact.h"

#include <algorithm>
#include <functional>
#include <numeric>

#include "core/artifact/float16.h"
#include "core/artifact/tensor_codec.h"

namespace cytopress {
namespace {

// As the file holds them: what FP16 cannot tell from zero is zero.
int64_t CountZeros(const StoredTensor& tensor) {
  const bool half = tensor.encoding == Encoding::kFloat16;
  return std::count_if(
             tensor.floats.begin(), tensor.floats.end(),
             [&](float value) { return (half ? FromFloat16(ToFloat16(value)) : value) == 0; }) +
         std::count(tensor.integers.begin(), tensor.integers.end(), 0);
}

// Of the layer as it is trained: weights and the two learned numbers of each channel's batch norm,
// or a bias.
int64_t ParameterCount(const Layer& layer) {
  const int64_t per_channel = layer.batch_norm.empty() ? 1 : 2;
  return layer.weight_count() + (layer.weight_count() > 0 ? per_channel * layer.out_channels : 0);
}

}  // namespace

int64_t StoredTensor::count() const {
  int64_t product = 1;
  for (int64_t size : shape) product *= size;
  return product;
}

int64_t GroupsOfChannel(const std::vector<int64_t>& shape, int64_t group_size) {
  const int64_t channel =
      std::accumulate(shape.begin() + 1, shape.end(), int64_t{1}, std::multiplies<int64_t>());
  return (channel + group_size - 1) / group_size;
}

Tensor Dequantize(const StoredTensor& stored) {
  Tensor tensor;
  tensor.shape = stored.shape;
  if (!IsInteger(stored.encoding)) {
    tensor.values = stored.floats;
    return tensor;
  }
  const size_t row = stored.integers.size() / stored.scales.size();
  tensor.values.resize(stored.integers.size());
  for (size_t i = 0; i < stored.integers.size(); ++i) {
    tensor.values[i] = static_cast<float>(stored.integers[i]) * stored.scales[i / row];
  }
  return tensor;
}

TensorMap VectorsOf(const Artifact& artifact) {
  TensorMap vectors;
  for (const auto& [name, tensor] : artifact.tensors) {
    if (tensor.shape.size() == 1) vectors[name] = Dequantize(tensor);
  }
  return vectors;
}

bool IsPrunable(const Layer& layer) { return layer.op == Op::kConv && layer.name != "conv1"; }

v1::ModelSize MeasureSize(const Artifact& artifact, int64_t disk_bytes) {
  v1::ModelSize size;
  size.set_disk_bytes(disk_bytes);
  int64_t packed = 0;
  for (const auto& [name, tensor] : artifact.tensors) {
    packed += PackedBytes({tensor.encoding, tensor.shape, false, 0, tensor.group_size});
  }
  size.set_packed_bytes(packed);
  const absl::StatusOr<Network> network = BuildNetwork(artifact.network);
  if (!network.ok()) return size;
  int64_t parameters = 0, zeros = 0, prunable = 0, pruned = 0;
  for (const Layer& layer : network->layers) {
    parameters += ParameterCount(layer);
    const auto weight = artifact.tensors.find(layer.name + ".weight");
    if (layer.weight_count() == 0 || weight == artifact.tensors.end()) continue;
    const int64_t layer_zeros = CountZeros(weight->second);
    zeros += layer_zeros;
    if (!IsPrunable(layer)) continue;
    prunable += layer.weight_count();
    pruned += layer_zeros;
  }
  size.set_parameters(parameters);
  size.set_nonzero_parameters(parameters - zeros);
  size.set_dense_bytes(parameters * 4);
  if (prunable > 0) {
    size.set_sparsity(static_cast<double>(pruned) / static_cast<double>(prunable));
  }
  return size;
}

}  // namespace cytopress
