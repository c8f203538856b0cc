#include "core/registry/model_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"

namespace cytopress {
namespace {

constexpr char kLockName[] = ".lock";
// Only the holder of the lock writes it, so that any that a newcomer finds is a crash's.
constexpr char kIncomingName[] = ".incoming";
constexpr size_t kMaxVersionDigits = 15;
constexpr int64_t kLastVersion = 999'999'999'999'999;
constexpr int64_t kMaxKeyBytes = 1024;

absl::StatusOr<std::vector<std::string>> FileNames(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  std::filesystem::directory_iterator it(folder, error);
  if (error == std::errc::no_such_file_or_directory) return names;
  for (; !error && it != std::filesystem::directory_iterator(); it.increment(error)) {
    names.push_back(it->path().filename().string());
  }
  if (error) {
    return absl::ErrnoToStatus(error.value(), absl::StrCat("cannot list the folder ", folder));
  }
  return names;
}

// The number of "12.cyp" for the suffix ".cyp"; 0 when the name is not of that form.
int64_t VersionOf(absl::string_view name, absl::string_view suffix) {
  int64_t version = 0;
  if (!absl::EndsWith(name, suffix)) return 0;
  name.remove_suffix(suffix.size());
  if (name.empty() || name.size() > kMaxVersionDigits || name[0] == '0' ||
      !std::all_of(name.begin(), name.end(), absl::ascii_isdigit) ||
      !absl::SimpleAtoi(name, &version)) {
    return 0;
  }
  return version;
}

std::string KeyPath(const std::string& folder, int64_t version) {
  return absl::StrCat(folder, "/", version, ".key");
}

std::string TombstonePath(const std::string& folder, int64_t version) {
  return absl::StrCat(folder, "/", version, ".deleted");
}

absl::Status Remove(const std::string& path) {
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return ErrnoStatus("cannot remove", path);
  return absl::OkStatus();
}

// 0 when no version was published under `key`.
absl::StatusOr<int64_t> FindKey(const std::string& folder, const FolderContent& content,
                                absl::string_view key) {
  for (const int64_t version : content.keyed) {
    CYTOPRESS_ASSIGN_OR_RETURN(const std::string used,
                               ReadFile(KeyPath(folder, version), kMaxKeyBytes));
    if (used == key) return version;
  }
  return 0;
}

}  // namespace

absl::Status SyncFolder(const std::string& folder) {
  const int fd = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return ErrnoStatus("cannot open the folder", folder);
  absl::Status status;
  if (fsync(fd) != 0) status = ErrnoStatus("cannot sync the folder", folder);
  close(fd);
  return status;
}

std::string ArtifactPath(const std::string& folder, int64_t version) {
  return absl::StrCat(folder, "/", version, ".cyp");
}

absl::StatusOr<FolderContent> ScanModelFolder(const std::string& folder) {
  CYTOPRESS_ASSIGN_OR_RETURN(const std::vector<std::string> names, FileNames(folder));
  FolderContent content;
  for (const std::string& name : names) {
    const int64_t artifact = VersionOf(name, ".cyp");
    const int64_t key = VersionOf(name, ".key");
    const int64_t tombstone = VersionOf(name, ".deleted");
    // A folder takes a number like a file, for nothing can be published over it.
    std::error_code error;
    if (artifact > 0 && !std::filesystem::is_directory(ArtifactPath(folder, artifact), error)) {
      content.versions.insert(artifact);
    }
    if (key > 0) content.keyed.insert(key);
    if (tombstone > 0) content.deleted.insert(tombstone);
    content.highest = std::max({content.highest, artifact, key, tombstone});
  }
  for (const int64_t version : content.deleted) content.versions.erase(version);
  return content;
}

absl::StatusOr<ModelFolderLock> ModelFolderLock::Take(int file, int how, const std::string& path) {
  if (file < 0) return ErrnoStatus("cannot open", path);
  ModelFolderLock lock(file);
  while (flock(file, how) != 0) {
    if (errno != EINTR) return ErrnoStatus("cannot lock", path);
  }
  return lock;
}

absl::StatusOr<ModelFolderLock> ModelFolderLock::Exclusive(const std::string& folder) {
  const std::string path = absl::StrCat(folder, "/", kLockName);
  return Take(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644), LOCK_EX, path);
}

absl::StatusOr<ModelFolderLock> ModelFolderLock::Shared(const std::string& folder) {
  const std::string path = absl::StrCat(folder, "/", kLockName);
  int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0 && errno == ENOENT) {
    file = open(path.c_str(), O_RDONLY | O_CREAT | O_CLOEXEC, 0644);
    if (file < 0 && (errno == ENOENT || errno == EACCES || errno == EROFS)) {
      return ModelFolderLock();
    }
  }
  return Take(file, LOCK_SH, path);
}

