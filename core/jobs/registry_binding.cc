#include "core/jobs/registry_binding.h"

#include <spdlog/spdlog.h>

#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/address.h"
#include "core/base/status_macros.h"

namespace cytopress {
namespace {

std::string PlaceOf(const ModelRegistry& registry) {
  std::error_code error;
  return absl::StrCat(std::filesystem::absolute(registry.root(), error).string(), " on ",
                      HostName("this machine"));
}

absl::Status AnotherRegistry(const ModelRegistry& registry, const std::string& id,
                             const RegistryNote& known) {
  return absl::FailedPreconditionError(absl::StrCat(
      "the models folder ", registry.root(), " (", id.empty() ? "without an id" : "id ", id,
      ") is not the one where jobs of this database publish, ", known.place, " (id ", known.id,
      "), and their models would not be seen: ",
      // What an empty mount point looks like.
      id.empty() ? "if that folder is not mounted, mount it; else " : "",
      "give that folder by --models, or another --database; where this folder has taken the "
      "other's place, write ",
      known.id, " into ", registry.IdentityPath()));
}

}  // namespace

absl::Status BindRegistry(ModelRegistry* registry, JobStore* store) {
  CYTOPRESS_ASSIGN_OR_RETURN(RegistryNote known, store->NoteRegistry({}));
  if (known.id.empty()) {
    const absl::StatusOr<std::string> made = registry->MakeIdentity();
    if (!made.ok()) {
      // Whoever publishes in it can write it, and will note it.
      spdlog::warn("the job database does not learn of its models folder: {}",
                   made.status().ToString());
      return absl::OkStatus();
    }
    CYTOPRESS_ASSIGN_OR_RETURN(known, store->NoteRegistry({*made, PlaceOf(*registry)}));
  }
  CYTOPRESS_ASSIGN_OR_RETURN(const std::string id, registry->Identity());
  return id == known.id ? absl::OkStatus() : AnotherRegistry(*registry, id, known);
}

}  // namespace cytopress
