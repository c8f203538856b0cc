// When a checkpoint is worth its time.
#ifndef CYTOPRESS_CORE_PIPELINE_CHECKPOINT_PACE_H_
#define CYTOPRESS_CORE_PIPELINE_CHECKPOINT_PACE_H_

#include <optional>

#include "absl/time/time.h"
#include "core/base/clock.h"

namespace cytopress {

// Saving may take a twentieth of the time: an epoch takes a GPU no longer than writing a checkpoint
// takes the disk. Thread-compatible.
class CheckpointPace {
 public:
  // `clock` must outlive it.
  explicit CheckpointPace(const Clock* clock) : clock_(clock) {}

  // The first one is due at once: a crash before it would lose everything.
  bool IsDue() const {
    return !saved_ || clock_->Steady() - *saved_ >= kTrainingPerSaving * saving_;
  }
  // One was saved just now; that began at `start`, of the same clock's Steady().
  void Saved(absl::Duration start) {
    saved_ = clock_->Steady();
    saving_ = *saved_ - start;
  }

 private:
  static constexpr int kTrainingPerSaving = 19;

  const Clock* const clock_;
  std::optional<absl::Duration> saved_;  // when
  absl::Duration saving_;                // how long it took
};

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_PIPELINE_CHECKPOINT_PACE_H_
