#include "tests/core/engine/random_artifact.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/core/kernels/reference.h"

namespace cytopress {
namespace {

using Random = std::mt19937_64;

// Not std::*_distribution, whose values differ between standard libraries.
float Uniform(Random& random, float low, float high) {
  return low + (high - low) * static_cast<float>(random() >> 40) / static_cast<float>(1 << 24);
}

// Nearly normal, variance 1, at most 4.9: the sum of eight uniform numbers, the bytes of a drawn
// one.
float Normal(Random& random) {
  constexpr int kTerms = 8;
  int sum = 0;
  for (uint64_t bytes = random(); bytes != 0; bytes >>= 8) sum += static_cast<int>(bytes & 255);
  const float centered = (static_cast<float>(sum) - 127.5f * kTerms) / 128;
  return centered * std::sqrt(3.0f / kTerms);
}

template <typename Draw>
Tensor RandomTensor(std::vector<int64_t> shape, Draw draw) {
  Tensor tensor;
  int64_t count = 1;
  for (int64_t size : shape) count *= size;
  tensor.shape = std::move(shape);
  tensor.values.resize(count);
  for (float& value : tensor.values) value = draw();
  return tensor;
}

Tensor UniformTensor(Random& random, std::vector<int64_t> shape, float low, float high) {
  return RandomTensor(std::move(shape), [&] { return Uniform(random, low, high); });
}

// Zeroes the blocks of `block` consecutive input channels with the smallest norms. Weights are
// [out, in, taps]; layers whose channels do not divide into blocks are left alone.
void Prune(Tensor& weight, float sparsity, int block) {
  const int64_t outs = weight.shape[0], ins = weight.shape[1];
  const int64_t taps = static_cast<int64_t>(weight.values.size()) / (outs * ins);
  if (ins % block != 0) return;
  std::vector<std::pair<float, int64_t>> norms;  // with the index of the block's first weight
  for (int64_t o = 0; o < outs; ++o) {
    for (int64_t i = 0; i < ins; i += block) {
      for (int64_t t = 0; t < taps; ++t) {
        const int64_t first = (o * ins + i) * taps + t;
        float norm = 0;
        for (int64_t c = 0; c < block; ++c) {
          const float value = weight.values[first + c * taps];
          norm += value * value;
        }
        norms.emplace_back(norm, first);
      }
    }
  }
  const auto zeros = norms.begin() + static_cast<int64_t>(sparsity * norms.size());
  std::nth_element(norms.begin(), zeros, norms.end());
  for (auto it = norms.begin(); it != zeros; ++it) {
    for (int64_t c = 0; c < block; ++c) weight.values[it->second + c * taps] = 0;
  }
}

TensorMap RandomTensors(const Network& network, Random& random) {
  TensorMap tensors;
  for (const Layer& layer : network.layers) {
    if (layer.weight_count() == 0) continue;
    const int fan_in = layer.in_channels * layer.kernel * layer.kernel;
    const float deviation = std::sqrt(2.0f / static_cast<float>(fan_in));
    std::vector<int64_t> shape = {layer.out_channels, layer.in_channels};
    if (layer.op == Op::kConv) shape.insert(shape.end(), {layer.kernel, layer.kernel});
    tensors[layer.name + ".weight"] =
        RandomTensor(shape, [&] { return deviation * Normal(random); });
    const std::vector<int64_t> channels = {layer.out_channels};
    if (layer.batch_norm.empty()) {
      tensors[layer.name + ".bias"] = UniformTensor(random, channels, -0.1f, 0.1f);
      continue;
    }
    const std::string& norm = layer.batch_norm;
    // Small where a residual is added, or the maps would grow with every block.
    const float gamma = layer.residual >= 0 ? 0.3f : 1.0f;
    tensors[norm + ".weight"] = UniformTensor(random, channels, 0.7f * gamma, 1.3f * gamma);
    tensors[norm + ".bias"] = UniformTensor(random, channels, -0.2f, 0.2f);
    tensors[norm + ".running_mean"] = UniformTensor(random, channels, -0.2f, 0.2f);
    tensors[norm + ".running_var"] = UniformTensor(random, channels, 0.7f, 1.3f);
  }
  return tensors;
}

StoredTensor StoreFloats(const Tensor& tensor, Encoding encoding) {
  StoredTensor stored;
  stored.encoding = encoding;
  stored.shape = tensor.shape;
  stored.floats = tensor.values;
  return stored;
}

StoredTensor StoreIntegers(const Tensor& tensor, Encoding encoding,
                           const std::vector<float>& multiplier) {
  const float levels = encoding == Encoding::kInt4 ? 7 : 127;
  StoredTensor stored;
  stored.encoding = encoding;
  stored.shape = tensor.shape;
  const size_t row = tensor.values.size() / multiplier.size();
  for (size_t o = 0; o < multiplier.size(); ++o) {
    float largest = 0;
    for (size_t i = 0; i < row; ++i) {
      largest = std::max(largest, std::abs(tensor.values[o * row + i]));
    }
    const float scale = largest / levels;
    for (size_t i = 0; i < row; ++i) {
      stored.integers.push_back(
          static_cast<int8_t>(std::nearbyint(tensor.values[o * row + i] / scale)));
    }
    stored.scales.push_back(scale * multiplier[o]);
  }
  return stored;
}

void StoreFolded(const Network& network, const TensorMap& tensors, Encoding encoding,
                 Artifact& artifact) {
  for (const Layer& layer : network.layers) {
    if (layer.weight_count() == 0) continue;
    const ChannelAffine affine = FoldBatchNorm(layer, tensors).value();
    const bool sensitive = layer.name == "conv1" || layer.op == Op::kLinear;
    artifact.tensors[layer.name + ".weight"] = StoreIntegers(
        tensors.at(layer.name + ".weight"), sensitive ? Encoding::kInt8 : encoding, affine.scale);
    artifact.tensors[layer.name + ".bias"] =
        StoreFloats({{layer.out_channels}, affine.bias}, Encoding::kFloat32);
  }
}

void Calibrate(const Network& network, const TensorMap& tensors, uint64_t seed,
               Artifact& artifact) {
  constexpr int kImages = 2;
  const std::vector<uint8_t> pixels = RandomPixels(network.spec, kImages, seed + 1);
  for (int i = 0; i < kImages; ++i) {
    const uint8_t* image = &pixels[pixels.size() / kImages * i];
    const auto outputs =
        ReferenceForward(network, tensors, Normalize(artifact.preprocessing, image));
    for (size_t l = 0; l < outputs.size(); ++l) {
      float& range = artifact.activation_ranges[network.layers[l].name];
      for (float value : outputs[l]) range = std::max(range, std::abs(value));
    }
  }
}

}  // namespace

std::vector<uint8_t> RandomPixels(const NetworkSpec& spec, int count, uint64_t seed) {
  Random random(seed);
  std::vector<uint8_t> pixels(size_t(count) * spec.input_height * spec.input_width *
                              spec.input_channels);
  for (uint8_t& pixel : pixels) pixel = static_cast<uint8_t>(random() >> 56);
  return pixels;
}

std::vector<float> Normalize(const Preprocessing& preprocessing, const uint8_t* pixels) {
  std::vector<float> values(size_t(preprocessing.width) * preprocessing.height *
                            preprocessing.channels);
  for (size_t i = 0; i < values.size(); ++i) {
    const size_t c = i % preprocessing.channels;
    values[i] =
        (static_cast<float>(pixels[i]) / 255.0f - preprocessing.mean[c]) / preprocessing.stddev[c];
  }
  return values;
}

TensorMap DequantizeAll(const Artifact& artifact) {
  TensorMap tensors;
  for (const auto& [name, tensor] : artifact.tensors) tensors[name] = Dequantize(tensor);
  return tensors;
}

Artifact RandomArtifact(const NetworkSpec& spec, v1::WeightType weights, uint64_t seed,
                        const RandomPruning& pruning) {
  const Network network = BuildNetwork(spec).value();
  Random random(seed);
  TensorMap tensors = RandomTensors(network, random);
  for (const Layer& layer : network.layers) {
    if (pruning.sparsity == 0 || !IsPrunable(layer)) continue;
    Prune(tensors.at(layer.name + ".weight"), pruning.sparsity, pruning.blocks ? 4 : 1);
  }
  Artifact artifact;
  artifact.network = spec;
  artifact.weights = weights;
  artifact.preprocessing.width = spec.input_width;
  artifact.preprocessing.height = spec.input_height;
  artifact.preprocessing.channels = spec.input_channels;
  artifact.preprocessing.mean.assign(spec.input_channels, 0.5f);
  artifact.preprocessing.stddev.assign(spec.input_channels, 0.5f);
  for (int c = 0; c < spec.classes; ++c) artifact.class_names.push_back(absl::StrCat("class", c));
  if (weights == v1::WEIGHT_TYPE_INT8 || weights == v1::WEIGHT_TYPE_INT4) {
    StoreFolded(network, tensors,
                weights == v1::WEIGHT_TYPE_INT8 ? Encoding::kInt8 : Encoding::kInt4, artifact);
    Calibrate(network, DequantizeAll(artifact), seed, artifact);
    return artifact;
  }
  for (const auto& [name, tensor] : tensors) {
    artifact.tensors[name] = StoreFloats(tensor, Encoding::kFloat32);
  }
  return artifact;
}

}  // namespace cytopress
