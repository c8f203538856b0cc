// The dynamic batcher of one model: whatever waits goes to the next engine that is free.
#ifndef CYTOPRESS_CORE_SERVING_BATCH_SCHEDULER_H_
#define CYTOPRESS_CORE_SERVING_BATCH_SCHEDULER_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/engine/engine.h"
#include "core/serving/image_times.h"
#include "core/serving/running_mean.h"

namespace cytopress {

// What a scheduler has before it, and how fast it was lately.
struct BatchLoad {
  int64_t images = 0;           // enqueued and not yet computed; without bulk work that still waits
  int64_t waiting = 0;          // of them, those that no engine has taken yet
  int64_t capacity_images = 0;  // that all engines take at once, in preferred batches
  // Zero while no times are known, both.
  absl::Duration per_image;   // wait that one more queued image adds for those behind it
  absl::Duration until_free;  // mean time until the engines end what they compute; 0 of an idle one
};

// The images of one request on their way through an engine. Filled in by the caller; it belongs to
// the scheduler from Enqueue until `done` is called.
struct BatchTask {
  int images = 0;
  bool bulk = false;                                   // lets others go first
  std::vector<uint8_t> pixels;                         // [images, image_bytes]
  absl::Duration deadline = absl::InfiniteDuration();  // steady time
  std::shared_ptr<const std::atomic<bool>> cancelled;  // may be null
  // `count` images have left the queue, for an engine or because they were dropped. Called under
  // the scheduler's lock, before `done`: it must be short.
  std::function<void(int count)> on_left_queue;
  // Once, on a thread of the scheduler and without a lock held. DEADLINE_EXCEEDED or CANCELLED when
  // the task was dropped, INTERNAL when probabilities are no numbers.
  std::function<void(const absl::Status& status)> done;

  // Results.
  std::vector<float> probabilities;  // [images, classes]; the caller makes room for them
  // Time during which at least one of the images was in an engine.
  absl::Duration compute = absl::ZeroDuration();

 private:
  friend class BatchScheduler;
  // Guarded by the scheduler's mutex.
  int handed_out_ = 0;
  int computing_ = 0;  // slices in engines now
  absl::Duration computing_since_;
  absl::Status status_;
};

// Thread-safe. A lone request never waits for company: a free engine takes what there is, up to its
// preferred batch, first come first served. Bulk work gets the batches that others leave, and room
// in theirs only where that costs them no time; where they leave none, every ninth batch. A task
// larger than a batch is cut into several, which may run on several engines at once.
class BatchScheduler {
 public:
  // Hears of every batch that was computed, before its tasks are done: its images, and the CPU time
  // of the thread that computed it.
  using OnBatch = std::function<void(int images, absl::Duration cpu)>;

  // Starts one thread an engine; throws std::system_error when there is none for it.
  // `times` is what load() and BatchTime() go by until batches have been measured; `model` is the
  // name of it in errors. `clock` must outlive the scheduler. REQUIRES: engines of the same model,
  // at least one.
  BatchScheduler(std::vector<std::unique_ptr<Engine>> engines, OnBatch on_batch, Clock* clock,
                 const ImageTimes& times = {}, std::string model = "the model");
  // REQUIRES: every task is done.
  ~BatchScheduler();
  BatchScheduler(const BatchScheduler&) = delete;
  BatchScheduler& operator=(const BatchScheduler&) = delete;

  // REQUIRES: task->images > 0, as many pixels as they need and room for their probabilities.
  void Enqueue(std::shared_ptr<BatchTask> task);

  BatchLoad load() const;
  // That an engine takes for the batch that `images` waiting ones would be in; zero before the
  // first batch.
  absl::Duration BatchTime(int64_t images) const;

  int classes() const { return classes_; }
  int64_t image_bytes() const { return image_bytes_; }

 private:
  struct Slice {
    std::shared_ptr<BatchTask> task;
    int first = 0;
    int count = 0;
  };
  struct Batch {
    std::vector<Slice> slices;
    int images = 0;
    std::vector<std::shared_ptr<BatchTask>> dropped;  // nothing of them is in an engine
  };
  // What an engine has taken; no images: nothing.
  struct Running {
    int images = 0;
    absl::Duration since;
  };
  // Buffers of one engine thread.
  struct Buffers {
    std::vector<uint8_t> pixels;
    std::vector<float> probabilities;
  };

  using Queue = std::deque<std::shared_ptr<BatchTask>>;

  // Ends the threads.
  void Stop();
  void Run(size_t engine);
  bool HasTasks() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return !queue_.empty() || !bulk_queue_.empty();
  }
  // Waits for tasks for an engine, by its number. False when the scheduler ends.
  bool TakeBatch(size_t engine, Batch* batch);
  // With at most `preferred` images.
  void FillBatch(int preferred, Batch* batch) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // From one queue, until the batch has `most` images.
  void FillFrom(Queue& queue, int most, absl::Duration now, Batch* batch)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Drops the bulk work for which nobody waits any more, wherever in its queue it is: it may wait
  // for long, and holds a stream open.
  void DropBulk(absl::Duration now, Batch* batch) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // What of a task has not left the queue does so without being computed, as its status says.
  void Drop(const std::shared_ptr<BatchTask>& task, Batch* batch)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status WhyDrop(const BatchTask& task, absl::Duration now) const;
  absl::Status Compute(Engine* engine, const Batch& batch, Buffers* buffers) const;
  void Finish(const Batch& batch, const absl::Status& status);
  // Whatever the engine says: FP16 overflows, and hardware fails.
  absl::Status CheckProbabilities(const BatchTask& task) const;
  void Measure(size_t engine, const Batch& batch) ABSL_LOCKS_EXCLUDED(mutex_);
  // Of one engine, for an image of a batch with so many.
  double SecondsPerImage(int images) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::vector<std::unique_ptr<Engine>> engines_;
  const OnBatch on_batch_;
  Clock* const clock_;
  const int classes_;
  const int64_t image_bytes_;
  const std::string model_;

  mutable absl::Mutex mutex_;
  Queue queue_ ABSL_GUARDED_BY(mutex_);
  Queue bulk_queue_ ABSL_GUARDED_BY(mutex_);
  int batches_without_bulk_ ABSL_GUARDED_BY(mutex_) = 0;  // while some waited
  int64_t images_ ABSL_GUARDED_BY(mutex_) = 0;            // in queue_ and in engines
  std::vector<Running> running_ ABSL_GUARDED_BY(mutex_);  // by engine
  // Of one engine; the two of ImageTimes.
  RunningMean seconds_per_image_ ABSL_GUARDED_BY(mutex_);        // in batches half full or more
  RunningMean seconds_per_small_image_ ABSL_GUARDED_BY(mutex_);  // in smaller ones
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_SERVING_BATCH_SCHEDULER_H_
