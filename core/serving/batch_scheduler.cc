#include "core/serving/batch_scheduler.h"

#include <pthread.h>
#include <time.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <new>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"

namespace cytopress {
namespace {

// Of a full batch in the running means; smaller ones, which tell less of a busy server, count less.
constexpr double kFullBatchWeight = 0.3;
constexpr double kLeastWeight = 0.05;
// After so many batches that had no room for bulk work, the next one is its own: it shall not wait
// for ever, however busy the server is.
constexpr int kBatchesBeforeBulk = 8;

absl::Duration ThreadCpu() {
  timespec time = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return absl::DurationFromTimespec(time);
}

}  // namespace

BatchScheduler::BatchScheduler(std::vector<std::unique_ptr<Engine>> engines, OnBatch on_batch,
                               Clock* clock, const ImageTimes& times, std::string model)
    : engines_(std::move(engines)),
      on_batch_(std::move(on_batch)),
      clock_(clock),
      classes_(engines_.at(0)->classes()),
      image_bytes_(engines_.at(0)->image_bytes()),
      model_(std::move(model)),
      running_(engines_.size()) {
  {
    absl::MutexLock lock(&mutex_);
    if (times.in_full_batch > 0) seconds_per_image_.Add(times.in_full_batch, 1);
    if (times.alone > 0) seconds_per_small_image_.Add(times.alone, 1);
  }
  threads_.reserve(engines_.size());
  try {
    for (size_t engine = 0; engine < engines_.size(); ++engine) {
      threads_.emplace_back([this, engine] { Run(engine); });
      pthread_setname_np(threads_.back().native_handle(), "engine");
    }
  } catch (const std::system_error&) {
    Stop();
    throw;
  }
}

BatchScheduler::~BatchScheduler() { Stop(); }

void BatchScheduler::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    assert(!HasTasks());
    stopping_ = true;
  }
  for (std::thread& thread : threads_) thread.join();
}

void BatchScheduler::Enqueue(std::shared_ptr<BatchTask> task) {
  assert(task->images > 0);
  assert(static_cast<int64_t>(task->pixels.size()) == task->images * image_bytes_);
  assert(static_cast<int64_t>(task->probabilities.size()) == int64_t{task->images} * classes_);
  absl::MutexLock lock(&mutex_);
  if (task->bulk) return bulk_queue_.push_back(std::move(task));
  images_ += task->images;
  queue_.push_back(std::move(task));
}

BatchLoad BatchScheduler::load() const {
  absl::MutexLock lock(&mutex_);
  const auto engines = static_cast<int64_t>(engines_.size());
  BatchLoad load;
  load.images = load.waiting = images_;
  load.capacity_images = engines * engines_.front()->preferred_batch();
  load.per_image = absl::Seconds(SecondsPerImage(engines_.front()->preferred_batch())) / engines;
  const absl::Duration now = clock_->Steady();
  for (const Running& running : running_) {
    load.waiting -= running.images;
    const absl::Duration left =
        absl::Seconds(running.images * SecondsPerImage(running.images)) - (now - running.since);
    if (running.images > 0) load.until_free += std::max(left, absl::ZeroDuration()) / engines;
  }
  return load;
}

absl::Duration BatchScheduler::BatchTime(int64_t images) const {
  absl::MutexLock lock(&mutex_);
  const int full = engines_.front()->preferred_batch();
  const int batch = NextBatch(static_cast<int>(std::min<int64_t>(images, full)), full);
  // An image alone may take ten times as long as one of many, but a small batch takes no longer
  // than a full one.
  return absl::Seconds(std::min(batch * SecondsPerImage(batch), full * SecondsPerImage(full)));
}

void BatchScheduler::Run(size_t engine) {
  Buffers buffers;
  Batch batch;
  while (TakeBatch(engine, &batch)) {
    for (const std::shared_ptr<BatchTask>& task : batch.dropped) task->done(task->status_);
    if (!batch.slices.empty()) {
      const absl::Duration cpu_start = ThreadCpu();
      const absl::Status status = Compute(engines_[engine].get(), batch, &buffers);
      on_batch_(batch.images, ThreadCpu() - cpu_start);
      Measure(engine, batch);
      Finish(batch, status);
    }
    // Lets go of the tasks before waiting for others.
    batch = Batch();
  }
}

bool BatchScheduler::TakeBatch(size_t engine, Batch* batch) {
  absl::MutexLock lock(&mutex_);
  const auto awake = [this]()
                         ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return stopping_ || HasTasks(); };
  mutex_.Await(absl::Condition(&awake));
  if (!HasTasks()) return false;
  FillBatch(engines_[engine]->preferred_batch(), batch);
  running_[engine] = {batch->images, clock_->Steady()};
  return true;
}

absl::Status BatchScheduler::WhyDrop(const BatchTask& task, absl::Duration now) const {
  // Asked first: gRPC cancels what has expired.
  if (now >= task.deadline) {
    return absl::DeadlineExceededError("the deadline passed while the request was in the queue");
  }
  if (task.cancelled != nullptr && *task.cancelled) {
    return absl::CancelledError("the request was cancelled before it was computed");
  }
  return absl::OkStatus();
}

void BatchScheduler::FillBatch(int preferred, Batch* batch) {
  const absl::Duration now = clock_->Steady();
  DropBulk(now, batch);
  const bool bulk_waits = !bulk_queue_.empty();
  const bool bulk_first = bulk_waits && batches_without_bulk_ >= kBatchesBeforeBulk;
  if (bulk_first) FillFrom(bulk_queue_, preferred, now, batch);
  FillFrom(queue_, preferred, now, batch);
  // Others wait for no more images than are computed with theirs anyway.
  const int most = batch->images == 0 ? preferred : NextBatch(batch->images, preferred);
  const bool has_room = bulk_first || batch->images < most;
  batches_without_bulk_ = bulk_waits && !has_room ? batches_without_bulk_ + 1 : 0;
  FillFrom(bulk_queue_, most, now, batch);
}

