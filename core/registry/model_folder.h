// The files of one model:
// - <version>.cyp: the artifact.
// - <version>.key: the publication key under which the number was taken, where there was one.
// - <version>.deleted: a tombstone, made before the artifact is removed.
//
// A number that any of them bears is taken for good. All of them appear whole or not at all.
#ifndef CYTOPRESS_CORE_REGISTRY_MODEL_FOLDER_H_
#define CYTOPRESS_CORE_REGISTRY_MODEL_FOLDER_H_

#include <cstdint>
#include <set>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace cytopress {

struct FolderContent {
  std::set<int64_t> versions;  // published and not deleted
  std::set<int64_t> deleted;
  std::set<int64_t> keyed;
  int64_t highest = 0;  // of all numbers taken
};

// Empty for a folder that does not exist. Other files in it are ignored.
absl::StatusOr<FolderContent> ScanModelFolder(const std::string& folder);

// Makes the names in a folder survive a power cut.
absl::Status SyncFolder(const std::string& folder);

std::string ArtifactPath(const std::string& folder, int64_t version);

// A lock on a model's folder among all threads and processes, until the end of the object. A
// process that dies gives it back. Thread-compatible.
class ModelFolderLock {
 public:
  ModelFolderLock() = default;  // on nothing
  // Waits until there is no other lock. REQUIRES: the folder is there.
  static absl::StatusOr<ModelFolderLock> Exclusive(const std::string& folder);
  // Waits until there is no exclusive one. On nothing where there is no folder, and in one that
  // this process may only read and that nobody has ever locked.
  static absl::StatusOr<ModelFolderLock> Shared(const std::string& folder);
  ~ModelFolderLock();
  ModelFolderLock(ModelFolderLock&& other) noexcept : file_(std::exchange(other.file_, -1)) {}
  ModelFolderLock& operator=(ModelFolderLock&& other) noexcept {
    std::swap(file_, other.file_);
    return *this;
  }

 private:
  explicit ModelFolderLock(int file) : file_(file) {}
  // Locks `file`, which may be an error of open. `how` is flock's.
  static absl::StatusOr<ModelFolderLock> Take(int file, int how, const std::string& path);

  int file_ = -1;  // descriptor; -1: none
};

// The right to change a model's folder, held by one object at a time among all threads and
// processes; readers do not need it. Thread-compatible.
class LockedModelFolder {
 public:
  // Creates the folder if needed and waits for its exclusive lock. Removes what a crash left
  // behind.
  static absl::StatusOr<LockedModelFolder> Open(std::string folder);

  // Stores `bytes` under the next number and answers with it. A `key` (may be empty) that was used
  // before answers with the number taken then, also if that version is deleted by now; if a crash
  // prevented it from being stored, `bytes` are. RESOURCE_EXHAUSTED when there is no next number.
  absl::StatusOr<int64_t> Add(absl::string_view bytes, absl::string_view key);

  // NOT_FOUND when there is no such version.
  absl::Status Delete(int64_t version);

 private:
  LockedModelFolder(std::string folder, ModelFolderLock lock)
      : folder_(std::move(folder)), lock_(std::move(lock)) {}
  absl::Status RemoveLeftovers();
  absl::Status Store(int64_t version, absl::string_view bytes);

  std::string folder_;
  ModelFolderLock lock_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_REGISTRY_MODEL_FOLDER_H_
