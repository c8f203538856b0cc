// Keeps a fixed number of local worker slots. A slot is empty until a job waits; then it gets a
// process that runs one job and ends, so that an idle server has no training library in memory.
//
// A slot's life: ORPHANED (a worker of an earlier server may still hold the slot's name; its lock
// tells) -> IDLE -> RUNNING (a process) -> IDLE, or BACKING_OFF first after a crash.
#ifndef CYTOPRESS_SERVER_SUPERVISOR_WORKER_SUPERVISOR_H_
#define CYTOPRESS_SERVER_SUPERVISOR_WORKER_SUPERVISOR_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/problem_log.h"
#include "core/base/steady_notification.h"
#include "core/jobs/job_store.h"
#include "core/jobs/lease_times.h"

namespace cytopress {

inline constexpr int kMaxWorkers = 64;

struct SupervisorOptions {
  std::string worker_program;  // path of cytopress-worker
  std::string database_url;
  std::string models_folder;
  std::string work_folder;
  std::string log_folder;
  int workers = 1;  // slots, up to kMaxWorkers; 0 = only reap the leases of workers elsewhere
  std::string device = "cpu";
  std::vector<int> cores;  // of the workers; empty = those of this process
  // Slots are "<name_prefix>-1", ...; no other server on the same database may use the prefix.
  std::string name_prefix = "local";
  LeaseTimes times;                                   // the heartbeat is that of empty slots
  absl::Duration reap_interval = absl::Seconds(5);    // of expired leases
  absl::Duration shutdown_grace = absl::Seconds(20);  // between SIGTERM and SIGKILL
  // Pause before a slot's next process: the first after a process of any kind, doubled by every
  // further crash up to the last.
  absl::Duration first_backoff = absl::Seconds(1);
  absl::Duration last_backoff = absl::Seconds(60);
};

struct SlotInfo {
  std::string name;
  pid_t pid = 0;    // 0 = no process
  int crashes = 0;  // in a row
  int started = 0;  // processes so far
};

// Thread-safe.
class WorkerSupervisor {
 public:
  // `store` and `clock` must outlive it.
  WorkerSupervisor(const SupervisorOptions& options, JobStore* store, Clock* clock);
  // As Stop.
  ~WorkerSupervisor();
  WorkerSupervisor(const WorkerSupervisor&) = delete;
  WorkerSupervisor& operator=(const WorkerSupervisor&) = delete;

  // Once. INVALID_ARGUMENT or NOT_FOUND when no worker could ever be started so.
  absl::Status Start();
  // Ends the workers, which give their jobs back, and starts no other. Does not wait. Idempotent.
  void BeginStop();
  // As BeginStop, and waits for them. Idempotent.
  void Stop();
  // A job was submitted: look at the queue now instead of at the next poll.
  void Notify();

  // For tests: as they were at the end of the last tick.
  std::vector<SlotInfo> Slots() const;

 private:
  struct Slot {
    SlotInfo info;
    bool orphaned = true;
    std::string why_orphaned;  // logged last
    bool needs_reap = false;   // its process ended and its leases are not yet reaped
    bool cannot_work = false;  // its last process failed soon and without a job
    std::string why_crashed;   // logged last; empty when its last process did not
    int64_t log_bytes = 0;     // of its log before its last process
    bool killed = false;       // by this server, which ends: its jobs are not to blame
    absl::Duration start_after = absl::ZeroDuration();  // steady time
    absl::Duration started_at = absl::ZeroDuration();
  };

  // The thread. It starts the processes and lives as long as they do: the kernel sends a worker the
  // signal that its parent died when the thread that started it ends.
  void Supervise();
  void Tick();
  void SeeOffEnded(Slot* slot);
  void NoteExit(std::string how, bool crashed, Slot* slot);
  void Reap(Slot* slot);
  void AdoptOrphan(Slot* slot);
  void StartNeeded();
  void StartWorker(Slot* slot);
  std::string LogOf(const Slot& slot) const;
  // For those that would work if there were something to do.
  void BeatForEmptySlots();
  void ReapExpired();
  // Workers remove the checkpoints of the jobs that they end; here go those of others, for there is
  // no worker while no job waits.
  void CleanUp();
  // Whether time has passed that neither this process nor, maybe, the workers have noticed.
  bool TimeHasJumped();
  void EndWorkers();
  // Processes that are wanted now: queued jobs that fit, less those that are about to lease one.
  absl::StatusOr<int64_t> Wanted();
  bool CanStart(const Slot& slot) const;
  void Publish() ABSL_LOCKS_EXCLUDED(mutex_);
  bool WaitForNextTick() ABSL_LOCKS_EXCLUDED(mutex_);

  const SupervisorOptions options_;
  JobStore* const store_;
  Clock* const clock_;

  // Of the thread alone.
  std::vector<Slot> slots_;
  absl::Duration next_beat_ = absl::ZeroDuration();
  absl::Duration next_reap_ = absl::ZeroDuration();
  absl::Duration next_cleaning_ = -absl::InfiniteDuration();
  absl::Time last_look_ = absl::InfiniteFuture();  // at the wall clock
  ProblemLog store_log_{"supervisor"};

  mutable absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<SlotInfo> published_ ABSL_GUARDED_BY(mutex_);

  SteadyNotification wake_up_;  // to look at the queue, or to stop
  std::thread thread_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_SERVER_SUPERVISOR_WORKER_SUPERVISOR_H_