void BatchScheduler::FillFrom(Queue& queue, int most, absl::Duration now, Batch* batch) {
  while (!queue.empty() && batch->images < most) {
    const std::shared_ptr<BatchTask> task = queue.front();
    // An error of an earlier slice makes the rest pointless.
    if (task->status_.ok()) task->status_ = WhyDrop(*task, now);
    if (!task->status_.ok()) {
      Drop(task, batch);
      queue.pop_front();
      continue;
    }
    const int count = std::min(task->images - task->handed_out_, most - batch->images);
    batch->slices.push_back({task, task->handed_out_, count});
    batch->images += count;
    if (task->bulk) images_ += count;
    task->on_left_queue(count);
    task->handed_out_ += count;
    if (task->computing_++ == 0) task->computing_since_ = now;
    if (task->handed_out_ == task->images) queue.pop_front();
  }
}

void BatchScheduler::DropBulk(absl::Duration now, Batch* batch) {
  const auto is_pointless = [&](const std::shared_ptr<BatchTask>& task)
                                ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
                                  if (task->status_.ok()) task->status_ = WhyDrop(*task, now);
                                  if (task->status_.ok()) return false;
                                  Drop(task, batch);
                                  return true;
                                };
  bulk_queue_.erase(std::remove_if(bulk_queue_.begin(), bulk_queue_.end(), is_pointless),
                    bulk_queue_.end());
}

void BatchScheduler::Drop(const std::shared_ptr<BatchTask>& task, Batch* batch) {
  const int waiting = task->images - task->handed_out_;
  task->on_left_queue(waiting);
  if (!task->bulk) images_ -= waiting;
  task->handed_out_ = task->images;
  // While a slice is in an engine, the end of that slice ends the task.
  if (task->computing_ == 0) batch->dropped.push_back(task);
}

absl::Status BatchScheduler::Compute(Engine* engine, const Batch& batch, Buffers* buffers) const
    try {
  if (batch.slices.size() == 1) {
    const Slice& slice = batch.slices.front();
    return engine->Classify(
        absl::MakeConstSpan(slice.task->pixels)
            .subspan(slice.first * image_bytes_, slice.count * image_bytes_),
        slice.count,
        absl::MakeSpan(slice.task->probabilities)
            .subspan(int64_t{slice.first} * classes_, int64_t{slice.count} * classes_));
  }
  buffers->pixels.resize(batch.images * image_bytes_);
  buffers->probabilities.resize(int64_t{batch.images} * classes_);
  auto pixels = buffers->pixels.begin();
  for (const Slice& slice : batch.slices) {
    pixels = std::copy_n(slice.task->pixels.begin() + slice.first * image_bytes_,
                         slice.count * image_bytes_, pixels);
  }
  absl::Status status =
      engine->Classify(buffers->pixels, batch.images, absl::MakeSpan(buffers->probabilities));
  auto probabilities = buffers->probabilities.cbegin();
  for (const Slice& slice : batch.slices) {
    const int64_t count = int64_t{slice.count} * classes_;
    std::copy_n(probabilities, count,
                slice.task->probabilities.begin() + int64_t{slice.first} * classes_);
    probabilities += count;
  }
  return status;
} catch (const std::bad_alloc&) {
  return absl::ResourceExhaustedError("no memory for a batch of images");
}

void BatchScheduler::Measure(size_t engine, const Batch& batch) {
  const double share = 1.0 * batch.images / engines_[engine]->preferred_batch();
  const double weight = std::max(kLeastWeight, kFullBatchWeight * share);
  absl::MutexLock lock(&mutex_);
  const double seconds = absl::ToDoubleSeconds(clock_->Steady() - running_[engine].since);
  running_[engine] = Running();
  images_ -= batch.images;
  (share >= 0.5 ? seconds_per_image_ : seconds_per_small_image_)
      .Add(seconds / batch.images, weight);
}

double BatchScheduler::SecondsPerImage(int images) const {
  const bool is_small = 2 * images < engines_.front()->preferred_batch();
  const RunningMean& wanted = is_small ? seconds_per_small_image_ : seconds_per_image_;
  const RunningMean& other = is_small ? seconds_per_image_ : seconds_per_small_image_;
  return (wanted.known() ? wanted : other).value();
}

void BatchScheduler::Finish(const Batch& batch, const absl::Status& status) {
  std::vector<BatchTask*> ended;
  {
    absl::MutexLock lock(&mutex_);
    const absl::Duration now = clock_->Steady();
    for (const Slice& slice : batch.slices) {
      BatchTask* const task = slice.task.get();
      if (task->status_.ok()) task->status_ = status;
      if (--task->computing_ > 0) continue;
      task->compute += now - task->computing_since_;
      if (task->handed_out_ == task->images) ended.push_back(task);
    }
  }
  for (BatchTask* task : ended) {
    task->done(task->status_.ok() ? CheckProbabilities(*task) : task->status_);
  }
}

absl::Status BatchScheduler::CheckProbabilities(const BatchTask& task) const {
  const bool finite = std::all_of(task.probabilities.begin(), task.probabilities.end(),
                                  [](float probability) { return std::isfinite(probability); });
  if (finite) return absl::OkStatus();
  return absl::InternalError(
      absl::StrCat(model_,
                   " computes infinite or undefined probabilities for these images; publish "
                   "another version of it, or compute it on another device"));
}

}  // namespace cytopress
