#include "core/artifact/container.h"

#include <zstd.h>

#include "absl/strings/str_cat.h"
#include "core/artifact/artifact.h"
#include "core/base/sha256.h"
#include "core/base/status_macros.h"

namespace cytopress {
namespace {

constexpr absl::string_view kMagic = "CYTOPRES";
constexpr uint32_t kFormatVersion = 1;
constexpr char kCopyAgain[] = "; download or copy it again";

// Offsets in the header; all integers are little-endian.
constexpr size_t kVersionAt = 8;          // u32
constexpr size_t kFlagsAt = 12;           // u32, none defined
constexpr size_t kManifestStoredAt = 16;  // u64
constexpr size_t kManifestRawAt = 24;     // u64
constexpr size_t kManifestHashAt = 32;    // SHA-256 of the stored manifest
static_assert(kManifestHashAt + 32 == kArtifactHeaderBytes);

void AppendInteger(uint64_t value, int bytes, std::string& out) {
  for (int i = 0; i < bytes; ++i) out.push_back(static_cast<char>(value >> (8 * i)));
}

uint64_t ReadInteger(absl::string_view bytes, size_t at, int count) {
  uint64_t value = 0;
  for (int i = 0; i < count; ++i) {
    value |= uint64_t{static_cast<uint8_t>(bytes[at + i])} << (8 * i);
  }
  return value;
}

}  // namespace

bool IsArtifactFile(absl::string_view bytes) { return bytes.substr(0, kMagic.size()) == kMagic; }

absl::StatusOr<std::string> Compress(absl::string_view raw, Packing packing) {
  const int level = packing == Packing::kQuick ? 1 : 19;
  std::string stored(ZSTD_compressBound(raw.size()), '\0');
  const size_t size = ZSTD_compress(stored.data(), stored.size(), raw.data(), raw.size(), level);
  if (ZSTD_isError(size)) {
    return absl::InternalError(absl::StrCat("zstd cannot compress: ", ZSTD_getErrorName(size)));
  }
  stored.resize(size);
  return stored;
}

absl::StatusOr<std::string> Decompress(absl::string_view stored, int64_t raw_bytes) {
  const auto wanted = static_cast<unsigned long long>(raw_bytes);
  if (ZSTD_getFrameContentSize(stored.data(), stored.size()) != wanted) {
    return absl::DataLossError(
        absl::StrCat("the model file is damaged: a frame does not hold ", raw_bytes, " bytes"));
  }
  std::string raw(raw_bytes, '\0');
  const size_t size = ZSTD_decompress(raw.data(), raw.size(), stored.data(), stored.size());
  if (ZSTD_isError(size) || size != raw.size()) {
    return absl::DataLossError(
        absl::StrCat("the model file is damaged: a frame cannot be unpacked: ",
                     ZSTD_isError(size) ? ZSTD_getErrorName(size) : "it ends early"));
  }
  return raw;
}

absl::StatusOr<std::string> WriteContainer(absl::string_view manifest, absl::string_view frames) {
  CYTOPRESS_ASSIGN_OR_RETURN(const std::string stored, Compress(manifest, Packing::kThorough));
  const size_t total = kArtifactHeaderBytes + stored.size() + frames.size() + kArtifactTrailerBytes;
  if (static_cast<int64_t>(manifest.size()) > kMaxManifestBytes ||
      static_cast<int64_t>(total) > kMaxArtifactFileBytes) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "the model is too large for a file: a manifest of ", manifest.size(), " of at most ",
        kMaxManifestBytes, " bytes, in all ", total, " of at most ", kMaxArtifactFileBytes));
  }
  std::string file(kMagic);
  file.reserve(total);
  AppendInteger(kFormatVersion, 4, file);
  AppendInteger(0, 4, file);
  AppendInteger(stored.size(), 8, file);
  AppendInteger(manifest.size(), 8, file);
  file += Sha256Bytes(stored);
  file += stored;
  file.append(frames.data(), frames.size());
  file += Sha256Bytes(file);
  return file;
}

absl::StatusOr<ContainerHead> ReadContainerHead(absl::string_view bytes) {
  if (!IsArtifactFile(bytes)) {
    return absl::InvalidArgumentError("this is not a cytopress model file (.cyp)");
  }
  if (bytes.size() < kArtifactHeaderBytes) {
    return absl::DataLossError(absl::StrCat("the model file is cut off", kCopyAgain));
  }
  const uint64_t version = ReadInteger(bytes, kVersionAt, 4);
  const uint64_t flags = ReadInteger(bytes, kFlagsAt, 4);
  if (version != kFormatVersion || flags != 0) {
    return absl::UnimplementedError(absl::StrCat(
        "the model file has format version ", version, " with flags ", flags,
        "; this program reads version ", kFormatVersion, " without flags: use a newer program"));
  }
  const uint64_t stored_bytes = ReadInteger(bytes, kManifestStoredAt, 8);
  const uint64_t raw_bytes = ReadInteger(bytes, kManifestRawAt, 8);
  if (stored_bytes > bytes.size() - kArtifactHeaderBytes ||
      raw_bytes > static_cast<uint64_t>(kMaxManifestBytes)) {
    return absl::DataLossError(absl::StrCat("the model file is damaged or cut off: a manifest of ",
                                            stored_bytes, " bytes, unpacked ", raw_bytes,
                                            ", does not fit", kCopyAgain));
  }
  const absl::string_view stored = bytes.substr(kArtifactHeaderBytes, stored_bytes);
  if (Sha256Bytes(stored) != bytes.substr(kManifestHashAt, 32)) {
    return absl::DataLossError(absl::StrCat(
        "the model file is damaged: the checksum of its manifest does not match", kCopyAgain));
  }
  ContainerHead head;
  CYTOPRESS_ASSIGN_OR_RETURN(head.manifest, Decompress(stored, static_cast<int64_t>(raw_bytes)));
  head.frames_begin = kArtifactHeaderBytes + stored_bytes;
  return head;
}

absl::StatusOr<absl::string_view> VerifiedFrames(absl::string_view bytes,
                                                 const ContainerHead& head) {
  if (bytes.size() < head.frames_begin + kArtifactTrailerBytes) {
    return absl::DataLossError(absl::StrCat("the model file is cut off", kCopyAgain));
  }
  const size_t end = bytes.size() - kArtifactTrailerBytes;
  if (Sha256Bytes(bytes.substr(0, end)) != bytes.substr(end)) {
    return absl::DataLossError(absl::StrCat(
        "the model file is damaged or cut off: its checksum does not match", kCopyAgain));
  }
  return bytes.substr(head.frames_begin, end - head.frames_begin);
}

std::string ZstdVersion() { return ZSTD_versionString(); }

}  // namespace cytopress
