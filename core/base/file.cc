#include "core/base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <random>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace cytopress {
namespace {

constexpr int64_t kMaxPemBytes = 1 << 20;

// Closes on every way out.
class FileDescriptor {
 public:
  explicit FileDescriptor(int fd) : fd_(fd) {}
  ~FileDescriptor() {
    if (fd_ >= 0) close(fd_);
  }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

absl::Status WriteAll(int fd, absl::string_view content, const std::string& path) {
  while (!content.empty()) {
    const ssize_t written = write(fd, content.data(), content.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      return ErrnoStatus("cannot write", path);
    }
    content.remove_prefix(written);
  }
  return absl::OkStatus();
}

// Opens a new file beside `target` with the mode that the umask leaves to new files; -1 and errno
// if that fails.
int CreateBeside(const std::string& target, std::string* temporary) {
  std::random_device random;
  for (;;) {
    *temporary = absl::StrCat(target, ".tmp.", absl::Hex(random(), absl::kZeroPad8));
    const int fd = open(temporary->c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd >= 0 || errno != EEXIST) return fd;
  }
}

// The number behind "/dev/stdout", "/dev/fd/5" and links to such; -1 for other paths.
int DescriptorOf(std::string path) {
  constexpr int kMaxLinks = 40;  // as many as Linux follows
  for (int i = 0; i < kMaxLinks; ++i) {
    path = std::filesystem::path(path).lexically_normal().string();
    if (path == "/dev/stdout") return STDOUT_FILENO;
    if (path == "/dev/stderr") return STDERR_FILENO;
    absl::string_view number = path;
    int fd = -1;
    if ((absl::ConsumePrefix(&number, "/dev/fd/") ||
         absl::ConsumePrefix(&number, "/proc/self/fd/")) &&
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

absl::Status WriteInto(const std::string& path, absl::string_view content) {
  FileDescriptor file(OpenToWriteInto(path));
  if (file.get() < 0) return ErrnoStatus("cannot open", path);
  return WriteAll(file.get(), content, path);
}

}  // namespace

absl::StatusOr<std::string> ReadFile(const std::string& path, int64_t max_bytes) {
  // A pipe that nobody writes is no regular file either, and is not waited for.
  FileDescriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) return ErrnoStatus("cannot open", path);
  struct stat info;
  if (fstat(file.get(), &info) != 0) return ErrnoStatus("cannot stat", path);
  if (!S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is not a regular file"));
  }
  if (info.st_size > max_bytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat(path, " has ", info.st_size, " bytes; at most ", max_bytes, " are read"));
  }
  std::string content(info.st_size, '\0');
  size_t filled = 0;
  while (filled < content.size()) {
    const ssize_t got = read(file.get(), content.data() + filled, content.size() - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus("cannot read", path);
    if (got == 0) break;
    filled += got;
  }
  content.resize(filled);
  return content;
}

absl::StatusOr<std::string> ReadPem(absl::string_view what, const std::string& path) {
  absl::StatusOr<std::string> pem = ReadFile(path, kMaxPemBytes);
  if (!pem.ok()) {
    return absl::Status(pem.status().code(), absl::StrCat(what, ": ", pem.status().message()));
  }
  if (!absl::StrContains(*pem, "-----BEGIN ")) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, ": ", path, " is no PEM file (it has no -----BEGIN line)"));
  }
  return pem;
}

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

bool KeepMode(int fd, const std::string& target) {
  struct stat info;
  return stat(target.c_str(), &info) != 0 || fchmod(fd, info.st_mode & 07777) == 0;
}

int OpenToWriteInto(const std::string& path) {
  // Opened again, the file would be written from its beginning.
  if (const int fd = OpenFileOf(path); fd >= 0) return fcntl(fd, F_DUPFD_CLOEXEC, 0);
  return open(path.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOCTTY);
}

absl::Status WriteFileAtomically(const std::string& path, absl::string_view content) {
  const std::string target = PathToReplace(path);
  if (target.empty()) return WriteInto(path, content);
  std::string temporary;
  FileDescriptor file(CreateBeside(target, &temporary));
  if (file.get() < 0) return ErrnoStatus("cannot create a temporary file for", path);
  absl::Status status = WriteAll(file.get(), content, temporary);
  if (status.ok() && fsync(file.get()) != 0) status = ErrnoStatus("cannot sync", temporary);
  if (status.ok() && !KeepMode(file.get(), target)) status = ErrnoStatus("cannot chmod", temporary);
  if (status.ok() && rename(temporary.c_str(), target.c_str()) != 0) {
    status = ErrnoStatus("cannot rename to", target);
  }
  if (!status.ok()) unlink(temporary.c_str());
  return status;
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
    std::string temporary;
    const FileDescriptor file(CreateBeside(target, &temporary));
    writable = file.get() >= 0;
    if (writable) unlink(temporary.c_str());
  }
  if (writable) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("cannot write ", path, ": ", strerror(errno)));
}

absl::Status ErrnoStatus(absl::string_view action, const std::string& path) {
  return absl::ErrnoToStatus(errno, absl::StrCat(action, " ", path));
}

absl::Status MakeDirectories(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) {
    return absl::ErrnoToStatus(error.value(), absl::StrCat("cannot create the folder ", path));
  }
  return absl::OkStatus();
}

}  // namespace cytopress
