// One process at a time under a worker's name, on one machine. The kernel drops the lock when the
// process ends in whatever way, so whoever can take it knows that no such worker is alive.
#ifndef CYTOPRESS_SERVER_WORKER_PROCESS_LOCK_H_
#define CYTOPRESS_SERVER_WORKER_PROCESS_LOCK_H_

#include <string>

#include "absl/status/statusor.h"

namespace cytopress {

// Movable; the lock is released with the object. Thread-compatible.
class ProcessLock {
 public:
  // `<work_folder>/<worker>.lock`. ALREADY_EXISTS while another process holds it.
  static absl::StatusOr<ProcessLock> Take(const std::string& work_folder,
                                          const std::string& worker);

  ProcessLock(ProcessLock&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  ProcessLock& operator=(ProcessLock&&) = delete;
  ~ProcessLock();

 private:
  explicit ProcessLock(int fd) : fd_(fd) {}

  int fd_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_SERVER_WORKER_PROCESS_LOCK_H_
