// How long the stages of a job take.
#ifndef CYTOPRESS_CORE_PIPELINE_STAGE_CLOCK_H_
#define CYTOPRESS_CORE_PIPELINE_STAGE_CLOCK_H_

#include <cstddef>
#include <vector>

#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/compression/checkpoint.h"

namespace cytopress {

// The times of the stage that runs, of that within it, and so on, with those of earlier attempts
// whose work they go on with. Thread-compatible.
class StageClock {
 public:
  // `clock` must outlive it.
  explicit StageClock(const Clock* clock) : clock_(clock) {}

  // A stage of the job begins; none within it has.
  void Begin();
  // One within the innermost stage begins, and ends. REQUIRES: a stage of the job has begun.
  void BeginNested();
  void EndNested();

  // How many stages the innermost one is within. REQUIRES: a stage of the job has begun.
  size_t depth() const { return began_.size() - 1; }

  // Of the innermost stage, and of the stage of the job. REQUIRES: a stage of the job has begun.
  absl::Duration Taken() const;
  absl::Duration TakenByOuter() const;

  // Puts the times into a checkpoint, from the outermost stage's on.
  void Put(TensorTable& table) const;
  // Takes them out again: the stages count as begun so long ago, without what was repeated to come
  // here. One that has taken longer by now keeps its own time; of a checkpoint without times all
  // do.
  void Take(const TensorTable& table);

 private:
  const Clock* const clock_;
  std::vector<absl::Duration> began_;  // the stage of the job, that within it, and so on
};

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_PIPELINE_STAGE_CLOCK_H_
