#include "server/zoo.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"

namespace cytopress {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxModelBytes = int64_t{1} << 30;

absl::Status PublishFile(const fs::path& path, ModelRegistry& registry) {
  CYTOPRESS_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path.string(), kMaxModelBytes));
  return registry.Publish(path.stem().string(), bytes, /*publication_key=*/"zoo").status();
}

}  // namespace

absl::StatusOr<int> OfferZoo(const std::string& folder, ModelRegistry& registry) {
  CYTOPRESS_ASSIGN_OR_RETURN(const std::vector<v1::Model> models, registry.List());
  if (!models.empty()) return 0;
  std::error_code error;
  std::vector<fs::path> paths;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    if (entry.path().extension() == ".cyp") paths.push_back(entry.path());
  }
  if (error) return absl::NotFoundError(absl::StrCat(folder, ": ", error.message()));
  std::sort(paths.begin(), paths.end());
  for (const fs::path& path : paths) {
    const absl::Status status = PublishFile(path, registry);
    if (!status.ok()) {
      return absl::Status(status.code(), absl::StrCat(path.string(), ": ", status.message()));
    }
  }
  return static_cast<int>(paths.size());
}

}  // namespace cytopress
