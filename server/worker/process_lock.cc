#include "server/worker/process_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"

namespace cytopress {

absl::StatusOr<ProcessLock> ProcessLock::Take(const std::string& work_folder,
                                              const std::string& worker) {
  CYTOPRESS_RETURN_IF_ERROR(MakeDirectories(work_folder));
  const std::string path = absl::StrCat(work_folder, "/", worker, ".lock");
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return ErrnoStatus("cannot open", path);
  ProcessLock lock(fd);
  if (flock(fd, LOCK_EX | LOCK_NB) == 0) return lock;
  if (errno == EWOULDBLOCK) {
    return absl::AlreadyExistsError(absl::StrCat("a worker named ", worker, " is running already (",
                                                 path, " is locked): give another name"));
  }
  return ErrnoStatus("cannot lock", path);
}

ProcessLock::~ProcessLock() {
  if (fd_ >= 0) close(fd_);
}

}  // namespace cytopress
