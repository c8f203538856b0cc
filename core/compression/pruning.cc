#include "core/compression/pruning.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/artifact/artifact.h"
#include "core/compression/dead_channels.h"

namespace cytopress {
namespace {

// The prunable weight tensors in network order.
using Weights = std::vector<std::pair<std::string, torch::Tensor>>;
Weights PrunableWeights(const TorchNetwork& network) {
  Weights weights;
  for (const Layer& layer : network.network().layers) {
    if (!IsPrunable(layer)) continue;
    const std::string name = layer.name + ".weight";
    weights.emplace_back(name, network.tensors().at(name));
  }
  return weights;
}

constexpr int kBlock = 4;

// The k-th smallest, from 1, of a flat tensor.
float KthSmallest(const torch::Tensor& values, int64_t k) {
  if (values.is_cuda()) return std::get<0>(at::kthvalue(values, k)).item<float>();
  const torch::Tensor ordered = values.clone();
  float* const first = ordered.data_ptr<float>();
  std::nth_element(first, first + (k - 1), first + ordered.numel());
  return first[k - 1];
}

// Flat flags of the flat scores, false for the `removed` smallest; of equal ones the first go.
torch::Tensor KeepLargest(const torch::Tensor& scores, int64_t removed) {
  if (removed == 0) return torch::ones_like(scores, torch::kBool);
  const float threshold = KthSmallest(scores, removed);
  torch::Tensor keep = scores > threshold;
  const int64_t missing = scores.numel() - removed - keep.sum().item<int64_t>();
  if (missing > 0) {
    const torch::Tensor equal = (scores == threshold).nonzero().flatten();
    // None equals the threshold of a network that has diverged, as its loss will tell.
    const int64_t last = std::min(missing, equal.numel());
    keep.index_fill_(0, equal.narrow(0, equal.numel() - last, last), true);
  }
  return keep;
}

int64_t Removed(double sparsity, int64_t groups) {
  return std::llround(sparsity * static_cast<double>(groups));
}

// On the way to options.sparsity() every layer is as far on its own way.
double LayerSparsity(const v1::PruneOptions& options, const std::string& weight_name,
                     double sparsity) {
  const auto own =
      options.layer_sparsity().find(std::string(absl::StripSuffix(weight_name, ".weight")));
  if (own == options.layer_sparsity().end()) return sparsity;
  return options.sparsity() > 0 ? own->second * sparsity / options.sparsity() : own->second;
}

// The mask of a weight from the flat flags of its groups.
torch::Tensor MaskOf(const torch::Tensor& keep, const torch::Tensor& weight, int group) {
  const torch::Tensor mask =
      keep.view({weight.size(0), -1, weight.size(2), weight.size(3)}).to(torch::kFloat32);
  return group == 1 ? mask : mask.repeat_interleave(group, 1).narrow(1, 0, weight.size(1));
}

// The two largest of every four input channels.
torch::Tensor TwoOfFourMask(const torch::Tensor& weight) {
  const torch::Tensor magnitude = weight.abs().to(torch::kCPU).contiguous();
  const int64_t whole = weight.size(1) / kBlock;
  torch::Tensor mask = torch::ones(weight.sizes(), torch::kFloat32);
  if (whole > 0) {
    const torch::Tensor groups =
        magnitude.narrow(1, 0, whole * kBlock)
            .reshape({weight.size(0), whole, kBlock, weight.size(2), weight.size(3)});
    const torch::Tensor smallest = std::get<1>(groups.topk(kBlock / 2, 2, /*largest=*/false));
    mask.narrow(1, 0, whole * kBlock)
        .copy_(torch::ones_like(groups)
                   .scatter_(2, smallest, 0.0)
                   .reshape({weight.size(0), whole * kBlock, weight.size(2), weight.size(3)}));
  }
  return mask.contiguous(at::MemoryFormat::ChannelsLast).to(weight.device());
}

// Of the blocks of a weight tensor of that name, those that are removed first having the least.
using Scores = std::function<torch::Tensor(const std::string& name, const torch::Tensor& weight)>;

// One threshold for all. What it leaves without a use goes too, and leaves its place to others: the
// threshold is sought again without it.
Masks GlobalMasks(const Network& network, const Weights& weights, int group,
                  const Scores& scores_of, double sparsity) {
  Masks masks, allowed;
  for (const auto& [name, weight] : weights) {
    allowed[name] = torch::ones(weight.sizes(), weight.options().dtype(torch::kFloat32));
  }
  do {
    std::vector<torch::Tensor> scores;
    for (const auto& [name, weight] : weights) {
      scores.push_back(scores_of(name, weight * allowed.at(name)).flatten());
    }
    const torch::Tensor all = at::cat(scores);
    const torch::Tensor keep = KeepLargest(all, Removed(sparsity, all.numel()));
    int64_t first = 0;
    for (size_t i = 0; i < weights.size(); first += scores[i++].numel()) {
      const auto& [name, weight] = weights[i];
      masks[name] =
          MaskOf(keep.narrow(0, first, scores[i].numel()), weight, group) * allowed.at(name);
    }
  } while (ForbidUseless(network, masks, &allowed));
  for (auto& [name, mask] : masks) mask = mask.contiguous(at::MemoryFormat::ChannelsLast);
  return masks;
}

// Half of each its own, half the mean of those whose weight is not zero.
torch::Tensor Smooth(const torch::Tensor& fisher, const torch::Tensor& weight) {
  const torch::Tensor kept = weight != 0;
  return (fisher + (fisher * kept).sum() / kept.sum().clamp_min(1)) / 2;
}

// By name of a weight tensor, what each of its weights costs.
std::map<std::string, double> CostsOfWeights(const Network& network) {
  double weights = 0, products = 0;
  for (const Layer& layer : network.layers) {
    if (!IsPrunable(layer)) continue;
    weights += static_cast<double>(layer.weight_count());
    products += static_cast<double>(layer.weight_count() * layer.out_height * layer.out_width);
  }
  std::map<std::string, double> costs;
  for (const Layer& layer : network.layers) {
    const double positions = static_cast<double>(layer.out_height) * layer.out_width;
    costs[layer.name + ".weight"] = 1 + positions * weights / products;
  }
  return costs;
}

}  // namespace

int BlockSize(v1::PrunePattern pattern) { return pattern == v1::PRUNE_PATTERN_BLOCK4 ? kBlock : 1; }

torch::Tensor BlockScores(const torch::Tensor& weight, int block) {
  torch::Tensor magnitude = weight.abs().contiguous();
  if (block == 1) return magnitude;
  const int64_t missing = (block - weight.size(1) % block) % block;
  if (missing > 0) magnitude = at::constant_pad_nd(magnitude, {0, 0, 0, 0, 0, missing});
  return magnitude
      .reshape({weight.size(0), magnitude.size(1) / block, block, weight.size(2), weight.size(3)})
      .sum(2)
      .contiguous();
}

double WantedSparsity(const TorchNetwork& network, const v1::PruneOptions& options) {
  const bool one_threshold =
      options.layer_sparsity().empty() && options.method() != v1::PRUNE_METHOD_LAYER_MAGNITUDE;
  double removed = 0, all = 0;
  for (const auto& [name, weight] : PrunableWeights(network)) {
    const auto count = static_cast<double>(weight.numel());
    removed += std::max(0.0, LayerSparsity(options, name, options.sparsity()) * count - kBlock);
    all += count;
  }
  if (one_threshold) removed = std::max(0.0, options.sparsity() * all - kBlock);
  return removed / all;
}

absl::Status CheckLayers(const TorchNetwork& network, const v1::PruneOptions& options) {
  const auto weights = PrunableWeights(network);
  for (const auto& [layer, sparsity] : options.layer_sparsity()) {
    const std::string name = layer + ".weight";
    const bool found = std::any_of(weights.begin(), weights.end(),
                                   [&](const auto& weight) { return weight.first == name; });
    if (found) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("recipe.prune.layer_sparsity[", layer,
                     "]: the network has no such layer to prune; names are like ",
                     absl::StripSuffix(weights.begin()->first, ".weight")));
  }
  return absl::OkStatus();
}

