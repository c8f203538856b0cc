// The compressed model file (.cyp): docs/artifact-format.md specifies the bytes. Read and written
// without LibTorch.
#ifndef CYTOPRESS_CORE_ARTIFACT_ARTIFACT_H_
#define CYTOPRESS_CORE_ARTIFACT_ARTIFACT_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/evaluation/evaluation.h"
#include "core/image/image.h"
#include "core/network/network.h"
#include "cytopress/v1/model.pb.h"

namespace cytopress {

enum class Encoding {
  kFloat32,
  kFloat16,
  kInt8,  // symmetric, one scale an output channel (dimension 0)
  // The same with values in [-7, 7], two to a byte in the file. INT4 models of asymmetric ranges
  // have kInt8 instead: their 16 levels are no multiples of one scale.
  kInt4,
};

// The largest file that is written or read. What it unpacks to is bounded by the network it names.
inline constexpr int64_t kMaxArtifactFileBytes = int64_t{1} << 30;

// Of one class. Every answer carries the names, once an image.
inline constexpr size_t kMaxClassNameBytes = 256;

// A tensor as it is stored. Exactly one of `floats` (kFloat32, kFloat16) and `integers` (kInt8,
// kInt4) is filled: value = integers[i] * scales[channel of i].
//
// With a group size (kInt4 only), every run of so many consecutive values of an output channel, the
// last one perhaps shorter, has a multiplier in [1, kMostGroupMultiplier], and what the file holds
// is integer / multiplier, in [-7, 7]: scales of two levels (Dai et al., "VS-Quant: Per-vector
// Scaled Quantization", 2021). The products fit 8 bits, so whoever computes with them need not
// know.
struct StoredTensor {
  Encoding encoding = Encoding::kFloat32;
  std::vector<int64_t> shape;
  std::vector<float> floats;  // kFloat16: already rounded to what FP16 holds after a read
  std::vector<int8_t> integers;
  std::vector<float> scales;         // shape[0] of them
  int64_t group_size = 0;            // 0: no groups
  std::vector<uint8_t> multipliers;  // of the groups, channel after channel

  int64_t count() const;
};
inline constexpr int kMostGroupMultiplier = 16;

// Groups of one output channel. REQUIRES: group_size > 0.
int64_t GroupsOfChannel(const std::vector<int64_t>& shape, int64_t group_size);

// FP32 values of a stored tensor. REQUIRES: its values and scales fit its shape.
Tensor Dequantize(const StoredTensor& tensor);

// A model as the file holds it. Convolutions of FP16 and FP32 models keep their batch norm; those
// of INT8 and INT4 models have it folded (see TensorMap).
struct Artifact {
  NetworkSpec network;
  Preprocessing preprocessing;
  std::vector<std::string> class_names;
  v1::WeightType weights = v1::WEIGHT_TYPE_FP16;
  std::map<std::string, StoredTensor> tensors;
  // Largest magnitude that each layer's output is quantized to, by layer name (core/network); only
  // for weights that run in integer arithmetic. "input" is the normalized image's.
  std::map<std::string, float> activation_ranges;
  // Everything the registry shows but what is derived from the file itself (name, version, size and
  // sha256 are not stored here).
  std::vector<v1::Evaluation> evaluations;
  std::vector<v1::LedgerEntry> ledger;
  v1::Provenance provenance;
  std::optional<v1::Certificate> certificate;
};

// FP32 values of the tensors of one dimension: biases and batch norms, but no weights.
TensorMap VectorsOf(const Artifact& artifact);

// What is measured on a finished file and then written into it.
struct FileMetadata {
  std::vector<v1::Evaluation> evaluations;
  std::vector<v1::LedgerEntry> ledger;
  std::optional<v1::Certificate> certificate;
};

// The tensors that pruning may zero: the weights of all convolutions but the first. (The stem and
// the classifier stay dense.)
bool IsPrunable(const Layer& layer);

// Whether the bytes begin as such a file does.
bool IsArtifactFile(absl::string_view bytes);

// Serializes, packed by zstd. Equal artifacts give equal bytes with the same version
// of zstd. INVALID_ARGUMENT names what is wrong when the artifact does not fit its network (see
// ParseArtifact); RESOURCE_EXHAUSTED over kMaxArtifactFileBytes.
absl::StatusOr<std::string> SerializeArtifact(const Artifact& artifact);

// Parses and verifies every checksum, shape and bound before memory is taken. What it returns is
// valid: exactly the network's tensors, finite values and scales, integers within +-127 or +-7, one
// class name a class, no two alike, of 1 to kMaxClassNameBytes, preprocessing that makes the
// network's input, positive activation ranges of layers that exist, evaluations (the certificate's,
// too) of the network's classes, and what the certificate and the ledger measure finite and not
// negative.
// DATA_LOSS for damage, INVALID_ARGUMENT for what is not such a file, UNIMPLEMENTED for a newer
// format version, RESOURCE_EXHAUSTED for a model of over 1 GiB or a manifest of too many fields.
absl::StatusOr<Artifact> ParseArtifact(absl::string_view bytes);

// Only the manifest, without unpacking a weight. Bytes behind it may be missing and are not
// verified. (The registry reads the whole file of a version once all the same, for its digest.)
// `model` has no name, version or sha256; its disk_bytes are what the whole file has.
absl::StatusOr<v1::Model> ParseManifest(absl::string_view bytes);

// The same file with other metadata; the tensors' frames stay byte for byte. Verifies the file's
// checksum but does not unpack the tensors. Errors as ParseArtifact.
absl::StatusOr<std::string> ReplaceMetadata(absl::string_view bytes, const FileMetadata& metadata);

// What the file and its model measure. Parameters and dense bytes are those of the network as it is
// trained, batch norm unfolded and without its running statistics, so that they are the same for
// every weight type; nonzero parameters are those less the zeros among the stored weights; packed
// bytes are of all stored tensors with every value, zeros too, and their scales.
v1::ModelSize MeasureSize(const Artifact& artifact, int64_t disk_bytes);

// Of the library that packs the file, such as "1.5.4".
std::string ZstdVersion();

// Proto <-> plain structs. INVALID_ARGUMENT for a stem that is none; unspecified is kImagenet.
v1::Stem ToProto(Stem stem);
absl::StatusOr<Stem> FromProto(v1::Stem stem);
v1::NetworkSpec ToProto(const NetworkSpec& spec);
absl::StatusOr<NetworkSpec> FromProto(const v1::NetworkSpec& spec);
v1::Preprocessing ToProto(const Preprocessing& preprocessing);
Preprocessing FromProto(const v1::Preprocessing& preprocessing);
// `engine` computed the scores. Without an interval of the AUC.
v1::Evaluation ToProto(const Evaluation& evaluation, const std::string& split,
                       const std::string& engine);
// Which images are right, as v1::Evaluation packs them; those that it has no bit for are not.
std::vector<bool> RightOf(const v1::Evaluation& evaluation);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_ARTIFACT_ARTIFACT_H_
