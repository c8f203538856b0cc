#include "core/registry/model_registry.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>
#include <random>
#include <set>
#include <system_error>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core/artifact/artifact.h"
#include "core/base/file.h"
#include "core/base/sha256.h"
#include "core/base/status_macros.h"
#include "core/registry/model_folder.h"
#include "spdlog/spdlog.h"

namespace cytopress {
namespace {

constexpr size_t kMaxNamesInError = 20;
constexpr int64_t kMaxIdentityBytes = 1024;
// Far more than the granularity of file systems' times.
constexpr absl::Duration kSettled = absl::Seconds(2);

std::string Some(std::vector<std::string> items) {
  const size_t left_out = items.size() - std::min(items.size(), kMaxNamesInError);
  items.resize(items.size() - left_out);
  return absl::StrCat(absl::StrJoin(items, ", "),
                      left_out == 0 ? "" : absl::StrCat(" and ", left_out, " more"));
}

}  // namespace

// Manifests and hashes by path. A published file never changes, so that what was read once holds as
// long as the same file is there. And what folders hold: every request asks, and a folder keeps a
// tombstone of each version that it ever had.
class ModelRegistry::ManifestCache {
 public:
  // As ScanModelFolder, which is only called when the folder's modification time has changed, or is
  // so fresh that a later change might bear the same.
  absl::StatusOr<std::shared_ptr<const FolderContent>> Scan(const std::string& folder) {
    struct stat info;
    const absl::Time now = absl::Now();
    const bool there = stat(folder.c_str(), &info) == 0;
    const absl::Time changed =
        there ? absl::TimeFromTimespec(info.st_mtim) : absl::InfiniteFuture();
    if (there) {
      absl::MutexLock lock(&mutex_);
      const auto it = folders_.find(folder);
      if (it != folders_.end() && it->second.changed == changed &&
          it->second.inode == info.st_ino) {
        return it->second.content;
      }
    }
    CYTOPRESS_ASSIGN_OR_RETURN(FolderContent scanned, ScanModelFolder(folder));
    auto content = std::make_shared<const FolderContent>(std::move(scanned));
    if (now - changed > kSettled) {
      absl::MutexLock lock(&mutex_);
      folders_[folder] = {changed, info.st_ino, content};
    }
    return content;
  }

  absl::StatusOr<v1::Model> Get(const std::string& path) {
    CYTOPRESS_ASSIGN_OR_RETURN(const Identity identity, IdentityOf(path));
    {
      absl::MutexLock lock(&mutex_);
      const auto it = entries_.find(path);
      if (it != entries_.end() && it->second.identity == identity) return it->second.model;
    }
    // Not under the lock: other models need not wait for this file.
    CYTOPRESS_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path, kMaxArtifactFileBytes));
    Entry entry;
    entry.identity = identity;
    CYTOPRESS_ASSIGN_OR_RETURN(entry.model, ParseManifest(bytes));
    entry.model.set_sha256(Sha256Hex(bytes));
    absl::MutexLock lock(&mutex_);
    return (entries_[path] = std::move(entry)).model;
  }

  // Whether it was not asked before of this problem: what every request meets is logged once.
  bool IsNews(const std::string& problem) {
    absl::MutexLock lock(&mutex_);
    return problems_.insert(problem).second;
  }

  void ForgetFolder(const std::string& folder) {
    absl::MutexLock lock(&mutex_);
    folders_.erase(folder);
  }

  void Forget(const std::string& path) {
    absl::MutexLock lock(&mutex_);
    entries_.erase(path);
  }

  void NoteChange() { ++changes_; }
  int64_t changes() const { return changes_; }

  void NoteIdentity() { had_identity_ = true; }
  bool had_identity() const { return had_identity_; }

 private:
  using Identity = std::pair<uint64_t, int64_t>;  // inode, size
  struct Entry {
    Identity identity;
    v1::Model model;
  };
  struct Folder {
    absl::Time changed;
    uint64_t inode = 0;
    std::shared_ptr<const FolderContent> content;
  };

  static absl::StatusOr<Identity> IdentityOf(const std::string& path) {
    struct stat info;
    if (stat(path.c_str(), &info) != 0) return ErrnoStatus("cannot read", path);
    return Identity{info.st_ino, info.st_size};
  }

  std::atomic<int64_t> changes_{0};
  std::atomic<bool> had_identity_{false};
  absl::Mutex mutex_;
  std::map<std::string, Entry> entries_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, Folder> folders_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> problems_ ABSL_GUARDED_BY(mutex_);  // that were logged
};

ModelRegistry::ModelRegistry(std::string root)
    : root_(std::move(root)), cache_(std::make_shared<ManifestCache>()) {}

absl::StatusOr<ModelRegistry> ModelRegistry::Open(std::string root) {
  if (root.empty()) return absl::InvalidArgumentError("the model registry's folder has no name");
  CYTOPRESS_RETURN_IF_ERROR(MakeDirectories(root));
  ModelRegistry registry(std::move(root));
  CYTOPRESS_RETURN_IF_ERROR(registry.CheckMounted());  // notes the file if it is there
  return registry;
}

