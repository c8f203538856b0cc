#include "core/image/png_chunks.h"

#include <cstdint>

#include "absl/strings/match.h"

namespace cytopress {
namespace {

// A chunk is the length of its data, its type, the data and a checksum.
constexpr uint64_t kSignatureBytes = 8;
constexpr uint64_t kLengthBytes = 4;
constexpr uint64_t kTypeBytes = 4;
constexpr uint64_t kChecksumBytes = 4;

uint64_t BigEndian(absl::string_view bytes) {
  uint64_t value = 0;
  for (const char byte : bytes) value = value << 8 | static_cast<uint8_t>(byte);
  return value;
}

}  // namespace

bool HasCompressedExtras(absl::string_view file) {
  if (!absl::StartsWith(file, "\x89PNG")) return false;
  uint64_t at = kSignatureBytes;
  while (at + kLengthBytes + kTypeBytes <= file.size()) {
    const absl::string_view type = file.substr(at + kLengthBytes, kTypeBytes);
    if (type == "iCCP" || type == "iTXt" || type == "zTXt") return true;
    at += kLengthBytes + kTypeBytes + BigEndian(file.substr(at, kLengthBytes)) + kChecksumBytes;
  }
  return false;
}

}  // namespace cytopress
