#include "core/dataset/zip.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zip.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"

namespace cytopress {
namespace {

// An .npz has a handful of members; a directory beyond these is an attack or another kind of file.
constexpr int64_t kMaxMembers = 4096;
constexpr int64_t kMaxDirectoryBytes = int64_t{4} << 20;
// An archive has one end record; bytes of a member or a comment may look like another.
constexpr int kMaxEnds = 4;
constexpr absl::string_view kEnd = "PK\5\6";
// ZIP64's, and where in it the numbers of members are: of this disk, and of all disks.
constexpr absl::string_view kEnd64 = "PK\6\6";
constexpr size_t kMembersOfDisk = 24, kMembersOfAll = 32;
// No deflate stream expands by more than 1032 (258 bytes from 2 bits).
constexpr uint64_t kMaxDeflateRatio = 1032;

absl::Status Bad(absl::string_view path, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(path, ": ", what));
}

// What libzip met, unless it was the content of the file.
absl::Status NotOfTheFile(absl::string_view path, zip_error_t* error) {
  const int number = zip_error_code_system(error);
  switch (zip_error_code_zip(error)) {
    case ZIP_ER_READ:
      if (number == 0) return absl::OkStatus();
      return absl::ErrnoToStatus(number, absl::StrCat("cannot read ", path));
    case ZIP_ER_MEMORY:
      return absl::ResourceExhaustedError(absl::StrCat(path, ": no memory to read it"));
    default:
      return absl::OkStatus();
  }
}

uint64_t LittleEndian64(absl::string_view bytes) {
  uint64_t value = 0;
  for (size_t i = sizeof(value); i-- > 0;) value = value << 8 | static_cast<uint8_t>(bytes[i]);
  return value;
}

// Whether a ZIP64 end record in `bytes` says that there are more members than are read.
bool SaysTooManyMembers(absl::string_view bytes) {
  for (size_t at = bytes.find(kEnd64); at != bytes.npos; at = bytes.find(kEnd64, at + 1)) {
    const absl::string_view record = bytes.substr(at);
    if (record.size() < kMembersOfAll + sizeof(uint64_t)) return false;
    const uint64_t members = LittleEndian64(record.substr(kMembersOfAll));
    // Bytes of a member that look like a record hardly have one number twice.
    if (members > kMaxMembers && members == LittleEndian64(record.substr(kMembersOfDisk))) {
      return true;
    }
  }
  return false;
}

// The file, as libzip asks for it. libzip follows whatever looks like an end record to its
// directory and takes memory for all of it, and for as many members as the record says before it
// reads the first, so what it may see of directories is limited here: without that, a hostile file
// of 3 MB keeps it busy for half an hour, and one of a terabyte, which as a sparse file is none on
// the disk, takes 700 GB.
struct Source {
  int fd = -1;
  int64_t size = 0;
  int64_t offset = 0;
  bool opening = true;  // the directory is being read, not yet a member
  int64_t directory_bytes = 0;
  int ends = 0;
  bool too_many_members = false;
  zip_error_t error = {};

  Source() { zip_error_init(&error); }
  ~Source() {
    if (fd >= 0) close(fd);
    zip_error_fini(&error);
  }
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;

