#include "tests/core/dataset/npz_builder.h"

#include <zlib.h>

#include <fstream>

#include "absl/strings/str_cat.h"

namespace cytopress {
namespace {

void Append(uint64_t value, int bytes, std::string* out) {
  for (int i = 0; i < bytes; ++i) out->push_back(static_cast<char>(value >> (8 * i)));
}

std::string Deflate(const std::string& content) {
  std::string out(compressBound(content.size()) + 64, '\0');
  z_stream stream = {};
  deflateInit2(&stream, 9, Z_DEFLATED, -MAX_WBITS, 9, Z_DEFAULT_STRATEGY);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(content.data()));
  stream.avail_in = static_cast<uInt>(content.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

// From the flags to the lengths of name and extra field, which both headers have alike.
void AppendCommon(const ZipEntry& entry, const std::string& name, size_t compressed_bytes,
                  std::string* extra, std::string* out) {
  const uint64_t bytes = entry.declared_bytes.value_or(entry.content.size());
  const uint64_t packed = entry.declared_compressed_bytes.value_or(compressed_bytes);
  Append(entry.flags, 2, out);
  Append(entry.declared_method.value_or(entry.deflate ? 8 : 0), 2, out);
  Append(0, 4, out);  // time and date
  const uint32_t crc = static_cast<uint32_t>(
      crc32(0, reinterpret_cast<const Bytef*>(entry.content.data()), entry.content.size()));
  Append(entry.declared_crc32.value_or(crc), 4, out);
  if (entry.zip64) {
    Append(1, 2, extra);
    Append(16, 2, extra);
    Append(bytes, 8, extra);
    Append(packed, 8, extra);
  }
  Append(entry.zip64 ? 0xffffffff : packed, 4, out);
  Append(entry.zip64 ? 0xffffffff : bytes, 4, out);
  Append(name.size(), 2, out);
  Append(extra->size(), 2, out);
}

}  // namespace

std::string BuildZip(const std::vector<ZipEntry>& entries) {
  std::string out, directory;
  for (const ZipEntry& entry : entries) {
    const std::string data = entry.deflate ? Deflate(entry.content) : entry.content;
    const size_t offset = out.size();
    const std::string local_name = entry.local_name.value_or(entry.name);
    std::string extra;
    Append(0x04034b50, 4, &out);
    Append(20, 2, &out);
    AppendCommon(entry, local_name, data.size(), &extra, &out);
    absl::StrAppend(&out, local_name, extra, data);
    extra.clear();
    Append(0x02014b50, 4, &directory);
    Append(20, 2, &directory);
    Append(20, 2, &directory);
    AppendCommon(entry, entry.name, data.size(), &extra, &directory);
    Append(0, 2 + 2, &directory);  // comment, disk
    Append(0, 2 + 4, &directory);  // attributes
    Append(offset, 4, &directory);
    absl::StrAppend(&directory, entry.name, extra);
  }
  const size_t directory_offset = out.size();
  absl::StrAppend(&out, directory);
  Append(0x06054b50, 4, &out);
  Append(0, 4, &out);
  Append(entries.size(), 2, &out);
  Append(entries.size(), 2, &out);
  Append(directory.size(), 4, &out);
  Append(directory_offset, 4, &out);
  Append(0, 2, &out);
  return out;
}

void WriteZip(absl::string_view zip, const std::string& path) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << zip;
}

std::string BuildNpy(const std::string& dtype, const std::string& shape, absl::string_view data,
                     int major_version, bool fortran_order) {
  const std::string quoted = dtype[0] == '[' ? dtype : absl::StrCat("'", dtype, "'");
  const std::string header =
      absl::StrCat("{'descr': ", quoted, ", 'fortran_order': ", fortran_order ? "True" : "False",
                   ", 'shape': ", shape, ", }\n");
  std::string out = "\x93NUMPY";
  Append(major_version, 1, &out);
  Append(0, 1, &out);
  Append(header.size(), major_version == 1 ? 2 : 4, &out);
  return absl::StrCat(out, header, data);
}

std::vector<ZipEntry> ValidMembers() {
  std::vector<ZipEntry> entries;
  for (int split = 0; split < 3; ++split) {
    const std::string name = split == 0 ? "train" : split == 1 ? "val" : "test";
    std::string pixels;
    for (int i = 0; i < 4 * 12; ++i) pixels.push_back(static_cast<char>(split * 80 + i));
    ZipEntry images;
    images.name = absl::StrCat(name, "_images.npy");
    images.content = BuildNpy("|u1", "(4, 2, 2, 3)", pixels);
    ZipEntry labels;
    labels.name = absl::StrCat(name, "_labels.npy");
    labels.content = BuildNpy("|u1", "(4, 1)", absl::string_view("\0\1\0\1", 4));
    entries.push_back(images);
    entries.push_back(labels);
  }
  return entries;
}

ZipEntry* FindEntry(absl::string_view name, std::vector<ZipEntry>* entries) {
  for (ZipEntry& entry : *entries) {
    if (entry.name == name) return &entry;
  }
  return nullptr;
}

}  // namespace cytopress
