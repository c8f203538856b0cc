// What the server lets in: a bounded number of waiting images and of bytes held for them. Full
// means a refusal at once, not a longer queue.
#ifndef CYTOPRESS_CORE_SERVING_ADMISSION_H_
#define CYTOPRESS_CORE_SERVING_ADMISSION_H_

#include <cstdint>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace cytopress {

struct AdmissionOptions {
  int64_t max_waiting_images = 2048;
  int64_t max_bytes = int64_t{512}
                      << 20;  // of admitted requests: what was sent, and the inputs made of it
};

// Thread-safe.
class Admission {
 public:
  // One admitted request; gives back what it holds when it ends. Thread-compatible.
  class Ticket {
   public:
    ~Ticket();
    Ticket(const Ticket&) = delete;
    Ticket& operator=(const Ticket&) = delete;

    // `images` of the request have left the queue.
    void LeaveQueue(int64_t images);
    // Takes more memory. RESOURCE_EXHAUSTED when it is not there now, INVALID_ARGUMENT when the
    // request could never have it.
    absl::Status Grow(int64_t bytes);

   private:
    friend class Admission;
    Ticket(Admission* admission, int64_t images, int64_t bytes)
        : admission_(admission), waiting_images_(images), bytes_(bytes) {}

    Admission* const admission_;
    int64_t waiting_images_;
    int64_t bytes_;
  };

  explicit Admission(const AdmissionOptions& options) : options_(options) {}
  // REQUIRES: no ticket is left.
  ~Admission();

  // RESOURCE_EXHAUSTED with a RetryInfo when full, UNAVAILABLE once closed.
  absl::StatusOr<std::unique_ptr<Ticket>> Admit(int64_t images, int64_t bytes);

  // From now on nothing is admitted.
  void Close();
  // True as soon as no ticket is left, false after `timeout`.
  bool AwaitEmpty(absl::Duration timeout);

  int64_t waiting_images() const;

 private:
  const AdmissionOptions options_;
  mutable absl::Mutex mutex_;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  int64_t tickets_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t waiting_images_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_SERVING_ADMISSION_H_
