#include "core/dataset/zip.h"

#include <zlib.h>

#include <algorithm>
#include <limits>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"

namespace cytopress {
namespace {

constexpr uint32_t kLocalHeader = 0x04034b50;
constexpr uint32_t kCentralHeader = 0x02014b50;
constexpr uint32_t kEnd = 0x06054b50;
constexpr uint32_t kZip64End = 0x06064b50;
constexpr uint32_t kZip64Locator = 0x07064b50;
constexpr uint16_t kZip64Extra = 0x0001;
constexpr int64_t kLocalHeaderBytes = 30;
constexpr int64_t kCentralHeaderBytes = 46;
constexpr int64_t kEndBytes = 22;
constexpr int64_t kZip64LocatorBytes = 20;
constexpr int64_t kZip64EndBytes = 56;
constexpr uint32_t kIn64 = 0xffffffff;  // a 32-bit field whose value stands in the ZIP64 extra
constexpr int kEncrypted = 1 << 0;
constexpr int kSizesAfterData = 1 << 3;
// An .npz has a handful of members; a directory beyond these is an attack or another kind of file.
constexpr int64_t kMaxMembers = 4096;
constexpr int64_t kMaxDirectoryBytes = int64_t{4} << 20;
// No deflate stream expands by more than 1032 (258 bytes from 2 bits).
constexpr int64_t kMaxDeflateRatio = 1032;

absl::Status Bad(const ByteSource& source, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(source.name(), ": ", what));
}

// Little-endian numbers from a buffer. Reading beyond its end sets `ok` to false and gives 0.
class Fields {
 public:
  explicit Fields(absl::string_view bytes) : bytes_(bytes) {}
  uint16_t U16() { return static_cast<uint16_t>(Number(2)); }
  uint32_t U32() { return static_cast<uint32_t>(Number(4)); }
  uint64_t U64() { return Number(8); }
  absl::string_view Bytes(size_t count) {
    if (count > bytes_.size()) {
      ok_ = false;
      bytes_ = {};
      return {};
    }
    const absl::string_view taken = bytes_.substr(0, count);
    bytes_.remove_prefix(count);
    return taken;
  }
  bool ok() const { return ok_; }
  bool empty() const { return bytes_.empty(); }
  size_t left() const { return bytes_.size(); }

 private:
  uint64_t Number(size_t count) {
    const absl::string_view taken = Bytes(count);
    uint64_t value = 0;
    for (size_t i = taken.size(); i-- > 0;) value = value << 8 | static_cast<uint8_t>(taken[i]);
    return value;
  }

