// A fixed number of threads that run what they are given, first come first served.
#ifndef CYTOPRESS_CORE_SERVING_THREAD_POOL_H_
#define CYTOPRESS_CORE_SERVING_THREAD_POOL_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace cytopress {

// Thread-safe.
class ThreadPool {
 public:
  // `name` is what debuggers show, at most 15 characters. REQUIRES: threads > 0.
  ThreadPool(const std::string& name, int threads);
  // Runs all that is queued, then ends the threads.
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  // For work whose amount is bounded elsewhere.
  void Schedule(std::function<void()> work);
  // False, and `work` is dropped, when `max_queued` are waiting already.
  bool TrySchedule(std::function<void()> work, int64_t max_queued);

  int threads() const { return static_cast<int>(threads_.size()); }

 private:
  void Run();

  absl::Mutex mutex_;
  std::deque<std::function<void()>> queue_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_SERVING_THREAD_POOL_H_
