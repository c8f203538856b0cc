// Where the bytes of an archive come from.
#ifndef CYTOPRESS_CORE_DATASET_BYTE_SOURCE_H_
#define CYTOPRESS_CORE_DATASET_BYTE_SOURCE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace cytopress {

// Bytes that can be read from anywhere. Thread-safe.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // What errors call it: a path.
  virtual const std::string& name() const = 0;
  virtual int64_t size() const = 0;
  // Exactly `count` bytes from `offset`; OUT_OF_RANGE beyond the end.
  virtual absl::Status ReadAt(int64_t offset, int64_t count, char* out) const = 0;
};

// A regular file.
absl::StatusOr<std::unique_ptr<ByteSource>> OpenFileSource(const std::string& path);

// `bytes` must outlive the source.
std::unique_ptr<ByteSource> MakeMemorySource(std::string name, absl::string_view bytes);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_DATASET_BYTE_SOURCE_H_
