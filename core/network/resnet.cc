#include <array>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status_macros.h"
#include "core/network/network.h"

namespace cytopress {
namespace {

struct Architecture {
  absl::string_view name;
  std::array<int, 4> blocks;  // of each stage
  bool bottleneck;
  int width;  // channels of the stem and of the first stage's 3x3 convolutions
};

constexpr Architecture kArchitectures[] = {
    {"resnet18", {2, 2, 2, 2}, false, 64},  {"resnet20", {3, 3, 3, 0}, false, 16},
    {"resnet34", {3, 4, 6, 3}, false, 64},  {"resnet50", {3, 4, 6, 3}, true, 64},
    {"resnet101", {3, 4, 23, 3}, true, 64},
};

constexpr int kBottleneckExpansion = 4;

absl::StatusOr<Architecture> FindArchitecture(const std::string& name) {
  for (const Architecture& architecture : kArchitectures) {
    if (architecture.name == name) return architecture;
  }
  return absl::InvalidArgumentError(absl::StrCat("network.architecture: '", name,
                                                 "' is unknown; use one of ",
                                                 absl::StrJoin(ArchitectureNames(), ", ")));
}

absl::Status CheckSpec(const NetworkSpec& spec) {
  if (spec.classes < 2 || spec.classes > kMaxClasses) {
    return absl::InvalidArgumentError(absl::StrCat("network.classes: ", spec.classes,
                                                   " is out of range; a classifier needs 2 to ",
                                                   kMaxClasses));
  }
  if (spec.input_channels != 1 && spec.input_channels != 3) {
    return absl::InvalidArgumentError(absl::StrCat("network.input_channels: ", spec.input_channels,
                                                   " is not 1 (gray) or 3 (RGB)"));
  }
  for (int side : {spec.input_height, spec.input_width}) {
    if (side < 8 || side > 1024) {
      return absl::InvalidArgumentError(absl::StrCat("network.input_height/width: ", side,
                                                     " pixels is out of range; use 8 to 1024"));
    }
  }
  return absl::OkStatus();
}

// Appends layers, keeping track of the shapes.
class Builder {
 public:
  explicit Builder(const NetworkSpec& spec) {
    network_.spec = spec;
    Layer input;
    input.op = Op::kInput;
    input.name = "input";
    input.out_channels = spec.input_channels;
    input.out_height = spec.input_height;
    input.out_width = spec.input_width;
    network_.layers.push_back(input);
  }

  struct ConvOptions {
    int out_channels;
    int kernel;
    int stride;
    bool relu = true;
    int residual = -1;
  };

  int Conv(const std::string& name, const std::string& batch_norm, int input,
           const ConvOptions& options) {
    Layer layer = Windowed(Op::kConv, name, input, options.kernel, options.stride);
    layer.batch_norm = batch_norm;
    layer.out_channels = options.out_channels;
    layer.relu = options.relu;
    layer.residual = options.residual;
    return Append(layer);
  }

  int MaxPool(const std::string& name, int input, int kernel, int stride) {
    return Append(Windowed(Op::kMaxPool, name, input, kernel, stride));
  }

  int GlobalAvgPool(int input) {
    Layer layer = Windowed(Op::kGlobalAvgPool, "avgpool", input, 1, 1);
    layer.out_height = layer.out_width = 1;
    return Append(layer);
  }

  int Linear(const std::string& name, int input, int out_features) {
    Layer layer = Windowed(Op::kLinear, name, input, 1, 1);
    layer.out_channels = out_features;
    return Append(layer);
  }

  int channels(int layer) const { return network_.layers[layer].out_channels; }
  Network Take() { return std::move(network_); }

 private:
  Layer Windowed(Op op, const std::string& name, int input, int kernel, int stride) const {
    const Layer& from = network_.layers[input];
    Layer layer;
    layer.op = op;
    layer.name = name;
    layer.input = input;
    layer.in_channels = layer.out_channels = from.out_channels;
    layer.kernel = kernel;
    layer.stride = stride;
    layer.padding = kernel / 2;
    layer.out_height = (from.out_height + 2 * layer.padding - kernel) / stride + 1;
    layer.out_width = (from.out_width + 2 * layer.padding - kernel) / stride + 1;
    return layer;
  }

  int Append(const Layer& layer) {
    network_.layers.push_back(layer);
    return static_cast<int>(network_.layers.size()) - 1;
  }

  Network network_;
};

int AppendStem(Builder& builder, Stem stem, int width) {
  const int kernel = stem == Stem::kImagenet ? 7 : 3;
  const int stride = stem == Stem::kCifar ? 1 : 2;
  const int conv = builder.Conv("conv1", "bn1", 0, {width, kernel, stride});
  return stem == Stem::kImagenet ? builder.MaxPool("maxpool", conv, 3, 2) : conv;
}

struct BlockOptions {
  std::string prefix;  // "layer1.0"
  int width;           // channels of the 3x3 convolutions
  int stride;
  bool bottleneck;
};

int AppendBlock(Builder& builder, int input, const BlockOptions& options) {
  const std::string& prefix = options.prefix;
  const int out_channels =
      options.bottleneck ? options.width * kBottleneckExpansion : options.width;
  int identity = input;
  if (options.stride != 1 || builder.channels(input) != out_channels) {
    identity = builder.Conv(prefix + ".downsample.0", prefix + ".downsample.1", input,
                            {out_channels, 1, options.stride, /*relu=*/false});
  }
  if (!options.bottleneck) {
    const int first =
        builder.Conv(prefix + ".conv1", prefix + ".bn1", input, {options.width, 3, options.stride});
    return builder.Conv(prefix + ".conv2", prefix + ".bn2", first,
                        {out_channels, 3, 1, /*relu=*/true, identity});
  }
  const int reduce = builder.Conv(prefix + ".conv1", prefix + ".bn1", input, {options.width, 1, 1});
  const int spatial =
      builder.Conv(prefix + ".conv2", prefix + ".bn2", reduce, {options.width, 3, options.stride});
  return builder.Conv(prefix + ".conv3", prefix + ".bn3", spatial,
                      {out_channels, 1, 1, /*relu=*/true, identity});
}

}  // namespace

std::vector<std::string> ArchitectureNames() {
  std::vector<std::string> names;
  for (const Architecture& architecture : kArchitectures) names.emplace_back(architecture.name);
  return names;
}

absl::StatusOr<Network> BuildNetwork(const NetworkSpec& spec) {
  CYTOPRESS_ASSIGN_OR_RETURN(const Architecture architecture, FindArchitecture(spec.architecture));
  CYTOPRESS_RETURN_IF_ERROR(CheckSpec(spec));
  Builder builder(spec);
  int last = AppendStem(builder, spec.stem, architecture.width);
  for (int stage = 0; stage < 4; ++stage) {
    for (int block = 0; block < architecture.blocks[stage]; ++block) {
      last = AppendBlock(builder, last,
                         {absl::StrCat("layer", stage + 1, ".", block), architecture.width << stage,
                          stage > 0 && block == 0 ? 2 : 1, architecture.bottleneck});
    }
  }
  builder.Linear("fc", builder.GlobalAvgPool(last), spec.classes);
  return builder.Take();
}

}  // namespace cytopress