std::string ModelRegistry::IdentityPath() const { return absl::StrCat(root_, "/.registry"); }

absl::Status ModelRegistry::CheckMounted() const {
  const std::string path = IdentityPath();
  struct stat info;
  const int error = stat(path.c_str(), &info) == 0 ? 0 : errno;
  if (error == 0) cache_->NoteIdentity();
  // What must not be read is there, and has an error of its own.
  if (error == 0 || error == EACCES || !cache_->had_identity()) return absl::OkStatus();
  const std::string what =
      error == ENOENT ? " is missing" : absl::StrCat(": ", std::strerror(error));
  return absl::UnavailableError(absl::StrCat("the models folder ", root_, " cannot be read: ", path,
                                             what, "; mount it again"));
}

absl::StatusOr<std::string> ModelRegistry::Identity() const {
  const absl::StatusOr<std::string> text = ReadFile(IdentityPath(), kMaxIdentityBytes);
  if (absl::IsNotFound(text.status())) {
    CYTOPRESS_RETURN_IF_ERROR(CheckMounted());
    return std::string();
  }
  CYTOPRESS_RETURN_IF_ERROR(text.status());
  cache_->NoteIdentity();
  return std::string(absl::StripAsciiWhitespace(*text));
}

absl::StatusOr<std::string> ModelRegistry::MakeIdentity() {
  CYTOPRESS_ASSIGN_OR_RETURN(const std::string known, Identity());
  if (!known.empty()) return known;
  std::random_device random;
  const std::string drawn = absl::StrFormat("%08x%08x", random(), random());
  const std::string incoming = absl::StrCat(IdentityPath(), ".", drawn);
  CYTOPRESS_RETURN_IF_ERROR(WriteFileAtomically(incoming, drawn + "\n"));
  // A link replaces no file: of several that ask at once, the first one's stays.
  const bool linked = link(incoming.c_str(), IdentityPath().c_str()) == 0 || errno == EEXIST;
  const absl::Status status =
      linked ? SyncFolder(root_) : ErrnoStatus("cannot make", IdentityPath());
  unlink(incoming.c_str());
  CYTOPRESS_RETURN_IF_ERROR(status);
  return Identity();
}

std::string ModelRegistry::FolderOf(absl::string_view name) const {
  return absl::StrCat(root_, "/", name);
}

absl::StatusOr<ModelVersion> ModelRegistry::Publish(absl::string_view name,
                                                    absl::string_view artifact_bytes,
                                                    absl::string_view publication_key) {
  CYTOPRESS_RETURN_IF_ERROR(CheckModelName(name));
  CYTOPRESS_RETURN_IF_ERROR(ParseArtifact(artifact_bytes).status());
  // What is written into an empty mount point is hidden once the folder is back.
  CYTOPRESS_RETURN_IF_ERROR(CheckMounted());
  CYTOPRESS_ASSIGN_OR_RETURN(LockedModelFolder folder, LockedModelFolder::Open(FolderOf(name)));
  ModelVersion model{std::string(name)};
  const absl::StatusOr<int64_t> version = folder.Add(artifact_bytes, publication_key);
  cache_->NoteChange();  // also after an error: the file may be there for all that
  CYTOPRESS_RETURN_IF_ERROR(version.status());
  model.version = *version;
  return model;
}

absl::StatusOr<std::vector<std::string>> ModelRegistry::ModelNames() const {
  std::vector<std::string> names;
  std::error_code error;
  std::filesystem::directory_iterator it(root_, error);
  for (; !error && it != std::filesystem::directory_iterator(); it.increment(error)) {
    const std::string name = it->path().filename().string();
    std::error_code not_a_folder;
    if (!IsValidModelName(name) || !it->is_directory(not_a_folder)) continue;
    const absl::StatusOr<std::shared_ptr<const FolderContent>> content =
        cache_->Scan(FolderOf(name));
    if (!content.ok()) {
      if (cache_->IsNews(FolderOf(name))) {
        spdlog::warn("the model {} is left out: {}", name, std::string(content.status().message()));
      }
      continue;
    }
    if (!(*content)->versions.empty()) names.push_back(name);
  }
  // Afterwards, for the folder may go while it is read.
  CYTOPRESS_RETURN_IF_ERROR(CheckMounted());
  if (error) {
    return absl::ErrnoToStatus(error.value(), absl::StrCat("cannot list the folder ", root_));
  }
  std::sort(names.begin(), names.end());
  return names;
}