  absl::string_view bytes_;
  bool ok_ = true;
};

absl::StatusOr<std::string> ReadString(const ByteSource& source, int64_t offset, int64_t count) {
  if (offset < 0 || count < 0 || offset > source.size() || count > source.size() - offset) {
    return Bad(source, absl::StrCat("damaged or truncated ZIP archive: a structure of ", count,
                                    " bytes at offset ", offset, " is beyond its end (",
                                    source.size(), " bytes)"));
  }
  std::string bytes(count, '\0');
  CYTOPRESS_RETURN_IF_ERROR(source.ReadAt(offset, count, bytes.data()));
  return bytes;
}

// Values of a header that may have moved to the ZIP64 extra field, in that field's order.
struct Sizes {
  uint64_t bytes = 0;
  uint64_t compressed_bytes = 0;
  uint64_t header_offset = 0;
};

// Replaces the values that are 0xffffffff by those of the ZIP64 extra field. False when the extra
// fields are malformed or lack one.
bool ApplyZip64(absl::string_view extra, bool has_offset, Sizes* sizes) {
  const bool wants_bytes = sizes->bytes == kIn64;
  const bool wants_compressed = sizes->compressed_bytes == kIn64;
  const bool wants_offset = has_offset && sizes->header_offset == kIn64;
  if (!wants_bytes && !wants_compressed && !wants_offset) return true;
  Fields fields(extra);
  while (fields.left() >= 4) {
    const uint16_t id = fields.U16();
    const absl::string_view body = fields.Bytes(fields.U16());
    if (!fields.ok()) return false;
    if (id != kZip64Extra) continue;
    Fields values(body);
    if (wants_bytes) sizes->bytes = values.U64();
    if (wants_compressed) sizes->compressed_bytes = values.U64();
    if (wants_offset) sizes->header_offset = values.U64();
    return values.ok();
  }
  return false;
}

struct Directory {
  uint64_t members = 0;
  uint64_t bytes = 0;
  uint64_t offset = 0;
};

// Follows the locator that stands before the end record at `end_offset`.
absl::StatusOr<Directory> ReadZip64Directory(const ByteSource& source, int64_t end_offset) {
  CYTOPRESS_ASSIGN_OR_RETURN(
      const std::string locator,
      ReadString(source, end_offset - kZip64LocatorBytes, kZip64LocatorBytes));
  Fields fields(locator);
  if (fields.U32() != kZip64Locator || fields.U32() != 0) {
    return Bad(source, "damaged ZIP archive: no ZIP64 locator where one is needed");
  }
  const uint64_t offset = fields.U64();
  if (offset > static_cast<uint64_t>(source.size())) {
    return Bad(source, "damaged ZIP archive: its ZIP64 end record is beyond its end");
  }
  CYTOPRESS_ASSIGN_OR_RETURN(const std::string record,
                             ReadString(source, static_cast<int64_t>(offset), kZip64EndBytes));
  Fields end(record);
  if (end.U32() != kZip64End) {
    return Bad(source, "damaged ZIP archive: no ZIP64 end record where its locator points");
  }
  end.Bytes(8 + 2 + 2);  // size of the record, versions
  const uint32_t disk = end.U32();
  const uint32_t directory_disk = end.U32();
  Directory directory;
  const uint64_t members_here = end.U64();
  directory.members = end.U64();
  directory.bytes = end.U64();
  directory.offset = end.U64();
  if (disk != 0 || directory_disk != 0 || members_here != directory.members) {
    return Bad(source, "ZIP archives on several disks are not supported");
  }
  return directory;
}

// Finds the end record (it may be followed by a comment of up to 65535 bytes).
absl::StatusOr<Directory> FindDirectory(const ByteSource& source) {
  const int64_t tail_bytes = std::min<int64_t>(source.size(), kEndBytes + 65535);
  CYTOPRESS_ASSIGN_OR_RETURN(const std::string tail,
                             ReadString(source, source.size() - tail_bytes, tail_bytes));
  for (int64_t at = tail_bytes - kEndBytes; at >= 0; --at) {
    Fields fields(absl::string_view(tail).substr(at));
    if (fields.U32() != kEnd) continue;
    const uint16_t disk = fields.U16();
    const uint16_t directory_disk = fields.U16();
    const uint16_t members_here = fields.U16();
    Directory directory;
    directory.members = fields.U16();
    directory.bytes = fields.U32();
    directory.offset = fields.U32();
    if (fields.U16() != fields.left()) continue;  // bytes of a comment that look like the record
    if (directory.members == 0xffff || directory.bytes == kIn64 || directory.offset == kIn64) {
      return ReadZip64Directory(source, source.size() - tail_bytes + at);
    }
    if (disk != 0 || directory_disk != 0 || members_here != directory.members) {
      return Bad(source, "ZIP archives on several disks are not supported");
    }
    return directory;
  }
  return Bad(source, "not a ZIP archive, or a truncated one: it has no end-of-directory record");
}

absl::StatusOr<std::string> ReadDirectory(const ByteSource& source, const Directory& directory) {
  if (directory.members > kMaxMembers || directory.bytes > kMaxDirectoryBytes) {
    return Bad(source, absl::StrCat("its directory has ", directory.members, " members in ",
                                    directory.bytes, " bytes; at most ", kMaxMembers,
                                    " members in ", kMaxDirectoryBytes, " bytes are read"));
  }
  if (directory.offset > static_cast<uint64_t>(source.size())) {
    return Bad(source, "damaged or truncated ZIP archive: its directory is beyond its end");
  }
  return ReadString(source, static_cast<int64_t>(directory.offset),
                    static_cast<int64_t>(directory.bytes));
}

// Refuses what cannot be read, and sizes that cannot be true, before anybody allocates by them.
absl::Status CheckMember(const ByteSource& source, const ZipMember& member, int flags) {
  const std::string who = absl::StrCat("member '", member.name, "'");
  if (flags & kEncrypted) return Bad(source, absl::StrCat(who, " is encrypted"));
  if (member.method != 0 && member.method != 8) {
    return Bad(source, absl::StrCat(who, " is compressed by method ", member.method,
                                    "; only 0 (stored) and 8 (deflate) are read"));
  }
  if (member.compressed_bytes > source.size() - member.header_offset) {
    return Bad(source, absl::StrCat(who, " is said to take ", member.compressed_bytes,
                                    " bytes, more than the archive has: damaged or truncated"));
  }
  if (member.method == 0 && member.bytes != member.compressed_bytes) {
    return Bad(source, absl::StrCat(who, " is stored, yet its sizes differ: ",
                                    member.compressed_bytes, " and ", member.bytes));
  }
  if (member.bytes / kMaxDeflateRatio > member.compressed_bytes) {
    return Bad(source, absl::StrCat(who, " is said to hold ", member.bytes, " bytes, which its ",
                                    member.compressed_bytes, " compressed bytes cannot give"));
  }
  return absl::OkStatus();
}

absl::StatusOr<ZipMember> ParseMember(const ByteSource& source, Fields* fields) {
  if (fields->U32() != kCentralHeader) {
    return Bad(source, "damaged ZIP archive: its directory has a malformed entry");
  }
  ZipMember member;
  fields->Bytes(2 + 2);  // versions
  const int flags = fields->U16();
  member.method = fields->U16();
  fields->Bytes(2 + 2);  // time, date
  member.crc32 = fields->U32();
  Sizes sizes;
  sizes.compressed_bytes = fields->U32();
  sizes.bytes = fields->U32();
  const uint16_t name_bytes = fields->U16();
  const uint16_t extra_bytes = fields->U16();
  const uint16_t comment_bytes = fields->U16();
  fields->Bytes(2 + 2 + 4);  // disk, attributes
  sizes.header_offset = fields->U32();
  member.name = std::string(fields->Bytes(name_bytes));
  const absl::string_view extra = fields->Bytes(extra_bytes);
  fields->Bytes(comment_bytes);
  if (!fields->ok()) return Bad(source, "damaged ZIP archive: its directory is cut short");
  constexpr uint64_t kMost = std::numeric_limits<int64_t>::max() / 2;
  if (!ApplyZip64(extra, /*has_offset=*/true, &sizes) || sizes.bytes > kMost ||
      sizes.compressed_bytes > kMost ||
      sizes.header_offset > static_cast<uint64_t>(source.size())) {
    return Bad(source, absl::StrCat("member '", member.name, "' has an impossible size or offset"));
  }
  member.bytes = static_cast<int64_t>(sizes.bytes);
  member.compressed_bytes = static_cast<int64_t>(sizes.compressed_bytes);
  member.header_offset = static_cast<int64_t>(sizes.header_offset);
  CYTOPRESS_RETURN_IF_ERROR(CheckMember(source, member, flags));
  return member;
}

// Where the data of a member begin, after its local header, which must agree with the directory.
absl::StatusOr<int64_t> FindData(const ByteSource& source, const ZipMember& member) {
  CYTOPRESS_ASSIGN_OR_RETURN(const std::string header,
                             ReadString(source, member.header_offset, kLocalHeaderBytes));
  Fields fields(header);
  const std::string differs = absl::StrCat("damaged ZIP archive: the local header of member '",
                                           member.name, "' differs from the directory");
  if (fields.U32() != kLocalHeader) return Bad(source, differs);
  fields.Bytes(2);
  const int flags = fields.U16();
  const int method = fields.U16();
  fields.Bytes(2 + 2);
  const uint32_t crc = fields.U32();
  Sizes sizes;
  sizes.compressed_bytes = fields.U32();
  sizes.bytes = fields.U32();
  const uint16_t name_bytes = fields.U16();
  const uint16_t extra_bytes = fields.U16();
  const int64_t names_offset = member.header_offset + kLocalHeaderBytes;
  CYTOPRESS_ASSIGN_OR_RETURN(const std::string names,
                             ReadString(source, names_offset, name_bytes + extra_bytes));
  const absl::string_view extra = absl::string_view(names).substr(name_bytes);
  const bool same_sizes = ApplyZip64(extra, /*has_offset=*/false, &sizes) && crc == member.crc32 &&
                          sizes.bytes == static_cast<uint64_t>(member.bytes) &&
                          sizes.compressed_bytes == static_cast<uint64_t>(member.compressed_bytes);
  if (names.compare(0, name_bytes, member.name) != 0 || method != member.method ||
      (!(flags & kSizesAfterData) && !same_sizes)) {
    return Bad(source, differs);
  }
  const int64_t data_offset = names_offset + static_cast<int64_t>(names.size());
  if (member.compressed_bytes > source.size() - data_offset) {
    return Bad(source, absl::StrCat("member '", member.name, "' is truncated"));
  }
  return data_offset;
}

// Both methods: stored bytes are copied, deflated ones go through zlib.
class MemberReader : public ZipMemberReader {
 public:
  MemberReader(const ByteSource& source, const ZipMember& member, int64_t data_offset)
      : source_(source),
        member_(member),
        input_offset_(data_offset),
        input_left_(member.compressed_bytes) {}
  ~MemberReader() override {
    if (inflating_) inflateEnd(&zlib_);
  }
  MemberReader(const MemberReader&) = delete;
  MemberReader& operator=(const MemberReader&) = delete;

