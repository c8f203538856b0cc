// An artifact without its tensors as a message, and back.
#ifndef CYTOPRESS_CORE_ARTIFACT_MANIFEST_H_
#define CYTOPRESS_CORE_ARTIFACT_MANIFEST_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/artifact/artifact.h"
#include "cytopress/v1/artifact.pb.h"

namespace cytopress {

void PutMetadata(const FileMetadata& metadata, v1::Manifest* manifest);

// Everything but the frames.
v1::Manifest MakeManifest(const Artifact& artifact);

// Everything but the tensors, checked by CheckMetadata.
absl::StatusOr<Artifact> ArtifactWithoutTensors(const v1::Manifest& manifest);

// Equal messages give equal bytes, maps included. INVALID_ARGUMENT for text that is not UTF-8.
absl::StatusOr<std::string> SerializeManifest(const v1::Manifest& manifest);

// DATA_LOSS; RESOURCE_EXHAUSTED for more fields or numbers than any model has, before memory is
// taken: an empty message takes 2 bytes here and more than 100 in memory, a number 1 and 8.
absl::StatusOr<v1::Manifest> ParseManifestMessage(absl::string_view bytes);

v1::TensorEncoding ToProto(Encoding encoding);
absl::StatusOr<Encoding> FromProto(v1::TensorEncoding encoding);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_ARTIFACT_MANIFEST_H_
