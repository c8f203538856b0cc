// Lists in pages, as https://google.aip.dev/158 has them.
#ifndef CYTOPRESS_SERVER_PAGING_H_
#define CYTOPRESS_SERVER_PAGING_H_

#include <algorithm>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "core/serving/error_details.h"

namespace cytopress {

// What a request for `page_size` items gets: 0 means 50, and more than 500 means 500.
inline absl::StatusOr<int> PageSize(int page_size) {
  if (page_size < 0) {
    return InvalidField("page_size", absl::StrCat(page_size, " is negative; give 1 to 500"));
  }
  return page_size == 0 ? 50 : std::min(page_size, 500);
}

}  // namespace cytopress

#endif  // CYTOPRESS_SERVER_PAGING_H_