  absl::Status Init() {
    if (member_.method == 0) return absl::OkStatus();
    // Negative window bits: a raw stream, without zlib's header.
    if (inflateInit2(&zlib_, -MAX_WBITS) != Z_OK) {
      return absl::ResourceExhaustedError("zlib cannot get memory");
    }
    inflating_ = true;
    input_.resize(64 << 10);
    return absl::OkStatus();
  }

  absl::Status Read(int64_t count, char* out) override {
    if (count > member_.bytes - delivered_) {
      return Wrong(absl::StrCat("ends after ", member_.bytes, " bytes, but ", delivered_ + count,
                                " are needed"));
    }
    delivered_ += count;
    // In pieces that fit zlib's 32-bit lengths.
    while (count > 0) {
      const int64_t piece = std::min<int64_t>(count, 1 << 20);
      CYTOPRESS_RETURN_IF_ERROR(inflating_ ? Inflate(piece, out) : Copy(piece, out));
      crc_ = ::crc32(crc_, reinterpret_cast<const Bytef*>(out), static_cast<uInt>(piece));
      count -= piece;
      out += piece;
    }
    return absl::OkStatus();
  }

  absl::Status Finish() override {
    if (delivered_ != member_.bytes) {
      return Wrong(
          absl::StrCat("holds ", member_.bytes, " bytes, but only ", delivered_, " belong to it"));
    }
    if (inflating_) CYTOPRESS_RETURN_IF_ERROR(ExpectEnd());
    if (crc_ != member_.crc32) return Wrong("is damaged: its CRC-32 differs from the directory's");
    return absl::OkStatus();
  }

