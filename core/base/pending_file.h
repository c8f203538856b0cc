// A file that takes its name only when it is complete.
#ifndef CYTOPRESS_CORE_BASE_PENDING_FILE_H_
#define CYTOPRESS_CORE_BASE_PENDING_FILE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace cytopress {

// The file that a new one takes the place of when `path` is written: the one at the end of its
// symbolic links. Empty where there is none to rename over: `path` is a device, a pipe, a folder or
// an open descriptor of this program.
std::string PathToReplace(const std::string& path);

// Whether `path` could be written, found out before the work that makes the content.
// INVALID_ARGUMENT names the path. Leaves no file behind.
absl::Status CheckWritable(const std::string& path);

// A device or pipe, which cannot be replaced, gets the bytes as they come, and so does a file by
// the name of an open descriptor, such as /dev/stdout, from where that stands. Errors name the
// path. Not thread-safe.
class PendingFile {
 public:
  // Where the file system and /proc allow it, the file has no name until Commit: it is gone when
  // this program is, however that ends. Elsewhere it is a temporary one beside `path`.
  static absl::StatusOr<PendingFile> Create(const std::string& path);

  PendingFile(PendingFile&& other) noexcept;
  PendingFile(const PendingFile&) = delete;
  PendingFile& operator=(const PendingFile&) = delete;
  // Without Commit, what was there stays.
  ~PendingFile();

  // Whether the bytes take the place of a file in the end.
  bool replaces() const { return replaces_; }

  absl::Status Append(absl::string_view bytes);

  // Syncs the file and renames it over PathToReplace(path). A file that is replaced passes its
  // permissions on: whoever may read the old one may read the new one, and nobody else. A new one
  // has those of the umask. Nothing may follow.
  absl::Status Commit();

 private:
  PendingFile(std::string path, bool replaces, std::string temporary, int fd);

  std::string path_;
  bool replaces_;
  std::string temporary_;  // its name for now; empty: it has none
  int fd_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_BASE_PENDING_FILE_H_
