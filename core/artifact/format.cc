// A model file from an artifact and back: docs/artifact-format.md.

#include <algorithm>
#include <atomic>
#include <cmath>
#include <new>
#include <numeric>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/artifact/artifact.h"
#include "core/artifact/checks.h"
#include "core/artifact/container.h"
#include "core/artifact/manifest.h"
#include "core/artifact/tensor_codec.h"
#include "core/base/parallel.h"
#include "core/base/sha256.h"
#include "core/base/status_macros.h"

namespace cytopress {
namespace {

// Tensors of fewer values share the first frame, where a hash and a name are not worth 60 bytes.
constexpr int64_t kLargeTensor = 4096;
constexpr int64_t kMaxUnpackedBytes = int64_t{1} << 30;  // of all tensors, in memory
constexpr double kSparsityTolerance = 1e-9;              // one weight of a billion

// One frame on its way into the file.
struct Frame {
  void Add(const std::string& name, const StoredTensor& tensor) {
    const TensorLayout layout = ChooseLayout(tensor);
    v1::TensorEntry* added = entry.add_tensors();
    added->set_name(name);
    added->set_encoding(ToProto(tensor.encoding));
    added->mutable_shape()->Assign(tensor.shape.begin(), tensor.shape.end());
    added->set_sparse(layout.sparse);
    if (layout.sparse) added->set_nonzeros(layout.nonzeros);
    added->set_group_size(layout.group_size);
    AppendPacked(tensor, layout, bytes);
    // What has hardly a zero is noise to zstd, in which its thorough level finds nothing.
    if (tensor.count() >= kLargeTensor && layout.nonzeros > tensor.count() / 16 * 15) {
      packing = Packing::kQuick;
    }
  }

  // What Add collected becomes what is stored.
  absl::Status Finish() try {
    entry.set_raw_bytes(static_cast<int64_t>(bytes.size()));
    entry.set_sha256(Sha256Bytes(bytes));
    CYTOPRESS_ASSIGN_OR_RETURN(bytes, Compress(bytes, packing));
    entry.set_stored_bytes(static_cast<int64_t>(bytes.size()));
    return absl::OkStatus();
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("no memory to compress a tensor");
  }

