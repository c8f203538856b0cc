#include "core/compression/pruning.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/artifact/artifact.h"

namespace cytopress {
namespace {

// The prunable weight tensors in network order.
std::vector<std::pair<std::string, torch::Tensor>> PrunableWeights(const TorchNetwork& network) {
  std::vector<std::pair<std::string, torch::Tensor>> weights;
  for (const Layer& layer : network.network().layers) {
    if (!IsPrunable(layer)) continue;
    const std::string name = layer.name + ".weight";
    weights.emplace_back(name, network.tensors().at(name));
  }
  return weights;
}

}  // namespace

Masks GlobalMagnitudeMasks(const TorchNetwork& network, double sparsity) {
  torch::NoGradGuard no_grad;
  const auto weights = PrunableWeights(network);
  std::vector<float> magnitudes;
  for (const auto& [name, weight] : weights) {
    const torch::Tensor flat = weight.abs().to(torch::kCPU).contiguous();
    magnitudes.insert(magnitudes.end(), flat.data_ptr<float>(),
                      flat.data_ptr<float>() + flat.numel());
  }
  const int64_t removed = std::llround(sparsity * static_cast<double>(magnitudes.size()));
  Masks masks;
  if (removed == 0) {
    for (const auto& [name, weight] : weights) masks[name] = torch::ones_like(weight);
    return masks;
  }
  std::vector<float> ordered = magnitudes;
  std::nth_element(ordered.begin(), ordered.begin() + (removed - 1), ordered.end());
  const float threshold = ordered[removed - 1];
  // Weights equal to the threshold go only until the wanted number is reached.
  int64_t ties = removed - std::count_if(magnitudes.begin(), magnitudes.end(),
                                         [&](float magnitude) { return magnitude < threshold; });
  auto magnitude = magnitudes.begin();
  for (const auto& [name, weight] : weights) {
    torch::Tensor mask = torch::empty(weight.sizes(), torch::kFloat32);  // contiguous, as above
    float* keep = mask.data_ptr<float>();
    for (int64_t i = 0; i < mask.numel(); ++i, ++magnitude) {
      const bool remove = *magnitude < threshold || (*magnitude == threshold && ties-- > 0);
      keep[i] = remove ? 0.0f : 1.0f;
    }
    masks[name] = mask.contiguous(at::MemoryFormat::ChannelsLast).to(weight.device());
  }
  return masks;
}

void ApplyMasks(const Masks& masks, const TorchNetwork& network) {
  torch::NoGradGuard no_grad;
  for (const auto& [name, mask] : masks) {
    torch::Tensor weight = network.tensors().at(name);
    weight.mul_(mask);
  }
}

absl::Status CheckMasks(const Masks& masks, const TorchNetwork& network) {
  torch::NoGradGuard no_grad;
  for (const auto& [name, mask] : masks) {
    const int64_t alive = ((mask == 0) & (network.tensors().at(name) != 0)).sum().item<int64_t>();
    if (alive > 0) {
      return absl::InternalError(absl::StrCat("the pruning mask is broken: ", alive,
                                              " removed weights of ", name, " are not zero"));
    }
  }
  return absl::OkStatus();
}

double Sparsity(const TorchNetwork& network) {
  torch::NoGradGuard no_grad;
  int64_t zeros = 0, count = 0;
  for (const auto& [name, weight] : PrunableWeights(network)) {
    zeros += (weight == 0).sum().item<int64_t>();
    count += weight.numel();
  }
  return count == 0 ? 0 : static_cast<double>(zeros) / static_cast<double>(count);
}

}  // namespace cytopress
