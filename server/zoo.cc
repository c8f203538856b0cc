#include "server/zoo.h"

#include <algorithm>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/artifact/artifact.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"

namespace cytopress {
namespace {

namespace fs = std::filesystem;

// False when there is such a model already, or its owner has deleted it: publishing it again does
// not bring it back.
absl::StatusOr<bool> PublishFile(const fs::path& path, ModelRegistry& registry) {
  if (registry.Resolve({path.stem().string(), 0}).ok()) return false;
  CYTOPRESS_ASSIGN_OR_RETURN(const std::string bytes,
                             ReadFile(path.string(), kMaxArtifactFileBytes));
  CYTOPRESS_ASSIGN_OR_RETURN(const ModelVersion model, registry.Publish(path.stem().string(), bytes,
                                                                        /*publication_key=*/"zoo"));
  const absl::Status found = registry.Resolve(model).status();
  if (absl::IsNotFound(found)) return false;
  CYTOPRESS_RETURN_IF_ERROR(found);
  return true;
}

}  // namespace

absl::StatusOr<int> OfferZoo(const std::string& folder, const std::string& marker,
                             ModelRegistry& registry) {
  CYTOPRESS_ASSIGN_OR_RETURN(const std::vector<std::string> names, registry.ModelNames());
  std::error_code error;
  if (!names.empty() && !fs::exists(marker, error)) return 0;
  std::vector<fs::path> paths;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    if (entry.path().extension() == ".cyp") paths.push_back(entry.path());
  }
  if (error) return absl::NotFoundError(absl::StrCat(folder, ": ", error.message()));
  std::sort(paths.begin(), paths.end());
  CYTOPRESS_RETURN_IF_ERROR(WriteFileAtomically(marker, ""));
  int offered = 0;
  for (const fs::path& path : paths) {
    const absl::StatusOr<bool> published = PublishFile(path, registry);
    if (!published.ok()) {
      const absl::Status& status = published.status();
      return absl::Status(status.code(), absl::StrCat(path.string(), ": ", status.message()));
    }
    if (*published) ++offered;
  }
  fs::remove(marker, error);
  if (error) return absl::InternalError(absl::StrCat(marker, ": ", error.message()));
  return offered;
}

}  // namespace cytopress
