#include "core/artifact/manifest.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "core/artifact/checks.h"
#include "core/base/status_macros.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "google/protobuf/wire_format_lite.h"

namespace cytopress {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;

// Several times as many as the largest job leaves, of 100 cells, 1000 layers and 1024 classes.
constexpr int kMaxFields = 1 << 16;
// Of packed numbers: four confusion matrices, and as many others as there may be fields.
constexpr int kMaxNumbers = 4 * kMaxClasses * kMaxClasses + kMaxFields;

absl::Status Damaged() {
  return absl::DataLossError("the model file is damaged: its manifest cannot be parsed");
}

// What a manifest may still have.
struct Left {
  int fields = kMaxFields;
  int numbers = kMaxNumbers;
};

absl::Status TooMany(int most, absl::string_view things) {
  return absl::ResourceExhaustedError(
      absl::StrCat("the model's manifest has more than ", most, " ", things));
}

// Takes the numbers of a packed field from `left`. They are varints, each of which ends with a byte
// under 128, or have a fixed size: then they take no more memory than bytes here, and it does not
// matter that more are counted than there are.
absl::Status CountNumbers(int bytes, CodedInputStream* in, Left* left) {
  std::string numbers;
  if (!in->ReadString(&numbers, bytes)) return Damaged();
  const auto ends = std::count_if(numbers.begin(), numbers.end(),
                                  [](char byte) { return static_cast<uint8_t>(byte) < 128; });
  if (ends > left->numbers) return TooMany(kMaxNumbers, "numbers");
  left->numbers -= static_cast<int>(ends);
  return absl::OkStatus();
}

// Takes the fields of a message, and of those within it, from `left`.
absl::Status CountFields(const Descriptor& type, CodedInputStream* in, Left* left) {
  while (const uint32_t tag = in->ReadTag()) {
    if (--left->fields < 0) return TooMany(kMaxFields, "fields");
    const WireFormatLite::WireType wire_type = WireFormatLite::GetTagWireType(tag);
    const FieldDescriptor* field = type.FindFieldByNumber(WireFormatLite::GetTagFieldNumber(tag));
    // No release writes groups, in which fields could hide.
    if (wire_type == WireFormatLite::WIRETYPE_START_GROUP) return Damaged();
    if (wire_type != WireFormatLite::WIRETYPE_LENGTH_DELIMITED || field == nullptr ||
        (field->message_type() == nullptr && !field->is_packable())) {
      if (!WireFormatLite::SkipField(in, tag)) return Damaged();
      continue;
    }
    int bytes = 0;
    if (!in->ReadVarintSizeAsInt(&bytes) || bytes > in->BytesUntilLimit()) return Damaged();
    if (field->is_packable()) {
      CYTOPRESS_RETURN_IF_ERROR(CountNumbers(bytes, in, left));
      continue;
    }
    const CodedInputStream::Limit limit = in->PushLimit(bytes);
    CYTOPRESS_RETURN_IF_ERROR(CountFields(*field->message_type(), in, left));
    in->PopLimit(limit);
  }
  return in->ConsumedEntireMessage() ? absl::OkStatus() : Damaged();
}

}  // namespace

void PutMetadata(const FileMetadata& metadata, v1::Manifest* manifest) {
  manifest->mutable_evaluations()->Assign(metadata.evaluations.begin(), metadata.evaluations.end());
  manifest->mutable_ledger()->Assign(metadata.ledger.begin(), metadata.ledger.end());
  manifest->clear_certificate();
  if (metadata.certificate) *manifest->mutable_certificate() = *metadata.certificate;
}

