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

// The right to change a model's folder, held by one object at a time among all threads and
// processes; readers do not need it. A process that dies gives it back. Thread-compatible.
class LockedModelFolder {
 public:
  // Creates the folder if needed and waits for its lock. Removes what a crash left behind.
  static absl::StatusOr<LockedModelFolder> Open(std::string folder);
  ~LockedModelFolder();
  LockedModelFolder(LockedModelFolder&& other) noexcept;
  LockedModelFolder& operator=(LockedModelFolder&&) = delete;

  // Stores `bytes` under the next number and answers with it. A `key` (may be empty) that was used
  // before answers with the number taken then, also if that version is deleted by now; if a crash
  // prevented it from being stored, `bytes` are. RESOURCE_EXHAUSTED when there is no next number.
  absl::StatusOr<int64_t> Add(absl::string_view bytes, absl::string_view key);

  // NOT_FOUND when there is no such version.
  absl::Status Delete(int64_t version);

 private:
  LockedModelFolder(std::string folder, int lock) : folder_(std::move(folder)), lock_(lock) {}
  absl::Status RemoveLeftovers();
  absl::Status Store(int64_t version, absl::string_view bytes);

  std::string folder_;
  int lock_;  // file descriptor; -1 when moved from
};

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_REGISTRY_MODEL_FOLDER_H_
