#include "core/compression/dead_channels.h"

#include <algorithm>
#include <vector>

namespace cytopress {
namespace {

class Pruner {
 public:
  Pruner(const Network& network, const WeightFlags& kept, WeightFlags* allowed)
      : layers_(network.layers), allowed_(*allowed) {
    for (auto& [name, flags] : allowed_) left_[name] = kept.at(name) * flags;
    for (size_t i = 0; i < layers_.size(); ++i) {
      std::vector<size_t>& readers =
          readers_.emplace_back(ConvolutionsReading(network, static_cast<int>(i)));
      const auto has_flags = [&](size_t reader) { return Find(reader) != nullptr; };
      if (!std::all_of(readers.begin(), readers.end(), has_flags)) readers.clear();
    }
  }

  // From the last layer on: what one loses, those before it may lose too.
  bool ForbidUnread() {
    bool found = false;
    for (size_t i = layers_.size(); i-- > 0;) {
      if (Find(i) == nullptr || readers_[i].empty()) continue;
      torch::Tensor read =
          torch::zeros({layers_[i].out_channels}, Find(i)->options().dtype(torch::kBool));
      for (const size_t reader : readers_[i]) read |= (*Find(reader) != 0).any(3).any(2).any(0);
      found = Forbid(i, read.to(torch::kFloat32).view({-1, 1, 1, 1})) || found;
    }
    return found;
  }

  bool ForbidSilent() {
    bool found = false;
    for (size_t i = 0; i < layers_.size(); ++i) {
      // What is added to it is not silent.
      if (Find(i) == nullptr || layers_[i].residual >= 0) continue;
      const torch::Tensor speaks = (*Find(i) != 0).any(3).any(2).any(1).to(torch::kFloat32);
      for (const size_t reader : readers_[i]) {
        found = Forbid(reader, speaks.view({1, -1, 1, 1})) || found;
      }
    }
    return found;
  }

 private:
  // The flags of what is left of a convolution; null where it has none.
  torch::Tensor* Find(size_t layer) {
    const auto it = left_.find(layers_[layer].name + ".weight");
    return it == left_.end() ? nullptr : &it->second;
  }

  bool Forbid(size_t layer, const torch::Tensor& stays) {
    torch::Tensor& flags = allowed_.at(layers_[layer].name + ".weight");
    if (!((flags != 0) & (stays == 0)).any().item<bool>()) return false;
    flags = flags * stays;
    *Find(layer) *= stays;
    return true;
  }

  const std::vector<Layer>& layers_;
  WeightFlags& allowed_;
  WeightFlags left_;                          // kept and allowed
  std::vector<std::vector<size_t>> readers_;  // of a layer that only convolutions with flags read
};

}  // namespace

bool ForbidUnread(const Network& network, const WeightFlags& kept, WeightFlags* allowed) {
  return Pruner(network, kept, allowed).ForbidUnread();
}

bool ForbidUseless(const Network& network, const WeightFlags& kept, WeightFlags* allowed) {
  Pruner pruner(network, kept, allowed);
  bool found = false;
  for (bool more = true; more; found = found || more) {
    more = pruner.ForbidUnread();
    more = pruner.ForbidSilent() || more;
  }
  return found;
}

}  // namespace cytopress
