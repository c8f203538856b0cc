// Text in UTF-8 (RFC 3629).
#ifndef CYTOPRESS_CORE_BASE_UTF8_H_
#define CYTOPRESS_CORE_BASE_UTF8_H_

#include "absl/strings/string_view.h"

namespace cytopress {

// No byte out of place, no sequence longer than needed, no surrogate.
bool IsUtf8(absl::string_view text);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_BASE_UTF8_H_
