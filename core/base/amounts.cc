#include "core/base/amounts.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace cytopress {

std::string ReadableBytes(int64_t bytes) {
  if (bytes < 1000) return absl::StrCat(bytes, " B");
  double value = static_cast<double>(bytes);
  const char* unit = "";
  for (const char* next : {"kB", "MB", "GB", "TB"}) {
    if (value < 1000) break;
    value /= 1000;
    unit = next;
  }
  return absl::StrFormat("%.*f %s", value < 100 ? 1 : 0, value, unit);
}

}  // namespace cytopress