absl::StatusOr<ModelVersion> ModelRegistry::Resolve(const ModelVersion& model) const {
  CYTOPRESS_RETURN_IF_ERROR(CheckModelName(model.name));
  const absl::StatusOr<std::shared_ptr<const FolderContent>> scanned =
      cache_->Scan(FolderOf(model.name));
  const bool found = scanned.ok() && !(*scanned)->versions.empty() &&
                     (model.version == 0 || (*scanned)->versions.count(model.version) != 0);
  if (!found) CYTOPRESS_RETURN_IF_ERROR(CheckMounted());
  CYTOPRESS_RETURN_IF_ERROR(scanned.status());
  const std::set<int64_t>& there = (*scanned)->versions;
  if (there.empty()) {
    CYTOPRESS_ASSIGN_OR_RETURN(const std::vector<std::string> names, ModelNames());
    return absl::NotFoundError(absl::StrCat(
        "there is no model '", model.name, "'; ",
        names.empty() ? "the registry is empty" : absl::StrCat("there are: ", Some(names))));
  }
  if (model.version == 0) return ModelVersion{model.name, *there.rbegin()};
  if (!found) {
    std::vector<std::string> versions;
    for (const int64_t version : there) versions.push_back(absl::StrCat(version));
    return absl::NotFoundError(absl::StrCat("the model '", model.name, "' has no version ",
                                            model.version, "; there are: ", Some(versions)));
  }
  return model;
}

absl::StatusOr<v1::Model> ModelRegistry::Describe(const ModelVersion& model) const {
  CYTOPRESS_ASSIGN_OR_RETURN(v1::Model described,
                             cache_->Get(ArtifactPath(FolderOf(model.name), model.version)));
  described.set_name(model.name);
  described.set_version(model.version);
  return described;
}

absl::StatusOr<v1::Model> ModelRegistry::Get(const ModelVersion& model) const {
  CYTOPRESS_ASSIGN_OR_RETURN(const ModelVersion resolved, Resolve(model));
  return Describe(resolved);
}

absl::StatusOr<std::vector<v1::Model>> ModelRegistry::List(absl::string_view name) const {
  std::vector<std::string> names = {std::string(name)};
  if (name.empty()) {
    CYTOPRESS_ASSIGN_OR_RETURN(names, ModelNames());
  } else {
    CYTOPRESS_RETURN_IF_ERROR(CheckModelName(name));
  }
  std::vector<v1::Model> models;
  for (const std::string& listed : names) {
    const absl::StatusOr<FolderContent> content = ScanModelFolder(FolderOf(listed));
    if (!content.ok() && name.empty()) continue;  // ModelNames will tell
    if (!content.ok()) CYTOPRESS_RETURN_IF_ERROR(CheckMounted());
    CYTOPRESS_RETURN_IF_ERROR(content.status());
    for (auto it = content->versions.rbegin(); it != content->versions.rend(); ++it) {
      absl::StatusOr<v1::Model> model = Describe({listed, *it});
      if (model.ok()) {
        models.push_back(*std::move(model));
      } else if (!absl::IsNotFound(model.status())) {  // deleted meanwhile
        const std::string problem =
            absl::StrCat(listed, "@", *it, " is left out of the list: ", model.status().message());
        if (cache_->IsNews(problem)) spdlog::warn("{}", problem);
      }
    }
  }
  CYTOPRESS_RETURN_IF_ERROR(CheckMounted());
  return models;
}

absl::StatusOr<std::string> ModelRegistry::PathOf(const ModelVersion& model) const {
  CYTOPRESS_ASSIGN_OR_RETURN(const ModelVersion resolved, Resolve(model));
  return ArtifactPath(FolderOf(resolved.name), resolved.version);
}

absl::StatusOr<std::string> ModelRegistry::Read(const ModelVersion& model) const {
  CYTOPRESS_ASSIGN_OR_RETURN(const std::string path, PathOf(model));
  return ReadFile(path, kMaxArtifactFileBytes);
}

absl::StatusOr<ModelFolderLock> ModelRegistry::Hold(const std::string& name) const {
  CYTOPRESS_RETURN_IF_ERROR(CheckModelName(name));
  CYTOPRESS_RETURN_IF_ERROR(CheckMounted());
  CYTOPRESS_ASSIGN_OR_RETURN(ModelFolderLock lock, ModelFolderLock::Shared(FolderOf(name)));
  // A network file system may go on telling the time that the folder had before another machine
  // changed it; whoever opens the folder sees what there is.
  cache_->ForgetFolder(FolderOf(name));
  return lock;
}

absl::Status ModelRegistry::Delete(const ModelVersion& model,
                                   absl::FunctionRef<absl::Status()> check) {
  if (model.version < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("version: name the version of '", model.name, "' to delete"));
  }
  CYTOPRESS_ASSIGN_OR_RETURN(const ModelVersion resolved, Resolve(model));
  const std::string folder = FolderOf(resolved.name);
  {
    CYTOPRESS_ASSIGN_OR_RETURN(LockedModelFolder locked, LockedModelFolder::Open(folder));
    CYTOPRESS_RETURN_IF_ERROR(check());
    const absl::Status status = locked.Delete(resolved.version);
    cache_->NoteChange();  // also after an error, as when publishing
    CYTOPRESS_RETURN_IF_ERROR(status);
  }
  cache_->Forget(ArtifactPath(folder, resolved.version));
  return absl::OkStatus();
}

int64_t ModelRegistry::changes() const { return cache_->changes(); }

}  // namespace cytopress
