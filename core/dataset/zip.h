// Reading of ZIP archives (PKWARE APPNOTE 6.3), as far as .npz files need it: stored and deflated
// members, ZIP64, no encryption, one disk. Nothing is trusted: every offset and size is checked
// against the archive, and a member is decompressed as a stream, so the caller decides how much
// memory it takes before taking it.
#ifndef CYTOPRESS_CORE_DATASET_ZIP_H_
#define CYTOPRESS_CORE_DATASET_ZIP_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/dataset/byte_source.h"

namespace cytopress {

struct ZipMember {
  std::string name;
  int method = 0;  // 0 = stored, 8 = deflated
  uint32_t crc32 = 0;
  int64_t compressed_bytes = 0;
  int64_t bytes = 0;
  int64_t header_offset = 0;  // of the local header
};

// One member, front to back. Not thread-safe.
class ZipMemberReader {
 public:
  virtual ~ZipMemberReader() = default;
  // Exactly `count` bytes; INVALID_ARGUMENT when the member ends or is damaged before that.
  virtual absl::Status Read(int64_t count, char* out) = 0;
  // To be called after the last byte: INVALID_ARGUMENT when bytes are left over or the CRC-32
  // differs.
  virtual absl::Status Finish() = 0;
};

// The archive's directory. Thread-compatible. Errors are INVALID_ARGUMENT and begin with the
// source's name.
class ZipArchive {
 public:
  // `source` must outlive the archive and its readers.
  static absl::StatusOr<ZipArchive> Open(const ByteSource& source);

  // In the directory's order; names are unique.
  const std::vector<ZipMember>& members() const { return members_; }
  // Null when there is none.
  const ZipMember* Find(absl::string_view name) const;
  absl::StatusOr<std::unique_ptr<ZipMemberReader>> OpenMember(const ZipMember& member) const;

 private:
  explicit ZipArchive(const ByteSource& source) : source_(&source) {}

  const ByteSource* source_;
  std::vector<ZipMember> members_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_DATASET_ZIP_H_
