#include "core/base/pending_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <random>
#include <system_error>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/file.h"

namespace cytopress {
namespace {

constexpr mode_t kFileMode = 0666;  // less what the umask takes away
constexpr char kDescriptors[] = "/proc/self/fd/";

// The number behind "/dev/stdout", "/dev/fd/5" and links to such; -1 for other paths.
int DescriptorOf(std::string path) {
  constexpr int kMaxLinks = 40;  // as many as Linux follows
  for (int i = 0; i < kMaxLinks; ++i) {
    path = std::filesystem::path(path).lexically_normal().string();
    if (path == "/dev/stdout") return STDOUT_FILENO;
    if (path == "/dev/stderr") return STDERR_FILENO;
    absl::string_view number = path;
    int fd = -1;
    if ((absl::ConsumePrefix(&number, "/dev/fd/") || absl::ConsumePrefix(&number, kDescriptors)) &&
        absl::SimpleAtoi(number, &fd)) {
      return fd;
    }
    std::error_code error;
    const std::filesystem::path next = std::filesystem::read_symlink(path, error);
    if (error) return -1;
    path = (std::filesystem::path(path).parent_path() / next).string();
  }
  return -1;
}

// The open regular file that `path` stands for as a descriptor of this program; -1 otherwise.
int OpenFileOf(const std::string& path) {
  struct stat info;
  const int fd = DescriptorOf(path);
  return fd >= 0 && fstat(fd, &info) == 0 && S_ISREG(info.st_mode) ? fd : -1;
}

// Whether `fd` was opened for writing; errno where it was not.
bool IsForWriting(int fd) {
  const bool writable = (fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDONLY;
  if (!writable) errno = EBADF;
  return writable;
}

// A descriptor to write into `path`, which PathToReplace has no file for. An open file goes on
// where it stands, and is not emptied. -1 with errno if that fails.
int OpenToWriteInto(const std::string& path) {
  // Opened again, the file would be written from its beginning.
  if (const int fd = OpenFileOf(path); fd >= 0) return fcntl(fd, F_DUPFD_CLOEXEC, 0);
  return open(path.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOCTTY);
}

// Calls `make` with names beside `target` until it is one that no file has. Returns what `make`
// did: -1 with errno if it fails for another reason. Whoever clears up after a crash knows them by
// ".tmp.".
int MakeBeside(const std::string& target, absl::FunctionRef<int(const char*)> make,
               std::string* name) {
  std::random_device random;
  for (;;) {
    *name = absl::StrCat(target, ".tmp.", absl::Hex(random(), absl::kZeroPad8));
    const int made = make(name->c_str());
    if (made >= 0 || errno != EEXIST) return made;
  }
}

int CreateBeside(const std::string& target, std::string* name) {
  const auto create = [](const char* path) {
    return open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, kFileMode);
  };
  return MakeBeside(target, create, name);
}

// Gives the open file `fd` the permissions of the file `target` that it will take the place of, if
// there is one. False with errno if that fails.
bool KeepMode(int fd, const std::string& target) {
  struct stat info;
  return stat(target.c_str(), &info) != 0 || fchmod(fd, info.st_mode & 07777) == 0;
}

}  // namespace

std::string PathToReplace(const std::string& path) {
  struct stat info;
  std::error_code error;
  if (stat(path.c_str(), &info) != 0) {
    if (errno != ENOENT) return path;
    // Nothing yet; but a link may lead to where it is to be.
    const std::filesystem::path next = std::filesystem::read_symlink(path, error);
    if (error) return path;
    return PathToReplace((std::filesystem::path(path).parent_path() / next).string());
  }
  if (!S_ISREG(info.st_mode) || OpenFileOf(path) >= 0) return "";
  return std::filesystem::canonical(path, error).string();
}

absl::Status CheckWritable(const std::string& path) {
  const std::string target = PathToReplace(path);
  std::error_code error;
  if (target.empty() && std::filesystem::is_directory(path, error)) {
    return absl::InvalidArgumentError(absl::StrCat("cannot write ", path, ": it is a folder"));
  }
  const int opened = OpenFileOf(path);
  bool writable =
      target.empty() && (opened >= 0 ? IsForWriting(opened) : access(path.c_str(), W_OK) == 0);
  if (!target.empty()) {
    // With a name, which may be too long.
    std::string temporary;
    const int fd = CreateBeside(target, &temporary);
    writable = fd >= 0;
    if (writable) {
      close(fd);
      unlink(temporary.c_str());
    }
  }
  if (writable) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("cannot write ", path, ": ", strerror(errno)));
}

absl::StatusOr<PendingFile> PendingFile::Create(const std::string& path) {
  const std::string target = PathToReplace(path);
  if (target.empty()) {
    const int fd = OpenToWriteInto(path);
    if (fd < 0) return ErrnoStatus("cannot open", path);
    return PendingFile(path, /*replaces=*/false, /*temporary=*/"", fd);
  }
  std::string folder = std::filesystem::path(target).parent_path().string();
  if (folder.empty()) folder = ".";
  std::string temporary;
  int fd = -1;
  // Without it, Commit could not name the file.
  if (access(kDescriptors, X_OK) == 0) {
    fd = open(folder.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, kFileMode);
  }
  if (fd < 0) fd = CreateBeside(target, &temporary);  // not every file system can do that
  if (fd < 0) return ErrnoStatus("cannot create a temporary file for", target);
  return PendingFile(target, /*replaces=*/true, std::move(temporary), fd);
}

PendingFile::PendingFile(std::string path, bool replaces, std::string temporary, int fd)
    : path_(std::move(path)), replaces_(replaces), temporary_(std::move(temporary)), fd_(fd) {}

PendingFile::PendingFile(PendingFile&& other) noexcept
    : path_(std::move(other.path_)),
      replaces_(other.replaces_),
      temporary_(std::move(other.temporary_)),
      fd_(std::exchange(other.fd_, -1)) {}

PendingFile::~PendingFile() {
  if (fd_ < 0) return;
  close(fd_);
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

absl::Status PendingFile::Append(absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(fd_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return ErrnoStatus("cannot write", path_);
    bytes.remove_prefix(written);
  }
  return absl::OkStatus();
}

absl::Status PendingFile::Commit() {
  if (!replaces_) return absl::OkStatus();
  if (fsync(fd_) != 0) return ErrnoStatus("cannot sync", path_);
  if (!KeepMode(fd_, path_)) return ErrnoStatus("cannot chmod", path_);
  if (temporary_.empty()) {
    // There is no linkat(2) over a file that is there.
    std::string name;
    const std::string unnamed = absl::StrCat(kDescriptors, fd_);
    const auto link_to = [&unnamed](const char* path) {
      return linkat(AT_FDCWD, unnamed.c_str(), AT_FDCWD, path, AT_SYMLINK_FOLLOW);
    };
    if (MakeBeside(path_, link_to, &name) < 0) {
      return ErrnoStatus("cannot name the temporary file for", path_);
    }
    temporary_ = std::move(name);
  }
  if (rename(temporary_.c_str(), path_.c_str()) != 0) return ErrnoStatus("cannot replace", path_);
  close(std::exchange(fd_, -1));
  return absl::OkStatus();
}

}  // namespace cytopress