  bool TooMuch() const {
    return directory_bytes > kMaxDirectoryBytes || ends > kMaxEnds || too_many_members;
  }
};

zip_int64_t ReadSource(Source* source, void* out, zip_uint64_t count) {
  ssize_t got;
  do {
    got = pread(source->fd, out, count, source->offset);
  } while (got < 0 && errno == EINTR);
  if (got < 0) {
    zip_error_set(&source->error, ZIP_ER_READ, errno);
    return -1;
  }
  source->offset += got;
  if (!source->opening) return got;
  const absl::string_view bytes(static_cast<const char*>(out), got);
  source->directory_bytes += got;
  for (size_t at = bytes.find(kEnd); at != bytes.npos; at = bytes.find(kEnd, at + 1)) {
    ++source->ends;
  }
  source->too_many_members = source->too_many_members || SaysTooManyMembers(bytes);
  if (!source->TooMuch()) return got;
  zip_error_set(&source->error, ZIP_ER_INCONS, 0);
  return -1;
}

zip_int64_t CallSource(void* user_data, void* data, zip_uint64_t count, zip_source_cmd_t command) {
  Source* const source = static_cast<Source*>(user_data);
  switch (command) {
    case ZIP_SOURCE_SUPPORTS:
      return ZIP_SOURCE_SUPPORTS_SEEKABLE |
             ZIP_SOURCE_MAKE_COMMAND_BITMASK(ZIP_SOURCE_ACCEPT_EMPTY);
    case ZIP_SOURCE_OPEN:
      source->offset = 0;
      return 0;
    case ZIP_SOURCE_ACCEPT_EMPTY:  // no: a file without a byte is no archive
    case ZIP_SOURCE_CLOSE:
      return 0;
    case ZIP_SOURCE_READ:
      return ReadSource(source, data, count);
    case ZIP_SOURCE_TELL:
      return source->offset;
    case ZIP_SOURCE_SEEK: {
      const zip_int64_t offset =
          zip_source_seek_compute_offset(source->offset, source->size, data, count, &source->error);
      if (offset < 0) return -1;
      source->offset = offset;
      return 0;
    }
    case ZIP_SOURCE_STAT: {
      zip_stat_t* const info = static_cast<zip_stat_t*>(data);
      zip_stat_init(info);
      info->valid = ZIP_STAT_SIZE;
      info->size = source->size;
      return sizeof(*info);
    }
    case ZIP_SOURCE_ERROR:
      return zip_error_to_data(&source->error, data, count);
    case ZIP_SOURCE_FREE:
      delete source;
      return 0;
    default:
      zip_error_set(&source->error, ZIP_ER_OPNOTSUPP, 0);
      return -1;
  }
}

absl::StatusOr<std::unique_ptr<Source>> OpenFile(const std::string& path) {
  auto source = std::make_unique<Source>();
  // A pipe that nobody writes is no regular file either, and is not waited for.
  source->fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (source->fd < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot open ", path));
  struct stat info;
  if (fstat(source->fd, &info) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot stat ", path));
  }
  if (!S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is not a regular file"));
  }
  source->size = info.st_size;
  return source;
}

absl::Status NotOpened(const std::string& path, const Source& source, zip_error_t* error) {
  if (source.TooMuch()) {
    return Bad(path, absl::StrCat("its directory has more than ", kMaxDirectoryBytes,
                                  " bytes, several ends or too many members; at most ", kMaxMembers,
                                  " members are read"));
  }
  CYTOPRESS_RETURN_IF_ERROR(NotOfTheFile(path, error));
  if (zip_error_code_zip(error) == ZIP_ER_EXISTS) {
    return Bad(path, "the name of a member occurs twice");
  }
  return Bad(path, absl::StrCat("not a ZIP archive, or a damaged or truncated one; libzip says: ",
                                zip_error_strerror(error)));
}

// Refuses what cannot be read, and sizes that cannot be true.
absl::Status CheckMember(const std::string& path, const zip_stat_t& info, uint64_t file_bytes) {
  const std::string who = absl::StrCat("member '", info.name, "'");
  if (info.encryption_method != ZIP_EM_NONE) return Bad(path, absl::StrCat(who, " is encrypted"));
  if (info.comp_method != ZIP_CM_STORE && info.comp_method != ZIP_CM_DEFLATE) {
    return Bad(path, absl::StrCat(who, " is compressed by method ", info.comp_method,
                                  "; only 0 (stored) and 8 (deflate) are read"));
  }
  if (info.comp_size > file_bytes) {
    return Bad(path, absl::StrCat(who, " is said to take ", info.comp_size,
                                  " bytes, more than the archive has: damaged or truncated"));
  }
  if (info.comp_method == ZIP_CM_STORE && info.size != info.comp_size) {
    return Bad(path, absl::StrCat(who, " is stored, yet its sizes differ: ", info.comp_size,
                                  " and ", info.size));
  }
  if (info.size / kMaxDeflateRatio > info.comp_size) {
    return Bad(path, absl::StrCat(who, " is said to hold ", info.size, " bytes, which its ",
                                  info.comp_size, " compressed bytes cannot give"));
  }
  return absl::OkStatus();
}

}  // namespace

void ZipArchive::Discard::operator()(zip* archive) const { zip_discard(archive); }

ZipArchive::ZipArchive(std::string path, zip* archive)
    : path_(std::move(path)), archive_(archive) {}

absl::StatusOr<ZipArchive> ZipArchive::Open(const std::string& path) {
  CYTOPRESS_ASSIGN_OR_RETURN(std::unique_ptr<Source> file, OpenFile(path));
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t* const source = zip_source_function_create(CallSource, file.get(), &error);
  if (source == nullptr) return absl::ResourceExhaustedError("libzip cannot get memory");
  Source* const opened = file.release();  // `source` owns it, and is the archive's if that opens
  // ZIP_CHECKCONS: the local headers must agree with the directory.
  zip* const opened_archive = zip_open_from_source(source, ZIP_RDONLY | ZIP_CHECKCONS, &error);
  if (opened_archive == nullptr) {
    const absl::Status status = NotOpened(path, *opened, &error);
    zip_error_fini(&error);
    zip_source_free(source);
    return status;
  }
  opened->opening = false;
  ZipArchive archive(path, opened_archive);
  const zip_int64_t count = zip_get_num_entries(opened_archive, 0);
  if (count > kMaxMembers) {
    return Bad(path, absl::StrCat("its directory has ", count, " members; at most ", kMaxMembers,
                                  " are read"));
  }
  for (zip_int64_t i = 0; i < count; ++i) {
    zip_stat_t info;
    if (zip_stat_index(opened_archive, i, 0, &info) != 0) {
      return Bad(path, absl::StrCat("member ", i, " of its directory cannot be read; libzip says: ",
                                    zip_strerror(opened_archive)));
    }
    CYTOPRESS_RETURN_IF_ERROR(CheckMember(path, info, opened->size));
    archive.members_.push_back({info.name, static_cast<int64_t>(info.size)});
  }
  return archive;
}

const ZipMember* ZipArchive::Find(absl::string_view name) const {
  for (const ZipMember& member : members_) {
    if (member.name == name) return &member;
  }
  return nullptr;
}

absl::StatusOr<std::unique_ptr<ZipMemberReader>> ZipArchive::OpenMember(
    const ZipMember& member) const {
  const std::string who = absl::StrCat("member '", member.name, "'");
  zip_file* const file = zip_fopen_index(archive_.get(), &member - members_.data(), 0);
  if (file == nullptr) {
    CYTOPRESS_RETURN_IF_ERROR(NotOfTheFile(path_, zip_get_error(archive_.get())));
    return Bad(path_,
               absl::StrCat(who, " cannot be opened; libzip says: ", zip_strerror(archive_.get())));
  }
  return std::make_unique<ZipMemberReader>(absl::StrCat(path_, ": ", who), member.bytes, file);
}

ZipMemberReader::ZipMemberReader(std::string who, int64_t bytes, zip_file* file)
    : who_(std::move(who)), bytes_(bytes), file_(file) {}

ZipMemberReader::~ZipMemberReader() { zip_fclose(file_); }

absl::Status ZipMemberReader::Wrong(absl::string_view what) const {
  return absl::InvalidArgumentError(absl::StrCat(who_, " ", what));
}

absl::Status ZipMemberReader::Failed() const {
  CYTOPRESS_RETURN_IF_ERROR(NotOfTheFile(who_, zip_file_get_error(file_)));
  return Wrong(absl::StrCat("is damaged; libzip says: ", zip_file_strerror(file_)));
}

absl::Status ZipMemberReader::Read(int64_t count, char* out) {
  if (count > bytes_ - delivered_) {
    return Wrong(
        absl::StrCat("ends after ", bytes_, " bytes, but ", delivered_ + count, " are needed"));
  }
  delivered_ += count;
  while (count > 0) {
    const zip_int64_t got = zip_fread(file_, out, count);
    if (got == 0) return Wrong("is damaged: its data end before its declared size");
    if (got < 0) return Failed();
    count -= got;
    out += got;
  }
  return absl::OkStatus();
}

absl::Status ZipMemberReader::Finish() {
  if (delivered_ != bytes_) {
    return Wrong(absl::StrCat("holds ", bytes_, " bytes, but only ", delivered_, " belong to it"));
  }
  // At the end libzip compares the CRC-32.
  char extra;
  const zip_int64_t got = zip_fread(file_, &extra, 1);
  if (got > 0) {
    return Wrong(absl::StrCat("decompresses to more than its declared ", bytes_, " bytes"));
  }
  if (got < 0) return Failed();
  return absl::OkStatus();
}

}  // namespace cytopress