  v1::FrameEntry entry;
  std::string bytes;
  Packing packing = Packing::kThorough;
};

absl::StatusOr<std::string> WriteFrames(const Artifact& artifact, v1::Manifest& manifest) {
  std::vector<Frame> frames(1);
  for (const auto& [name, tensor] : artifact.tensors) {
    if (tensor.count() < kLargeTensor) frames[0].Add(name, tensor);
  }
  for (const auto& [name, tensor] : artifact.tensors) {
    if (tensor.count() >= kLargeTensor) frames.emplace_back().Add(name, tensor);
  }
  // Packing may take half a second a megabyte; the largest first, lest one core ends with it.
  std::vector<size_t> order(frames.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return frames[a].bytes.size() > frames[b].bytes.size();
  });
  std::vector<absl::Status> statuses(frames.size());
  std::atomic<size_t> next{0};
  RunOnAllCores([&] {
    for (size_t i = next++; i < frames.size(); i = next++) {
      statuses[order[i]] = frames[order[i]].Finish();
    }
  });
  std::string bytes;
  for (size_t i = 0; i < frames.size(); ++i) {
    CYTOPRESS_RETURN_IF_ERROR(statuses[i]);
    *manifest.add_frames() = std::move(frames[i].entry);
    bytes += frames[i].bytes;
  }
  return bytes;
}

// More than any output channel has values, and far from overflowing in sums with them.
constexpr int64_t kMostGroupSize = int64_t{1} << 30;

// REQUIRES: the shape is the network's.
absl::StatusOr<TensorLayout> LayoutOf(const v1::TensorEntry& entry) {
  TensorLayout layout;
  CYTOPRESS_ASSIGN_OR_RETURN(layout.encoding, FromProto(entry.encoding()));
  layout.shape.assign(entry.shape().begin(), entry.shape().end());
  layout.sparse = entry.sparse();
  layout.nonzeros = entry.nonzeros();
  layout.group_size = entry.group_size();
  if (layout.group_size < 0 || layout.group_size > kMostGroupSize ||
      (layout.group_size > 0 && layout.encoding != Encoding::kInt4)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the tensor ", entry.name(), " cannot have groups of ", layout.group_size, " values"));
  }
  if (layout.nonzeros < 0 || layout.nonzeros > (layout.sparse ? layout.count() : 0)) {
    return absl::InvalidArgumentError(absl::StrCat("the tensor ", entry.name(), " cannot have ",
                                                   layout.nonzeros, " values that are not zero"));
  }
  return layout;
}

// That the frames hold exactly the network's tensors and are as large as those; before any memory
// is taken for them.
absl::Status CheckFrames(const v1::Manifest& manifest, const NetworkSpec& spec) {
  CYTOPRESS_ASSIGN_OR_RETURN(const Network network, BuildNetwork(spec));
  TensorShapes shapes;
  for (const v1::FrameEntry& frame : manifest.frames()) {
    for (const v1::TensorEntry& entry : frame.tensors()) {
      if (!shapes.insert({entry.name(), {entry.shape().begin(), entry.shape().end()}}).second) {
        return absl::InvalidArgumentError(
            absl::StrCat("the tensor ", entry.name(), " appears twice"));
      }
    }
  }
  CYTOPRESS_RETURN_IF_ERROR(CheckShapes(shapes, network));
  int64_t unpacked = 0;
  for (const v1::FrameEntry& frame : manifest.frames()) {
    int64_t raw = 0;
    for (const v1::TensorEntry& entry : frame.tensors()) {
      CYTOPRESS_ASSIGN_OR_RETURN(const TensorLayout layout, LayoutOf(entry));
      raw += PackedBytes(layout);
      unpacked += layout.count() * (IsInteger(layout.encoding) ? 1 : 4);
    }
    if (frame.raw_bytes() != raw) {
      return absl::InvalidArgumentError(
          absl::StrCat("a frame has ", frame.raw_bytes(), " bytes; its tensors have ", raw));
    }
  }
  if (unpacked > kMaxUnpackedBytes) {
    return absl::ResourceExhaustedError(absl::StrCat("the model takes ", unpacked,
                                                     " bytes of memory; at most ",
                                                     kMaxUnpackedBytes, " are read"));
  }
  return absl::OkStatus();
}

// Unpacks one frame from the front of `frames`.
absl::Status ReadFrame(const v1::FrameEntry& frame, absl::string_view& frames, Artifact& artifact) {
  if (frame.stored_bytes() < 0 || frame.stored_bytes() > static_cast<int64_t>(frames.size())) {
    return absl::DataLossError(absl::StrCat("the model file is damaged or cut off: a frame of ",
                                            frame.stored_bytes(), " bytes does not fit"));
  }
  CYTOPRESS_ASSIGN_OR_RETURN(const std::string raw,
                             Decompress(frames.substr(0, frame.stored_bytes()), frame.raw_bytes()));
  frames.remove_prefix(frame.stored_bytes());
  if (Sha256Bytes(raw) != frame.sha256()) {
    return absl::DataLossError("the model file is damaged: the checksum of a frame does not match");
  }
  absl::string_view rest = raw;
  for (const v1::TensorEntry& entry : frame.tensors()) {
    CYTOPRESS_ASSIGN_OR_RETURN(const TensorLayout layout, LayoutOf(entry));
    const int64_t bytes = PackedBytes(layout);
    CYTOPRESS_ASSIGN_OR_RETURN(StoredTensor tensor, Unpack(rest.substr(0, bytes), layout));
    rest.remove_prefix(bytes);
    CYTOPRESS_RETURN_IF_ERROR(CheckTensor(entry.name(), tensor, artifact.weights));
    artifact.tensors.emplace(entry.name(), std::move(tensor));
  }
  return absl::OkStatus();
}

// Field by field, for a file of another release may state more or fewer.
absl::Status CheckSize(const v1::ModelSize& stated, const v1::ModelSize& measured) {
  const auto refused = [](const char* field, auto states, auto has) {
    return absl::InvalidArgumentError(
        absl::StrCat("size.", field, ": the manifest states ", states, "; the model has ", has));
  };
  using Count = std::tuple<const char*, int64_t, int64_t>;
  for (const auto& [field, states, has] :
       {Count{"parameters", stated.parameters(), measured.parameters()},
        Count{"nonzero_parameters", stated.nonzero_parameters(), measured.nonzero_parameters()},
        Count{"dense_bytes", stated.dense_bytes(), measured.dense_bytes()},
        Count{"packed_bytes", stated.packed_bytes(), measured.packed_bytes()},
        Count{"disk_bytes", stated.disk_bytes(), measured.disk_bytes()}}) {
    if (states != has) return refused(field, states, has);
  }
  // Not a number is no small difference.
  if (std::fabs(stated.sparsity() - measured.sparsity()) <= kSparsityTolerance) {
    return absl::OkStatus();
  }
  return refused("sparsity", stated.sparsity(), measured.sparsity());
}

}  // namespace

