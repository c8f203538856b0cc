// SHA-256 (FIPS 180-4) by OpenSSL.
#ifndef CYTOPRESS_CORE_BASE_SHA256_H_
#define CYTOPRESS_CORE_BASE_SHA256_H_

#include <memory>
#include <string>

#include "absl/strings/string_view.h"

namespace cytopress {

// Thread-compatible.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  void Update(absl::string_view bytes);
  // 32 raw bytes; the object is spent.
  std::string Finish();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

// Of `bytes`: 32 raw bytes.
std::string Sha256Bytes(absl::string_view bytes);

// The same as 64 lower-case hexadecimal digits.
std::string Sha256Hex(absl::string_view bytes);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_BASE_SHA256_H_
