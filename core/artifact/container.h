// The file around manifest and tensors: header, zstd frames, checksums (docs/artifact-format.md).
#ifndef CYTOPRESS_CORE_ARTIFACT_CONTAINER_H_
#define CYTOPRESS_CORE_ARTIFACT_CONTAINER_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace cytopress {

inline constexpr size_t kArtifactHeaderBytes = 64;
inline constexpr size_t kArtifactTrailerBytes = 32;
inline constexpr int64_t kMaxManifestBytes = int64_t{16} << 20;

enum class Packing {
  kQuick,     // level 1 of zstd, little more than Huffman codes
  kThorough,  // level 19, up to half a second a megabyte
};

// One zstd frame that says how much it holds.
absl::StatusOr<std::string> Compress(absl::string_view raw, Packing packing);

// DATA_LOSS unless `stored` is a frame of exactly `raw_bytes`, which is known before memory is
// taken.
absl::StatusOr<std::string> Decompress(absl::string_view stored, int64_t raw_bytes);

// RESOURCE_EXHAUSTED for a manifest or file over the limits.
absl::StatusOr<std::string> WriteContainer(absl::string_view manifest, absl::string_view frames);

struct ContainerHead {
  std::string manifest;
  size_t frames_begin = 0;  // offset in the file
};

// Verifies the header and the manifest's checksum; bytes behind the manifest are not looked at.
absl::StatusOr<ContainerHead> ReadContainerHead(absl::string_view bytes);

// What lies between manifest and trailer, when the file's checksum is right. REQUIRES: `head` was
// read from `bytes`.
absl::StatusOr<absl::string_view> VerifiedFrames(absl::string_view bytes,
                                                 const ContainerHead& head);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_ARTIFACT_CONTAINER_H_