v1::Manifest MakeManifest(const Artifact& artifact) {
  v1::Manifest manifest;
  *manifest.mutable_network() = ToProto(artifact.network);
  *manifest.mutable_preprocessing() = ToProto(artifact.preprocessing);
  manifest.mutable_class_names()->Assign(artifact.class_names.begin(), artifact.class_names.end());
  manifest.set_weights(artifact.weights);
  for (const auto& [layer, range] : artifact.activation_ranges) {
    v1::ActivationRange* entry = manifest.add_activation_ranges();
    entry->set_layer(layer);
    entry->set_range(range);
  }
  PutMetadata({artifact.evaluations, artifact.ledger, artifact.certificate}, &manifest);
  *manifest.mutable_provenance() = artifact.provenance;
  *manifest.mutable_size() = MeasureSize(artifact, 0);
  return manifest;
}

absl::StatusOr<Artifact> ArtifactWithoutTensors(const v1::Manifest& manifest) {
  Artifact artifact;
  CYTOPRESS_ASSIGN_OR_RETURN(artifact.network, FromProto(manifest.network()));
  CYTOPRESS_ASSIGN_OR_RETURN(const Network network, BuildNetwork(artifact.network));
  artifact.preprocessing = FromProto(manifest.preprocessing());
  artifact.class_names.assign(manifest.class_names().begin(), manifest.class_names().end());
  artifact.weights = manifest.weights();
  for (const v1::ActivationRange& range : manifest.activation_ranges()) {
    if (!artifact.activation_ranges.emplace(range.layer(), range.range()).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("activation_ranges: two for the layer '", range.layer(), "'"));
    }
  }
  artifact.evaluations.assign(manifest.evaluations().begin(), manifest.evaluations().end());
  artifact.ledger.assign(manifest.ledger().begin(), manifest.ledger().end());
  artifact.provenance = manifest.provenance();
  if (manifest.has_certificate()) artifact.certificate = manifest.certificate();
  CYTOPRESS_RETURN_IF_ERROR(CheckMetadata(artifact, network));
  return artifact;
}

absl::StatusOr<std::string> SerializeManifest(const v1::Manifest& manifest) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    manifest.SerializeToCodedStream(&coded);
  }
  // Protobuf writes text that it then refuses to read.
  const absl::Status read = ParseManifestMessage(bytes).status();
  if (absl::IsResourceExhausted(read)) return read;
  if (!read.ok()) {
    return absl::InvalidArgumentError(
        "a class name or another text of the model is not UTF-8; write it in UTF-8");
  }
  return bytes;
}

absl::StatusOr<v1::Manifest> ParseManifestMessage(absl::string_view bytes) {
  const auto size = static_cast<int>(bytes.size());
  CodedInputStream in(reinterpret_cast<const uint8_t*>(bytes.data()), size);
  in.PushLimit(size);
  Left left;
  CYTOPRESS_RETURN_IF_ERROR(CountFields(*v1::Manifest::descriptor(), &in, &left));
  v1::Manifest manifest;
  if (!manifest.ParseFromArray(bytes.data(), size)) return Damaged();
  return manifest;
}

v1::TensorEncoding ToProto(Encoding encoding) {
  switch (encoding) {
    case Encoding::kFloat32:
      return v1::TENSOR_ENCODING_FLOAT32;
    case Encoding::kFloat16:
      return v1::TENSOR_ENCODING_FLOAT16;
    case Encoding::kInt8:
      return v1::TENSOR_ENCODING_INT8;
    case Encoding::kInt4:
      return v1::TENSOR_ENCODING_INT4;
  }
  return v1::TENSOR_ENCODING_UNSPECIFIED;
}

absl::StatusOr<Encoding> FromProto(v1::TensorEncoding encoding) {
  switch (encoding) {
    case v1::TENSOR_ENCODING_FLOAT32:
      return Encoding::kFloat32;
    case v1::TENSOR_ENCODING_FLOAT16:
      return Encoding::kFloat16;
    case v1::TENSOR_ENCODING_INT8:
      return Encoding::kInt8;
    case v1::TENSOR_ENCODING_INT4:
      return Encoding::kInt4;
    default:
      return absl::InvalidArgumentError(
          absl::StrCat("the tensor encoding ", encoding, " is unknown"));
  }
}

}  // namespace cytopress
