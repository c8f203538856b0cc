// What the server lets in. A request that would not be answered in time, or that a bounded queue
// has no room for, is refused at once and told when to come again; bulk work waits outside for its
// turn.
#ifndef CYTOPRESS_CORE_SERVING_ADMISSION_H_
#define CYTOPRESS_CORE_SERVING_ADMISSION_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/random/random.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/steady_notification.h"

namespace cytopress {

struct AdmissionOptions {
  int64_t max_waiting_images = 2048;
  // Of admitted requests: what was sent, the inputs made of it, and the outputs.
  int64_t max_bytes = int64_t{512} << 20;
  // Bulk work comes in while no more of its images than these wait, so that it keeps the engines
  // busy without a long queue in memory, and while it leaves half of the bytes.
  int64_t max_waiting_images_for_bulk = 256;
};

// What is asked to be let in.
struct AdmissionRequest {
  int64_t images = 0;
  int64_t bytes = 0;
  // Time until the deadline, and until the answer if it were let in now as far as can be told from
  // what was computed before. Zero: nothing can be told.
  absl::Duration budget = absl::InfiniteDuration();
  absl::Duration predicted = absl::ZeroDuration();
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

    // `images` of the request have left the queue. REQUIRES: it is not parked.
    void LeaveQueue(int64_t images);
    // Frees the request's place in the queue while `model` is loaded, until Unpark.
    //   Of Admit: RESOURCE_EXHAUSTED with a RetryInfo and the reason QUEUE_FULL when more than half
    //   of max_waiting_images would be parked for that model, or more than a quarter of max_bytes
    //   for all models. Never when nothing else is parked.
    //   Of AdmitInTurn: never refused, but keeps its place where more than
    //   max_waiting_images_for_bulk would be parked: in place of each that is, others come in, and
    //   all come back at once.
    // REQUIRES: all of its images are in the queue.
    absl::Status Park(const std::string& model);
    // Takes its place again, even where the queue is full meanwhile; nothing if it has one.
    void Unpark();
    // Takes more memory. RESOURCE_EXHAUSTED when it is not there now (never for bulk work, whose
    // amount is small already), INVALID_ARGUMENT when the request could never have it.
    absl::Status Grow(int64_t bytes);

   private:
    friend class Admission;
    Ticket(Admission* admission, int64_t images, int64_t bytes, bool bulk)
        : admission_(admission), bulk_(bulk), waiting_images_(images), bytes_(bytes) {}

    Admission* const admission_;
    const bool bulk_;
    std::string parked_for_;  // what it waits for, as a model; empty: it is not parked
    int64_t waiting_images_;
    int64_t bytes_;
  };
  using OnAdmitted = std::function<void(absl::StatusOr<std::unique_ptr<Ticket>>)>;

  explicit Admission(const AdmissionOptions& options) : options_(options) {}
  // REQUIRES: no ticket is left.
  ~Admission();

  // UNAVAILABLE once closed. RESOURCE_EXHAUSTED with a RetryInfo, and the reason
  //   DEADLINE_UNREACHABLE  the answer is predicted for after the deadline; the delay is the time
  //                         after which it would be met,
  //   QUEUE_FULL            too many images wait, or requests hold too many bytes.
  // INVALID_ARGUMENT with the reason REQUEST_TOO_LARGE when it could never have as many bytes.
  absl::StatusOr<std::unique_ptr<Ticket>> Admit(const AdmissionRequest& request);

  // For bulk work: `admitted` is called in turn, as soon as there is room, perhaps before this
  // returns; by whoever makes room and perhaps under locks of theirs, so it must only hand on. Or
  // with UNAVAILABLE once closed, or INVALID_ARGUMENT as above: half of the bytes is the most.
  void AdmitInTurn(int64_t images, int64_t bytes, OnAdmitted admitted);

  // From now on nothing is admitted.
  void Close();
  // Once closed: true as soon as no ticket is left. False after `timeout`, which must be finite.
  bool AwaitEmpty(absl::Duration timeout);

  // In the queue.
  int64_t waiting_images() const;

  // The most bytes that admitted requests held at once since the last call.
  int64_t TakeMostBytes();

 private:
  // Bulk work that is not let in yet.
  struct BulkWaiter {
    int64_t images;
    int64_t bytes;
    OnAdmitted admitted;
  };
  // Calls to make once the lock is released.
  using Calls = std::vector<std::function<void()>>;

  absl::Status Refusal(const AdmissionRequest& request) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Full(const std::string& why, absl::Duration retry_after)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::unique_ptr<Ticket> MakeTicket(int64_t images, int64_t bytes, bool bulk)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CountBytes(int64_t more) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CountWaiting(int64_t more, bool bulk) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether the ticket, which is not of bulk work, may be parked for `model`.
  absl::Status CheckParking(const Ticket& ticket, const std::string& model)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CountParked(const Ticket& ticket, int sign) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Admits those in line that there is room for now.
  Calls TakeTurns() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const AdmissionOptions options_;
  mutable absl::Mutex mutex_;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  int64_t tickets_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t waiting_images_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t waiting_bulk_images_ ABSL_GUARDED_BY(mutex_) = 0;  // of them
  // By the model that they are parked for, without bulk work.
  std::map<std::string, int64_t> parked_images_ ABSL_GUARDED_BY(mutex_);
  int64_t parked_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t parked_bulk_images_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t most_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::deque<BulkWaiter> line_ ABSL_GUARDED_BY(mutex_);
  absl::InsecureBitGen random_ ABSL_GUARDED_BY(mutex_);

  SteadyNotification emptied_;  // closed, and no ticket is left: that stays so
};

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_SERVING_ADMISSION_H_
