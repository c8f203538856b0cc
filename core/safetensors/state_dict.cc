#include "core/safetensors/state_dict.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "core/base/status_macros.h"

namespace cytopress {
namespace {

using Shapes = std::map<std::string, std::vector<int64_t>>;

constexpr absl::string_view kFirstConvolution = "conv1.weight";
constexpr size_t kNamedTensors = 4;

std::string Some(std::vector<std::string> names) {
  const bool more = names.size() > kNamedTensors;
  if (more) names.resize(kNamedTensors);
  return absl::StrCat(absl::StrJoin(names, ", "), more ? ", ..." : "");
}

std::vector<std::string> NamesOf(const TensorMap& tensors) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : tensors) names.push_back(name);
  return names;
}

// Of a prefix, whether it names one of the layers in a row ("layer1.0.") that has no layers of its
// own, as networks in a row have.
bool IsBlock(absl::string_view prefix, const TensorMap& tensors) {
  if (!absl::ConsumeSuffix(&prefix, ".")) return false;
  int number;
  if (!absl::SimpleAtoi(prefix.substr(prefix.rfind('.') + 1), &number)) return false;
  const std::string first_layer = absl::StrCat(prefix, ".layer1.");
  const auto it = tensors.lower_bound(first_layer);
  return it == tensors.end() || !absl::StartsWith(it->first, first_layer);
}

bool IsShorter(absl::string_view a, absl::string_view b) { return a.size() < b.size(); }

// What stands before the names of all of the network's tensors: the shortest that a first
// convolution has. Blocks have one as well; a prefix that begins otherwise is another network's (a
// teacher's, an average's).
absl::StatusOr<std::string> PrefixOf(const TensorMap& tensors) {
  std::vector<std::string> prefixes;
  for (const auto& [name, tensor] : tensors) {
    absl::string_view prefix = name;
    if (!absl::ConsumeSuffix(&prefix, kFirstConvolution)) continue;
    if (!prefix.empty() && !absl::EndsWith(prefix, ".")) continue;
    if (!IsBlock(prefix, tensors)) prefixes.emplace_back(prefix);
  }
  if (prefixes.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("there is no tensor ", kFirstConvolution,
                     ", as the ResNets of torchvision and MedMNIST have it; there are: ",
                     Some(NamesOf(tensors))));
  }
  const std::string shortest = *std::min_element(prefixes.begin(), prefixes.end(), IsShorter);
  const auto others =
      std::remove_if(prefixes.begin(), prefixes.end(),
                     [&](const std::string& prefix) { return absl::StartsWith(prefix, shortest); });
  prefixes.erase(others, prefixes.end());
  if (prefixes.empty()) return shortest;
  return absl::InvalidArgumentError(
      absl::StrCat("the weights are of two networks, ", shortest, "* and ",
                   *std::min_element(prefixes.begin(), prefixes.end(), IsShorter),
                   "*; save one network's state_dict()"));
}

// "fc.1.weight" to "fc.weight", where no other layer of that Sequential has weights.
void NameClassifier(TensorMap* tensors) {
  std::vector<std::string> names;
  for (const std::string& name : NamesOf(*tensors)) {
    if (absl::StartsWith(name, "fc.")) names.push_back(name);
  }
  if (names.size() != 2 || !absl::EndsWith(names[0], ".bias") ||
      !absl::EndsWith(names[1], ".weight")) {
    return;
  }
  for (const std::string& name : names) {
    auto node = tensors->extract(name);
    node.key() = absl::StrCat("fc", name.substr(name.rfind('.')));
    tensors->insert(std::move(node));
  }
}

TensorMap WithTorchvisionNames(TensorMap tensors, absl::string_view prefix) {
  TensorMap renamed;
  for (auto& [name, tensor] : tensors) {
    absl::string_view own = name;
    if (!absl::ConsumePrefix(&own, prefix)) continue;
    if (absl::EndsWith(own, ".num_batches_tracked")) continue;
    std::string known = absl::StrReplaceAll(own, {{".shortcut.", ".downsample."}});
    if (absl::StartsWith(known, "linear.")) known.replace(0, 6, "fc");
    renamed[std::move(known)] = std::move(tensor);
  }
  NameClassifier(&renamed);
  return renamed;
}

