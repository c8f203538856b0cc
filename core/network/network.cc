#include "core/network/network.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"

namespace cytopress {
namespace {

absl::StatusOr<const std::vector<float>*> FindChannels(const TensorMap& tensors,
                                                       const std::string& name, int channels) {
  const auto it = tensors.find(name);
  if (it == tensors.end())
    return absl::NotFoundError(absl::StrCat("the tensor ", name, " is missing"));
  if (static_cast<int>(it->second.values.size()) != channels) {
    return absl::InvalidArgumentError(
        absl::StrCat("the tensor ", name, " has ", it->second.values.size(),
                     " values; the layer has ", channels, " channels"));
  }
  return &it->second.values;
}

}  // namespace

int64_t Macs(const Network& network) {
  int64_t sum = 0;
  for (const Layer& layer : network.layers) {
    sum += layer.weight_count() * layer.out_height * layer.out_width;
  }
  return sum;
}

std::vector<size_t> ConvolutionsReading(const Network& network, int layer) {
  std::vector<size_t> readers;
  for (size_t i = 0; i < network.layers.size(); ++i) {
    const Layer& reader = network.layers[i];
    if (reader.residual == layer || (reader.input == layer && reader.op != Op::kConv)) return {};
    if (reader.input == layer) readers.push_back(i);
  }
  return readers;
}

absl::StatusOr<ChannelAffine> FoldBatchNorm(const Layer& layer, const TensorMap& tensors) {
  ChannelAffine affine;
  affine.scale.assign(layer.out_channels, 1.0f);
  const std::string& norm = layer.batch_norm;
  if (norm.empty() || tensors.count(norm + ".weight") == 0) {
    CYTOPRESS_ASSIGN_OR_RETURN(const auto* bias,
                               FindChannels(tensors, layer.name + ".bias", layer.out_channels));
    affine.bias = *bias;
    return affine;
  }
  const int channels = layer.out_channels;
  CYTOPRESS_ASSIGN_OR_RETURN(const auto* gamma, FindChannels(tensors, norm + ".weight", channels));
  CYTOPRESS_ASSIGN_OR_RETURN(const auto* beta, FindChannels(tensors, norm + ".bias", channels));
  CYTOPRESS_ASSIGN_OR_RETURN(const auto* mean,
                             FindChannels(tensors, norm + ".running_mean", channels));
  CYTOPRESS_ASSIGN_OR_RETURN(const auto* variance,
                             FindChannels(tensors, norm + ".running_var", channels));
  affine.bias.resize(channels);
  for (int c = 0; c < channels; ++c) {
    affine.scale[c] = (*gamma)[c] / std::sqrt((*variance)[c] + kBatchNormEpsilon);
    affine.bias[c] = (*beta)[c] - (*mean)[c] * affine.scale[c];
  }
  return affine;
}

}  // namespace cytopress
