#include "tests/core/artifact/sample_artifact.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/artifact/container.h"
#include "core/artifact/manifest.h"
#include "core/base/sha256.h"

namespace cytopress {
namespace {

using Random = std::mt19937_64;

// Not std::*_distribution, whose values differ between standard libraries.
float Uniform(Random& random) {
  return static_cast<float>(random() >> 40) / static_cast<float>(1 << 24);
}

// Laplace-distributed values of which pruning has left the largest `density`: an exponential
// distribution has no memory, so what is left is the threshold plus the same distribution.
std::vector<float> Weights(Random& random, int64_t count, double density) {
  const float threshold = static_cast<float>(-std::log(density));
  std::vector<float> values(count, 0.0f);
  for (float& value : values) {
    if (Uniform(random) >= density) continue;
    const float magnitude = threshold - std::log(1 - Uniform(random));
    value = (random() & 1) != 0 ? magnitude : -magnitude;
  }
  return values;
}

StoredTensor Floats(std::vector<int64_t> shape, std::vector<float> values, Encoding encoding) {
  StoredTensor tensor;
  tensor.encoding = encoding;
  tensor.shape = std::move(shape);
  tensor.floats = std::move(values);
  return tensor;
}

StoredTensor Integers(std::vector<int64_t> shape, const std::vector<float>& values,
                      Encoding encoding) {
  const float levels = encoding == Encoding::kInt4 ? 7 : 127;
  StoredTensor tensor;
  tensor.encoding = encoding;
  tensor.shape = std::move(shape);
  const size_t row = values.size() / tensor.shape[0];
  for (size_t begin = 0; begin < values.size(); begin += row) {
    float largest = 1e-6f;
    for (size_t i = begin; i < begin + row; ++i) largest = std::max(largest, std::fabs(values[i]));
    tensor.scales.push_back(largest / levels);
    for (size_t i = begin; i < begin + row; ++i) {
      tensor.integers.push_back(static_cast<int8_t>(std::lround(values[i] / largest * levels)));
    }
  }
  return tensor;
}

Encoding WeightEncoding(const Layer& layer, v1::WeightType weights) {
  switch (weights) {
    case v1::WEIGHT_TYPE_FP32:
      return Encoding::kFloat32;
    case v1::WEIGHT_TYPE_FP16:
      return Encoding::kFloat16;
    case v1::WEIGHT_TYPE_INT8:
      return Encoding::kInt8;
    default:
      return IsPrunable(layer) ? Encoding::kInt4 : Encoding::kInt8;
  }
}

void AddLayer(const Layer& layer, const SampleOptions& options, Random& random,
              Artifact& artifact) {
  const bool integer =
      options.weights == v1::WEIGHT_TYPE_INT8 || options.weights == v1::WEIGHT_TYPE_INT4;
  std::vector<int64_t> shape = {layer.out_channels, layer.in_channels};
  if (layer.op == Op::kConv) shape.insert(shape.end(), {layer.kernel, layer.kernel});
  const std::vector<float> values =
      Weights(random, layer.weight_count(), IsPrunable(layer) ? options.density : 1);
  const Encoding encoding = WeightEncoding(layer, options.weights);
  artifact.tensors[layer.name + ".weight"] =
      integer ? Integers(shape, values, encoding) : Floats(shape, values, encoding);

  const auto add_channels = [&](const std::string& name, Encoding channel_encoding) {
    std::vector<float> channels(layer.out_channels);
    for (float& value : channels) value = Uniform(random) + 0.1f;
    artifact.tensors[name] = Floats({layer.out_channels}, channels, channel_encoding);
  };
  if (integer || layer.batch_norm.empty()) {
    add_channels(layer.name + ".bias", integer ? Encoding::kFloat16 : Encoding::kFloat32);
    return;
  }
  for (const char* part : {".weight", ".bias", ".running_mean", ".running_var"}) {
    add_channels(layer.batch_norm + part, Encoding::kFloat32);
  }
}

void AddRecords(Artifact& artifact) {
  v1::Evaluation evaluation;
  evaluation.set_split("val");
  evaluation.set_images(100);
  evaluation.set_accuracy(0.97);
  evaluation.set_engine("onednn-int8");
  artifact.evaluations.push_back(evaluation);
  v1::LedgerEntry line;
  line.set_stage("prune");
  line.set_sparsity(0.5);
  artifact.ledger.push_back(line);
  artifact.provenance.set_job_id("job-1");
  artifact.provenance.set_dataset_name("bloodmnist");
  for (int i = 0; i < 20; ++i) {
    (*artifact.provenance.mutable_versions())[absl::StrCat("library", i)] = absl::StrCat(i);
  }
}

}  // namespace

NetworkSpec SampleSpec() {
  NetworkSpec spec;
  spec.architecture = "resnet18";
  spec.stem = Stem::kCifar;
  spec.classes = 4;
  spec.input_height = 8;
  spec.input_width = 8;
  return spec;
}

Artifact SampleArtifact(const SampleOptions& options) {
  const Network network = BuildNetwork(options.spec).value();
  Random random(options.seed);
  Artifact artifact;
  artifact.network = options.spec;
  artifact.preprocessing.width = options.spec.input_width;
  artifact.preprocessing.height = options.spec.input_height;
  artifact.preprocessing.channels = options.spec.input_channels;
  artifact.preprocessing.mean.assign(options.spec.input_channels, 0.5f);
  artifact.preprocessing.stddev.assign(options.spec.input_channels, 0.25f);
  for (int c = 0; c < options.spec.classes; ++c) {
    artifact.class_names.push_back(absl::StrCat("class ", c));
  }
  artifact.weights = options.weights;
  for (const Layer& layer : network.layers) {
    if (layer.weight_count() > 0) AddLayer(layer, options, random, artifact);
    artifact.activation_ranges[layer.name] = 1 + Uniform(random);
  }
  AddRecords(artifact);
  return artifact;
}

const std::string& SampleFile() {
  static const std::string* const file =
      new std::string(SerializeArtifact(SampleArtifact()).value());
  return *file;
}

std::string EditManifest(const std::string& file, const std::function<void(v1::Manifest&)>& edit) {
  const ContainerHead head = ReadContainerHead(file).value();
  const absl::string_view frames = VerifiedFrames(file, head).value();
  v1::Manifest manifest = ParseManifestMessage(head.manifest).value();
  edit(manifest);
  return WriteContainer(SerializeManifest(manifest).value(), frames).value();
}

std::string ReplaceFrame(const std::string& file, int frame, const std::string& raw) {
  const ContainerHead head = ReadContainerHead(file).value();
  absl::string_view rest = VerifiedFrames(file, head).value();
  v1::Manifest manifest = ParseManifestMessage(head.manifest).value();
  std::string frames;
  for (int i = 0; i < manifest.frames_size(); ++i) {
    v1::FrameEntry& entry = *manifest.mutable_frames(i);
    std::string stored(rest.substr(0, entry.stored_bytes()));
    rest.remove_prefix(entry.stored_bytes());
    if (i == frame) {
      stored = Compress(raw, Packing::kQuick).value();
      Sha256 hash;
      hash.Update(raw);
      entry.set_sha256(hash.Finish());
      entry.set_raw_bytes(static_cast<int64_t>(raw.size()));
      entry.set_stored_bytes(static_cast<int64_t>(stored.size()));
    }
    frames += stored;
  }
  return WriteContainer(SerializeManifest(manifest).value(), frames).value();
}

}  // namespace cytopress