Shapes ShapesOf(const Network& network) {
  Shapes shapes;
  for (const Layer& layer : network.layers) {
    if (layer.weight_count() == 0) continue;
    const std::vector<int64_t> channels = {layer.out_channels};
    if (layer.op == Op::kLinear) {
      shapes[layer.name + ".weight"] = {layer.out_channels, layer.in_channels};
      shapes[layer.name + ".bias"] = channels;
      continue;
    }
    shapes[layer.name + ".weight"] = {layer.out_channels, layer.in_channels, layer.kernel,
                                      layer.kernel};
    for (const char* part : {".weight", ".bias", ".running_mean", ".running_var"}) {
      shapes[layer.batch_norm + part] = channels;
    }
  }
  return shapes;
}

// What differs, as the end of a sentence about the weights; empty: nothing.
struct Difference {
  size_t tensors = 0;
  std::string text;
};

Difference Compare(const TensorMap& tensors, const Shapes& shapes) {
  std::vector<std::string> missing, unknown, misshapen;
  for (const auto& [name, shape] : shapes) {
    const auto found = tensors.find(name);
    if (found == tensors.end()) {
      missing.push_back(name);
    } else if (found->second.shape != shape) {
      misshapen.push_back(absl::StrCat(name, " [", absl::StrJoin(found->second.shape, ", "),
                                       "] for [", absl::StrJoin(shape, ", "), "]"));
    }
  }
  for (const auto& [name, tensor] : tensors) {
    if (shapes.count(name) == 0) unknown.push_back(name);
  }
  std::vector<std::string> parts;
  if (!missing.empty()) parts.push_back(absl::StrCat("missing are ", Some(missing)));
  if (!unknown.empty()) parts.push_back(absl::StrCat("it does not have ", Some(unknown)));
  if (!misshapen.empty()) parts.push_back(absl::StrCat("of another shape are ", Some(misshapen)));
  return {missing.size() + unknown.size() + misshapen.size(), absl::StrJoin(parts, "; ")};
}

absl::StatusOr<Stem> StemOf(const Tensor& first, std::optional<Stem> stem) {
  const int64_t kernel = first.shape[2];
  const bool imagenet = kernel == 7;
  if (stem.value_or(Stem::kImagenet) == Stem::kImagenet && imagenet) return Stem::kImagenet;
  if (stem.has_value() && *stem != Stem::kImagenet && kernel == 3) return *stem;
  if (kernel == 3) {
    return absl::InvalidArgumentError(
        "stem: the first convolution is 3x3, and the weights do not tell its stride; say cifar "
        "(stride 1, as MedMNIST has it) or stride2");
  }
  return absl::InvalidArgumentError(
      absl::StrCat("stem: the first convolution is ", kernel, "x", first.shape[3],
                   "; imagenet has 7x7 with stride 2, cifar 3x3 with stride 1, stride2 3x3 with "
                   "stride 2"));
}

}  // namespace

absl::StatusOr<RecognizedNetwork> RecognizeNetwork(TensorMap tensors, std::optional<Stem> stem) {
  CYTOPRESS_ASSIGN_OR_RETURN(const std::string prefix, PrefixOf(tensors));
  tensors = WithTorchvisionNames(std::move(tensors), prefix);
  const Tensor& first = tensors.at(std::string(kFirstConvolution));
  const auto classifier = tensors.find("fc.weight");
  if (first.shape.size() != 4 || classifier == tensors.end() ||
      classifier->second.shape.size() != 2) {
    return absl::InvalidArgumentError(
        "the weights have no convolution conv1 and linear layer fc, as a ResNet has");
  }
  NetworkSpec spec;
  CYTOPRESS_ASSIGN_OR_RETURN(spec.stem, StemOf(first, stem));
  // What does not fit an int is refused by BuildNetwork.
  spec.input_channels = static_cast<int>(std::min<int64_t>(first.shape[1], INT32_MAX));
  spec.classes = static_cast<int>(std::min<int64_t>(classifier->second.shape[0], INT32_MAX));
  std::optional<Difference> nearest;
  std::string nearest_name;
  for (const std::string& architecture : ArchitectureNames()) {
    spec.architecture = architecture;
    CYTOPRESS_ASSIGN_OR_RETURN(const Network network, BuildNetwork(spec));
    Difference difference = Compare(tensors, ShapesOf(network));
    if (difference.tensors == 0) return RecognizedNetwork{spec, std::move(tensors)};
    if (nearest.has_value() && nearest->tensors <= difference.tensors) continue;
    nearest = std::move(difference);
    nearest_name = architecture;
  }
  return absl::InvalidArgumentError(absl::StrCat("the weights fit none of ",
                                                 absl::StrJoin(ArchitectureNames(), ", "), "; of ",
                                                 nearest_name, ", the nearest, ", nearest->text));
}

}  // namespace cytopress
