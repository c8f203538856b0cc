// Published models: one folder of files, `<root>/<name>/<version>.cyp`, safe to share between
// processes and machines. A version appears whole or not at all and never changes.
#ifndef CYTOPRESS_CORE_REGISTRY_MODEL_REGISTRY_H_
#define CYTOPRESS_CORE_REGISTRY_MODEL_REGISTRY_H_

#include <cstdint>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/registry/model_folder.h"
#include "cytopress/v1/model.pb.h"

namespace cytopress {

struct ModelVersion {
  std::string name;
  int64_t version = 0;  // 0 = the newest

  bool operator==(const ModelVersion& o) const { return name == o.name && version == o.version; }
  bool operator<(const ModelVersion& o) const {
    return std::tie(name, version) < std::tie(o.name, o.version);
  }
};

// "blood@3" or "blood" (version 0). INVALID_ARGUMENT otherwise.
absl::StatusOr<ModelVersion> ParseModelVersion(absl::string_view text);
std::string ToString(const ModelVersion& model);

// [a-z0-9][a-z0-9._-]{0,62}
bool IsValidModelName(absl::string_view name);
// INVALID_ARGUMENT, with the rule, for other names.
absl::Status CheckModelName(absl::string_view name);

inline ModelVersion VersionOf(const v1::Model& model) { return {model.name(), model.version()}; }
inline std::string ToString(const v1::Model& model) { return ToString(VersionOf(model)); }

// Thread-safe; several processes may use one root, which wants a file system with hard links and
// flock. Copies share what they remember of the files' manifests, the count of changes, and whether
// IdentityPath() was ever there. Where it was and is not any more, the folder has been unmounted or
// moved: instead of taking it for empty, every call is UNAVAILABLE until it is back.
class ModelRegistry {
 public:
  // Creates the folder if needed.
  static absl::StatusOr<ModelRegistry> Open(std::string root);

  // Tells this registry from others, wherever it is mounted: what the first call of MakeIdentity
  // has written into IdentityPath(). Empty before that.
  absl::StatusOr<std::string> Identity() const;
  absl::StatusOr<std::string> MakeIdentity();
  std::string IdentityPath() const;
  const std::string& root() const { return root_; }

  // Stores the artifact's bytes as the next version of `name`; they are durable when this returns.
  // `publication_key` (a job id, may be empty) makes it idempotent: the same key and name answer
  // with the version made first, so that a job that published and then died does not publish twice.
  // Bytes that ParseArtifact refuses are refused with its error.
  absl::StatusOr<ModelVersion> Publish(absl::string_view name, absl::string_view artifact_bytes,
                                       absl::string_view publication_key);

  // Version 0 becomes the newest. NOT_FOUND names what there is instead. Reads a folder, no file.
  absl::StatusOr<ModelVersion> Resolve(const ModelVersion& model) const;
  // The whole manifest.
  absl::StatusOr<v1::Model> Get(const ModelVersion& model) const;
  // Of the models that have a version; sorted. Reads folders, no file. A folder that cannot be read
  // is left out with a logged warning.
  absl::StatusOr<std::vector<std::string>> ModelNames() const;
  // By name, then newest version first. An unreadable file is skipped with a logged warning, and of
  // all models an unreadable folder, too.
  absl::StatusOr<std::vector<v1::Model>> List(absl::string_view name = "") const;
  // The whole file.
  absl::StatusOr<std::string> Read(const ModelVersion& model) const;
  absl::StatusOr<std::string> PathOf(const ModelVersion& model) const;
  // As long as the lock lives, nobody publishes or deletes a version of `name`, in whatever
  // process, unless it is on nothing (ModelFolderLock::Shared). What is remembered of the folder is
  // forgotten first.
  absl::StatusOr<ModelFolderLock> Hold(const std::string& name) const;
  // Version must be given. The number is not used again. `check` is asked first, while nobody holds
  // the model; its error leaves the version as it is.
  absl::Status Delete(const ModelVersion& model, absl::FunctionRef<absl::Status()> check);
  absl::Status Delete(const ModelVersion& model) {
    return Delete(model, [] { return absl::OkStatus(); });
  }

  // Counts calls of Publish and Delete that may have changed what there is: what was asked before
  // one of them may be wrong after it. Those of other processes are not counted.
  int64_t changes() const;

 private:
  class ManifestCache;

  explicit ModelRegistry(std::string root);
  std::string FolderOf(absl::string_view name) const;
  // Notes that IdentityPath() is there. UNAVAILABLE where it was once and is not now.
  absl::Status CheckMounted() const;
  absl::StatusOr<v1::Model> Describe(const ModelVersion& model) const;

  std::string root_;
  std::shared_ptr<ManifestCache> cache_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_REGISTRY_MODEL_REGISTRY_H_
