// The ResNet family (He et al., "Deep Residual Learning for Image Recognition", 2015; the
// bottleneck's stride in its 3x3 convolution, as torchvision has it; resnet20 is section 4.2's for
// small images, with projections as shortcuts) as plain data. LibTorch trains it, the artifact
// stores it, the engines run it; none of them is known here.
#ifndef CYTOPRESS_CORE_NETWORK_NETWORK_H_
#define CYTOPRESS_CORE_NETWORK_NETWORK_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace cytopress {

enum class Stem {
  kImagenet,  // 7x7 stride 2, then 3x3 max-pool stride 2
  kCifar,     // 3x3 stride 1, no pooling (as MedMNIST uses at 28 px)
  kStride2,   // 3x3 stride 2, no pooling
};

// "resnet18" and so on, by depth.
std::vector<std::string> ArchitectureNames();

struct NetworkSpec {
  std::string architecture = "resnet50";  // one of ArchitectureNames()
  Stem stem = Stem::kImagenet;
  int classes = 0;
  int input_channels = 3;
  int input_height = 28;  // pixels
  int input_width = 28;

  bool operator==(const NetworkSpec& o) const {
    return architecture == o.architecture && stem == o.stem && classes == o.classes &&
           input_channels == o.input_channels && input_height == o.input_height &&
           input_width == o.input_width;
  }
};

enum class Op { kInput, kConv, kMaxPool, kGlobalAvgPool, kLinear };

// One layer with everything that is computed in one go: a convolution with its batch norm, the
// residual that is added to it and the ReLU that follows. Layers are in execution order;
// `input` and `residual` are indices of earlier layers.
struct Layer {
  Op op = Op::kConv;
  // torchvision's name of the convolution or linear module ("layer1.0.conv1", "fc"); "input",
  // "maxpool" and "avgpool" otherwise. Parameters are "<name>.weight" and "<name>.bias".
  std::string name;
  // torchvision's name of the batch norm after it ("layer1.0.bn1"); empty when there is none.
  std::string batch_norm;
  int input = -1;
  int residual = -1;  // added after batch norm and before ReLU; -1 = none
  bool relu = false;
  int in_channels = 0;
  int out_channels = 0;
  int kernel = 1;  // square
  int stride = 1;
  int padding = 0;
  int out_height = 0;
  int out_width = 0;

  int64_t weight_count() const {
    return op == Op::kConv || op == Op::kLinear
               ? int64_t{out_channels} * in_channels * kernel * kernel
               : 0;
  }
};

struct Network {
  NetworkSpec spec;
  std::vector<Layer> layers;  // [0] is the input, the last is the classifier "fc"
};

// Multiply-accumulates of one image.
int64_t Macs(const Network& network);

// The layers that read the output of layer number `layer`, if they are convolutions only, which
// have weights to ignore a channel with; else none.
std::vector<size_t> ConvolutionsReading(const Network& network, int layer);

// The most classes of a network: a model file holds up to four confusion matrices beside its
// weights, and ImageNet has 1000 classes.
inline constexpr int kMaxClasses = 1024;

// INVALID_ARGUMENT names the field that is wrong: unknown architecture, fewer than 2 or more than
// kMaxClasses classes, channels other than 1 or 3, an input under 8 or over 1024 pixels.
absl::StatusOr<Network> BuildNetwork(const NetworkSpec& spec);

// A named array of floats, row-major. Convolution weights are [out, in, kernel, kernel], linear
// weights [out, in], everything else [channels].
struct Tensor {
  std::vector<int64_t> shape;
  std::vector<float> values;
};

// The parameters and batch-norm statistics of a network by torchvision's names: "conv1.weight",
// "bn1.weight", "bn1.bias", "bn1.running_mean", "bn1.running_var", ..., "fc.weight", "fc.bias".
// A network with folded batch norm has "<conv>.bias" in place of the four batch-norm tensors.
using TensorMap = std::map<std::string, Tensor>;

inline constexpr float kBatchNormEpsilon = 1e-5f;

// The multiplier of each output channel of `layer` (gamma / sqrt(var + eps)) and the bias that
// remains when its batch norm is folded: y = scale * conv(x) + bias. Folded already: all ones and
// the stored bias. NOT_FOUND or INVALID_ARGUMENT names a missing or misshapen tensor.
struct ChannelAffine {
  std::vector<float> scale;
  std::vector<float> bias;
};
absl::StatusOr<ChannelAffine> FoldBatchNorm(const Layer& layer, const TensorMap& tensors);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_NETWORK_NETWORK_H_
