// The header of NumPy's .npy format, versions 1.0 and 2.0 (numpy.lib.format).
#ifndef CYTOPRESS_CORE_DATASET_NPY_H_
#define CYTOPRESS_CORE_DATASET_NPY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/dataset/zip.h"

namespace cytopress {

struct NpyHeader {
  std::string dtype;  // as written: "|u1", "<i8", ...
  bool fortran_order = false;
  int64_t data_offset = 0;     // within the member; set by ReadNpyHeader
  std::vector<int64_t> shape;  // no element is negative; the product may still overflow
};

// Reads an array's header from the front of `reader`, so that the data come next. Errors are
// INVALID_ARGUMENT and begin with `who`.
absl::StatusOr<NpyHeader> ReadNpyHeader(absl::string_view who, ZipMemberReader* reader);

// The header's dictionary alone: "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3), }".
absl::StatusOr<NpyHeader> ParseNpyDictionary(absl::string_view who, absl::string_view text);

// "(2, 3)"
std::string ShapeString(const std::vector<int64_t>& shape);

// -1 when it does not fit.
int64_t ElementCount(const std::vector<int64_t>& shape);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_DATASET_NPY_H_
