// A cache of ModelLoader::Resolve: few requests ask a file system, and while one stalls only that
// which asks waits, where the answer was known before.
#ifndef CYTOPRESS_CORE_SERVING_RECENT_VERSIONS_H_
#define CYTOPRESS_CORE_SERVING_RECENT_VERSIONS_H_

#include <cstdint>
#include <map>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/registry/model_registry.h"
#include "core/serving/model_loader.h"

namespace cytopress {

// Thread-safe; nothing but Look waits, and none of its locks is held meanwhile.
class RecentVersions {
 public:
  // `loader` and `clock` must outlive this.
  RecentVersions(absl::Duration fresh_for, ModelLoader* loader, Clock* clock)
      : fresh_for_(fresh_for), loader_(loader), clock_(clock) {}

  // What `wanted` means (ModelLoader::Resolve), if the loader was asked no longer than `fresh_for`
  // ago. Once that answer is stale, exactly one caller gets nullopt, and the others the stale
  // answer until that one has called Look or Forgo, however long it takes (single-flight refresh).
  // Everybody gets nullopt where nothing is known, or only from before a change that this process
  // has made. REQUIRES: who gets nullopt calls Look, or Forgo.
  std::optional<ModelVersion> Find(const ModelVersion& wanted) ABSL_LOCKS_EXCLUDED(mutex_);

  // Asks the loader. A registry that cannot be read means what it meant before, if that is known.
  // REQUIRES: not by two threads at once, of which the slower one might bring the older answer.
  absl::StatusOr<ModelVersion> Look(const ModelVersion& wanted) ABSL_LOCKS_EXCLUDED(mutex_);

  // Leaves it to the next to look.
  void Forgo(const ModelVersion& wanted) ABSL_LOCKS_EXCLUDED(mutex_);

  // With the name that an empty one meant last, also while the registry cannot be read; it is empty
  // until then.
  ModelVersion WithName(ModelVersion model) const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Known {
    ModelVersion version;
    int64_t changes = 0;      // that this process had made when the loader was asked
    absl::Duration asked_at;  // steady time
    bool asking = false;      // somebody is to look
  };

  const absl::Duration fresh_for_;
  ModelLoader* const loader_;
  Clock* const clock_;

  mutable absl::Mutex mutex_;
  std::map<ModelVersion, Known> known_ ABSL_GUARDED_BY(mutex_);  // by what was wanted
};

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_SERVING_RECENT_VERSIONS_H_
