#include "core/dataset/byte_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

namespace cytopress {
namespace {

absl::Status CheckRange(const ByteSource& source, int64_t offset, int64_t count) {
  if (offset < 0 || count < 0 || offset > source.size() || count > source.size() - offset) {
    return absl::OutOfRangeError(absl::StrCat(source.name(), ": bytes ", offset, " to ", offset,
                                              " + ", count, " wanted, but it has only ",
                                              source.size()));
  }
  return absl::OkStatus();
}

class FileSource : public ByteSource {
 public:
  // Takes ownership of `fd`.
  FileSource(std::string name, int fd, int64_t size)
      : name_(std::move(name)), fd_(fd), size_(size) {}
  ~FileSource() override { close(fd_); }
  FileSource(const FileSource&) = delete;
  FileSource& operator=(const FileSource&) = delete;

  const std::string& name() const override { return name_; }
  int64_t size() const override { return size_; }

  absl::Status ReadAt(int64_t offset, int64_t count, char* out) const override {
    if (absl::Status status = CheckRange(*this, offset, count); !status.ok()) return status;
    while (count > 0) {
      const ssize_t got = pread(fd_, out, count, offset);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot read ", name_));
      if (got == 0) return absl::DataLossError(absl::StrCat(name_, " shrank while being read"));
      offset += got;
      count -= got;
      out += got;
    }
    return absl::OkStatus();
  }

 private:
  const std::string name_;
  const int fd_;
  const int64_t size_;
};

class MemorySource : public ByteSource {
 public:
  MemorySource(std::string name, absl::string_view bytes) : name_(std::move(name)), bytes_(bytes) {}

  const std::string& name() const override { return name_; }
  int64_t size() const override { return static_cast<int64_t>(bytes_.size()); }

  absl::Status ReadAt(int64_t offset, int64_t count, char* out) const override {
    if (absl::Status status = CheckRange(*this, offset, count); !status.ok()) return status;
    if (count > 0) std::memcpy(out, bytes_.data() + offset, count);
    return absl::OkStatus();
  }

 private:
  const std::string name_;
  const absl::string_view bytes_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<ByteSource>> OpenFileSource(const std::string& path) {
  // A pipe that nobody writes is no regular file either, and is not waited for.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot open ", path));
  struct stat info;
  if (fstat(fd, &info) != 0) {
    const int error = errno;
    close(fd);
    return absl::ErrnoToStatus(error, absl::StrCat("cannot stat ", path));
  }
  if (!S_ISREG(info.st_mode)) {
    close(fd);
    return absl::InvalidArgumentError(absl::StrCat(path, " is not a regular file"));
  }
  return std::make_unique<FileSource>(path, fd, info.st_size);
}

std::unique_ptr<ByteSource> MakeMemorySource(std::string name, absl::string_view bytes) {
  return std::make_unique<MemorySource>(std::move(name), bytes);
}

}  // namespace cytopress