 private:
  absl::Status Wrong(absl::string_view what) const {
    return Bad(source_, absl::StrCat("member '", member_.name, "' ", what));
  }

  absl::Status Copy(int64_t count, char* out) {
    CYTOPRESS_RETURN_IF_ERROR(source_.ReadAt(input_offset_, count, out));
    input_offset_ += count;
    return absl::OkStatus();
  }

  absl::Status Refill() {
    const int64_t count = std::min<int64_t>(input_left_, input_.size());
    CYTOPRESS_RETURN_IF_ERROR(source_.ReadAt(input_offset_, count, input_.data()));
    input_offset_ += count;
    input_left_ -= count;
    zlib_.next_in = reinterpret_cast<Bytef*>(input_.data());
    zlib_.avail_in = static_cast<uInt>(count);
    return absl::OkStatus();
  }

  absl::Status Inflate(int64_t count, char* out) {
    zlib_.next_out = reinterpret_cast<Bytef*>(out);
    zlib_.avail_out = static_cast<uInt>(count);
    while (zlib_.avail_out > 0) {
      if (ended_) return Wrong("is damaged: its data end before its declared size");
      if (zlib_.avail_in == 0 && input_left_ > 0) CYTOPRESS_RETURN_IF_ERROR(Refill());
      const int result = inflate(&zlib_, Z_NO_FLUSH);
      if (result == Z_STREAM_END) {
        ended_ = true;
      } else if (result != Z_OK) {
        return Wrong(absl::StrCat("is damaged: zlib says ", zError(result)));
      }
    }
    return absl::OkStatus();
  }

