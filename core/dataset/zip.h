// Reading of ZIP archives by libzip, as far as .npz files need it: stored and deflated members,
// ZIP64, no encryption, one disk. Sizes are checked before anybody can take memory by them, and a
// member is decompressed as a stream, so the caller decides how much memory it takes.
#ifndef CYTOPRESS_CORE_DATASET_ZIP_H_
#define CYTOPRESS_CORE_DATASET_ZIP_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

struct zip;  // libzip's
struct zip_file;

namespace cytopress {

struct ZipMember {
  std::string name;  // UTF-8
  int64_t bytes = 0;
};

// One member, front to back. Not thread-safe.
class ZipMemberReader {
 public:
  // `who` begins the errors. Takes ownership of `file`.
  ZipMemberReader(std::string who, int64_t bytes, zip_file* file);
  ~ZipMemberReader();
  ZipMemberReader(const ZipMemberReader&) = delete;
  ZipMemberReader& operator=(const ZipMemberReader&) = delete;

  // Exactly `count` bytes; INVALID_ARGUMENT when the member ends or is damaged before that.
  absl::Status Read(int64_t count, char* out);
  // To be called after the last byte: INVALID_ARGUMENT when bytes are left over or the CRC-32
  // differs.
  absl::Status Finish();

 private:
  absl::Status Wrong(absl::string_view what) const;
  // Of libzip's last call.
  absl::Status Failed() const;

  const std::string who_;
  const int64_t bytes_;
  int64_t delivered_ = 0;
  zip_file* const file_;
};

// An archive and its directory. Not thread-safe, nor are its readers beside each other. Errors are
// INVALID_ARGUMENT and begin with the path, but for those of opening or reading the file itself.
class ZipArchive {
 public:
  static absl::StatusOr<ZipArchive> Open(const std::string& path);

  const std::string& path() const { return path_; }
  // In the directory's order; names are unique.
  const std::vector<ZipMember>& members() const { return members_; }
  // Null when there is none.
  const ZipMember* Find(absl::string_view name) const;
  // `member` is one of members(); the archive must outlive the reader. Several may be open at once.
  absl::StatusOr<std::unique_ptr<ZipMemberReader>> OpenMember(const ZipMember& member) const;

 private:
  struct Discard {
    void operator()(zip* archive) const;
  };
  ZipArchive(std::string path, zip* archive);

  std::string path_;
  std::unique_ptr<zip, Discard> archive_;
  std::vector<ZipMember> members_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_DATASET_ZIP_H_