ModelFolderLock::~ModelFolderLock() {
  if (file_ >= 0) close(file_);
}

absl::StatusOr<LockedModelFolder> LockedModelFolder::Open(std::string folder) {
  std::error_code error;
  if (!std::filesystem::exists(folder, error)) {
    CYTOPRESS_RETURN_IF_ERROR(MakeDirectories(folder));
    CYTOPRESS_RETURN_IF_ERROR(SyncFolder(std::filesystem::path(folder).parent_path().string()));
  }
  CYTOPRESS_ASSIGN_OR_RETURN(ModelFolderLock lock, ModelFolderLock::Exclusive(folder));
  LockedModelFolder locked(std::move(folder), std::move(lock));
  CYTOPRESS_RETURN_IF_ERROR(locked.RemoveLeftovers());
  return locked;
}

absl::Status LockedModelFolder::RemoveLeftovers() {
  CYTOPRESS_ASSIGN_OR_RETURN(const std::vector<std::string> names, FileNames(folder_));
  for (const std::string& name : names) {
    const int64_t deleted = VersionOf(name, ".deleted");
    if (deleted > 0) CYTOPRESS_RETURN_IF_ERROR(Remove(ArtifactPath(folder_, deleted)));
    if (absl::StartsWith(name, kIncomingName) || absl::StrContains(name, ".tmp.")) {
      CYTOPRESS_RETURN_IF_ERROR(Remove(absl::StrCat(folder_, "/", name)));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<int64_t> LockedModelFolder::Add(absl::string_view bytes, absl::string_view key) {
  if (static_cast<int64_t>(key.size()) > kMaxKeyBytes) {
    return absl::InvalidArgumentError(absl::StrCat("publication_key: ", key.size(),
                                                   " bytes; at most ", kMaxKeyBytes, " are kept"));
  }
  CYTOPRESS_ASSIGN_OR_RETURN(const FolderContent content, ScanModelFolder(folder_));
  int64_t version = content.highest + 1;
  if (!key.empty()) {
    CYTOPRESS_ASSIGN_OR_RETURN(const int64_t earlier, FindKey(folder_, content, key));
    if (content.versions.count(earlier) != 0 || content.deleted.count(earlier) != 0) return earlier;
    if (earlier > 0) version = earlier;
  }
  if (version > kLastVersion) {
    return absl::ResourceExhaustedError(absl::StrCat(folder_, " has a version ", content.highest,
                                                     ", and no number comes after it"));
  }
  if (!key.empty() && version > content.highest) {
    // The key comes first: after a crash between the two, the same key finds its number again.
    CYTOPRESS_RETURN_IF_ERROR(WriteFileAtomically(KeyPath(folder_, version), key));
    CYTOPRESS_RETURN_IF_ERROR(SyncFolder(folder_));
  }
  CYTOPRESS_RETURN_IF_ERROR(Store(version, bytes));
  return version;
}

absl::Status LockedModelFolder::Store(int64_t version, absl::string_view bytes) {
  const std::string incoming = absl::StrCat(folder_, "/", kIncomingName);
  CYTOPRESS_RETURN_IF_ERROR(WriteFileAtomically(incoming, bytes));
  // A link, unlike a rename, never replaces a file: published bytes stay what they are even where a
  // file system does not honour the lock.
  const std::string path = ArtifactPath(folder_, version);
  if (link(incoming.c_str(), path.c_str()) != 0) return ErrnoStatus("cannot publish", path);
  CYTOPRESS_RETURN_IF_ERROR(Remove(incoming));
  return SyncFolder(folder_);
}

absl::Status LockedModelFolder::Delete(int64_t version) {
  CYTOPRESS_ASSIGN_OR_RETURN(const FolderContent content, ScanModelFolder(folder_));
  if (content.versions.count(version) == 0) {
    return absl::NotFoundError(absl::StrCat(ArtifactPath(folder_, version), " does not exist"));
  }
  CYTOPRESS_RETURN_IF_ERROR(WriteFileAtomically(TombstonePath(folder_, version), ""));
  CYTOPRESS_RETURN_IF_ERROR(SyncFolder(folder_));
  CYTOPRESS_RETURN_IF_ERROR(Remove(ArtifactPath(folder_, version)));
  return SyncFolder(folder_);
}

}  // namespace cytopress
