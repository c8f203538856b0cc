// Builds ZIP archives and .npy arrays, right ones and wrong ones.
#ifndef CYTOPRESS_TESTS_CORE_DATASET_NPZ_BUILDER_H_
#define CYTOPRESS_TESTS_CORE_DATASET_NPZ_BUILDER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/optional.h"

namespace cytopress {

struct ZipEntry {
  std::string name;
  std::string content;
  bool deflate = false;
  bool zip64 = false;  // sizes in the extra field, as NumPy writes it
  int flags = 0;
  // What is written instead of the truth, in both headers.
  absl::optional<uint32_t> declared_crc32 = {};
  absl::optional<uint64_t> declared_bytes = {};
  absl::optional<uint64_t> declared_compressed_bytes = {};
  absl::optional<int> declared_method = {};
  absl::optional<std::string> local_name = {};  // in the local header only
};

std::string BuildZip(const std::vector<ZipEntry>& entries);

// The file is there when it returns, if not yet on the disk.
void WriteZip(absl::string_view zip, const std::string& path);

// `shape` as Python writes it: "(4, 2, 2, 3)".
std::string BuildNpy(const std::string& dtype, const std::string& shape, absl::string_view data,
                     int major_version = 1, bool fortran_order = false);

// The members of a valid data set: 4 images of 2 x 2 RGB and as many labels in each split, with
// labels 0, 1, 0, 1. For tests to spoil.
std::vector<ZipEntry> ValidMembers();

ZipEntry* FindEntry(absl::string_view name, std::vector<ZipEntry>* entries);

}  // namespace cytopress

#endif  // CYTOPRESS_TESTS_CORE_DATASET_NPZ_BUILDER_H_