  // All declared bytes are out: the stream must end here, without another byte.
  absl::Status ExpectEnd() {
    char extra;
    zlib_.next_out = reinterpret_cast<Bytef*>(&extra);
    zlib_.avail_out = 1;
    while (!ended_) {
      if (zlib_.avail_in == 0 && input_left_ > 0) CYTOPRESS_RETURN_IF_ERROR(Refill());
      const int result = inflate(&zlib_, Z_NO_FLUSH);
      if (result == Z_STREAM_END) ended_ = true;
      if (zlib_.avail_out == 0) {
        return Wrong(
            absl::StrCat("decompresses to more than its declared ", member_.bytes, " bytes"));
      }
      if (result != Z_OK && result != Z_STREAM_END) {
        return Wrong(absl::StrCat("is damaged: zlib says ", zError(result)));
      }
    }
    if (zlib_.avail_in > 0 || input_left_ > 0) {
      return Wrong(absl::StrCat("is damaged: its data end before their declared ",
                                member_.compressed_bytes, " compressed bytes"));
    }
    return absl::OkStatus();
  }

  const ByteSource& source_;
  const ZipMember member_;
  int64_t input_offset_;
  int64_t input_left_;
  int64_t delivered_ = 0;
  uLong crc_ = ::crc32(0, nullptr, 0);
  z_stream zlib_ = {};
  std::string input_;
  bool inflating_ = false;
  bool ended_ = false;
};

}  // namespace

absl::StatusOr<ZipArchive> ZipArchive::Open(const ByteSource& source) {
  CYTOPRESS_ASSIGN_OR_RETURN(const Directory directory, FindDirectory(source));
  CYTOPRESS_ASSIGN_OR_RETURN(const std::string bytes, ReadDirectory(source, directory));
  ZipArchive archive(source);
  std::set<std::string> names;
  Fields fields(bytes);
  for (uint64_t i = 0; i < directory.members; ++i) {
    CYTOPRESS_ASSIGN_OR_RETURN(ZipMember member, ParseMember(source, &fields));
    if (!names.insert(member.name).second) {
      return Bad(source, absl::StrCat("member '", member.name, "' occurs twice"));
    }
    archive.members_.push_back(std::move(member));
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
  CYTOPRESS_ASSIGN_OR_RETURN(const int64_t data_offset, FindData(*source_, member));
  std::unique_ptr<MemberReader> reader =
      std::make_unique<MemberReader>(*source_, member, data_offset);
  CYTOPRESS_RETURN_IF_ERROR(reader->Init());
  return std::unique_ptr<ZipMemberReader>(std::move(reader));
}

}  // namespace cytopress
