// Lists in pages, as https://google.aip.dev/158 has them.
#ifndef CYTOPRESS_SERVER_PAGING_H_
#define CYTOPRESS_SERVER_PAGING_H_

#include <algorithm>
#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "core/serving/error_details.h"

namespace cytopress {

inline constexpr int kDefaultPageSize = 50;
inline constexpr int kMaxPageSize = 500;
// Of a page with more than one item: what gRPC's clients take unless they are told otherwise is
// 4 MiB.
inline constexpr int64_t kMaxPageBytes = int64_t{3} << 20;

// What a request for `page_size` items gets: 0 means the default, and too many mean the most.
inline absl::StatusOr<int> PageSize(int page_size) {
  if (page_size < 0) {
    return InvalidField("page_size",
                        absl::StrCat(page_size, " is negative; give 1 to ", kMaxPageSize));
  }
  return page_size == 0 ? kDefaultPageSize : std::min(page_size, kMaxPageSize);
}

}  // namespace cytopress

#endif  // CYTOPRESS_SERVER_PAGING_H_
