#include "core/serving/recent_versions.h"

#include <cstddef>

#include "absl/status/status.h"

namespace cytopress {
namespace {

// Far more than a server has. Versions that are gone would otherwise stay for ever.
constexpr size_t kMostKnown = 4096;

// Whether the registry was read: it has the model, or it has not.
bool Tells(const absl::Status& status) {
  return status.ok() || absl::IsNotFound(status) || absl::IsInvalidArgument(status);
}

}  // namespace

std::optional<ModelVersion> RecentVersions::Find(const ModelVersion& wanted) {
  const int64_t changes = loader_->changes();
  const absl::Duration now = clock_->Steady();
  absl::MutexLock lock(&mutex_);
  const auto it = known_.find(wanted);
  if (it == known_.end() || it->second.changes != changes) return std::nullopt;
  Known& known = it->second;
  if (!known.asking && now - known.asked_at > fresh_for_) {
    known.asking = true;
    return std::nullopt;
  }
  return known.version;
}

absl::StatusOr<ModelVersion> RecentVersions::Look(const ModelVersion& wanted) {
  // Taken before: a change that comes while the loader looks counts as not seen.
  const int64_t changes = loader_->changes();
  const absl::Duration now = clock_->Steady();
  absl::StatusOr<ModelVersion> version = loader_->Resolve(wanted);
  absl::MutexLock lock(&mutex_);
  const auto it = known_.find(wanted);
  const bool is_known = it != known_.end() && it->second.changes == changes;
  if (is_known && !Tells(version.status())) version = it->second.version;
  if (!version.ok()) {
    if (Tells(version.status())) known_.erase(wanted);
    return version;
  }
  if (known_.size() >= kMostKnown) known_.clear();
  known_[wanted] = {*version, changes, now, /*asking=*/false};
  return version;
}

void RecentVersions::Forgo(const ModelVersion& wanted) {
  absl::MutexLock lock(&mutex_);
  const auto it = known_.find(wanted);
  if (it != known_.end()) it->second.asking = false;
}

ModelVersion RecentVersions::WithName(ModelVersion model) const {
  if (!model.name.empty()) return model;
  absl::MutexLock lock(&mutex_);
  const auto it = known_.find(model);
  if (it != known_.end()) model.name = it->second.version.name;
  return model;
}

}  // namespace cytopress