Masks MagnitudeMasks(const TorchNetwork& network, const v1::PruneOptions& options,
                     double sparsity) {
  torch::NoGradGuard no_grad;
  Masks masks;
  const auto weights = PrunableWeights(network);
  if (options.pattern() == v1::PRUNE_PATTERN_TWO_OF_FOUR) {
    for (const auto& [name, weight] : weights) masks[name] = TwoOfFourMask(weight);
    return masks;
  }
  const int group = BlockSize(options.pattern());
  if (options.method() == v1::PRUNE_METHOD_LAYER_MAGNITUDE || !options.layer_sparsity().empty()) {
    for (const auto& [name, weight] : weights) {
      const torch::Tensor scores = BlockScores(weight, group).flatten();
      const double wanted = LayerSparsity(options, name, sparsity);
      masks[name] = MaskOf(KeepLargest(scores, Removed(wanted, scores.numel())), weight, group)
                        .contiguous(at::MemoryFormat::ChannelsLast);
    }
    return masks;
  }
  return GlobalMasks(
      network.network(), weights, group,
      [&](const std::string&, const torch::Tensor& weight) { return BlockScores(weight, group); },
      sparsity);
}

bool UsesFisher(const v1::PruneOptions& options) {
  return (options.method() == v1::PRUNE_METHOD_FISHER ||
          options.method() == v1::PRUNE_METHOD_COST_AWARE_FISHER) &&
         options.layer_sparsity().empty() && options.pattern() != v1::PRUNE_PATTERN_TWO_OF_FOUR;
}

Masks FisherMasks(const TorchNetwork& network, const v1::PruneOptions& options, double sparsity,
                  const FisherDiagonal& fisher) {
  torch::NoGradGuard no_grad;
  const auto weights = PrunableWeights(network);
  const int group = BlockSize(options.pattern());
  const auto costs = CostsOfWeights(network.network());
  FisherDiagonal smooth;
  for (const auto& [name, weight] : weights) smooth[name] = Smooth(fisher.at(name), weight);
  const auto scores_of = [&](const std::string& name, const torch::Tensor& weight) {
    const torch::Tensor losses = BlockScores(smooth.at(name) * weight.square(), group);
    if (options.method() == v1::PRUNE_METHOD_FISHER) return losses;
    const double cost = costs.at(name);
    return losses / (cost * cost);
  };
  return GlobalMasks(network.network(), weights, group, scores_of, sparsity);
}

double CubicSparsity(double target, int64_t step, int64_t steps) {
  if (step >= steps) return target;
  const double t = std::max(0.05, static_cast<double>(step) / static_cast<double>(steps));
  return target * (1 - std::pow(1 - t, 3));
}

Masks MasksOfZeros(const TorchNetwork& network) {
  torch::NoGradGuard no_grad;
  Masks masks;
  for (const auto& [name, weight] : PrunableWeights(network)) {
    const torch::Tensor kept = weight != 0;
    if (!kept.all().item<bool>()) masks[name] = kept.to(torch::kFloat32);
  }
  return masks;
}

void ApplyMasks(const Masks& masks, const TorchNetwork& network) {
  torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> weights, flags;
  for (const auto& [name, mask] : masks) {
    weights.push_back(network.tensors().at(name));
    flags.push_back(mask);
  }
  if (!weights.empty()) at::_foreach_mul_(weights, flags);
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