absl::StatusOr<std::string> SerializeArtifact(const Artifact& artifact) {
  CYTOPRESS_ASSIGN_OR_RETURN(const Network network, BuildNetwork(artifact.network));
  CYTOPRESS_RETURN_IF_ERROR(CheckArtifact(artifact, network));
  v1::Manifest manifest = MakeManifest(artifact);
  CYTOPRESS_ASSIGN_OR_RETURN(const std::string frames, WriteFrames(artifact, manifest));
  CYTOPRESS_ASSIGN_OR_RETURN(const std::string bytes, SerializeManifest(manifest));
  return WriteContainer(bytes, frames);
}

absl::StatusOr<Artifact> ParseArtifact(absl::string_view bytes) {
  CYTOPRESS_ASSIGN_OR_RETURN(const ContainerHead head, ReadContainerHead(bytes));
  CYTOPRESS_ASSIGN_OR_RETURN(absl::string_view frames, VerifiedFrames(bytes, head));
  CYTOPRESS_ASSIGN_OR_RETURN(const v1::Manifest manifest, ParseManifestMessage(head.manifest));
  CYTOPRESS_ASSIGN_OR_RETURN(Artifact artifact, ArtifactWithoutTensors(manifest));
  CYTOPRESS_RETURN_IF_ERROR(CheckFrames(manifest, artifact.network));
  for (const v1::FrameEntry& frame : manifest.frames()) {
    CYTOPRESS_RETURN_IF_ERROR(ReadFrame(frame, frames, artifact));
  }
  if (!frames.empty()) {
    return absl::DataLossError(absl::StrCat("the model file is damaged: ", frames.size(),
                                            " bytes behind its frames belong to nothing"));
  }
  CYTOPRESS_RETURN_IF_ERROR(CheckSize(manifest.size(), MeasureSize(artifact, 0)));
  return artifact;
}

absl::StatusOr<v1::Model> ParseManifest(absl::string_view bytes) {
  CYTOPRESS_ASSIGN_OR_RETURN(const ContainerHead head, ReadContainerHead(bytes));
  CYTOPRESS_ASSIGN_OR_RETURN(const v1::Manifest manifest, ParseManifestMessage(head.manifest));
  CYTOPRESS_RETURN_IF_ERROR(ArtifactWithoutTensors(manifest).status());
  uint64_t disk_bytes = head.frames_begin + kArtifactTrailerBytes;
  for (const v1::FrameEntry& frame : manifest.frames()) {
    disk_bytes += static_cast<uint64_t>(frame.stored_bytes());
  }
  v1::Model model;
  *model.mutable_network() = manifest.network();
  *model.mutable_preprocessing() = manifest.preprocessing();
  *model.mutable_class_names() = manifest.class_names();
  model.set_weights(manifest.weights());
  *model.mutable_size() = manifest.size();
  model.mutable_size()->set_disk_bytes(static_cast<int64_t>(disk_bytes));
  *model.mutable_evaluations() = manifest.evaluations();
  *model.mutable_ledger() = manifest.ledger();
  *model.mutable_provenance() = manifest.provenance();
  if (manifest.has_certificate()) *model.mutable_certificate() = manifest.certificate();
  return model;
}

absl::StatusOr<std::string> ReplaceMetadata(absl::string_view bytes, const FileMetadata& metadata) {
  CYTOPRESS_ASSIGN_OR_RETURN(const ContainerHead head, ReadContainerHead(bytes));
  CYTOPRESS_ASSIGN_OR_RETURN(const absl::string_view frames, VerifiedFrames(bytes, head));
  CYTOPRESS_ASSIGN_OR_RETURN(v1::Manifest manifest, ParseManifestMessage(head.manifest));
  PutMetadata(metadata, &manifest);
  CYTOPRESS_RETURN_IF_ERROR(ArtifactWithoutTensors(manifest).status());
  CYTOPRESS_ASSIGN_OR_RETURN(const std::string changed, SerializeManifest(manifest));
  return WriteContainer(changed, frames);
}

}  // namespace cytopress
