// How data that the program draws itself are named: "synthetic" or "synthetic:N", N images in all.
#ifndef CYTOPRESS_CORE_DATASET_SYNTHETIC_URI_H_
#define CYTOPRESS_CORE_DATASET_SYNTHETIC_URI_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace cytopress {

// Whether `uri` is not to be looked for among files.
bool IsSynthetic(absl::string_view uri);

// INVALID_ARGUMENT for fewer than 100 or more than ten million images.
absl::Status CheckSyntheticImages(int64_t images);

// Of a URI that IsSynthetic; 6000 where it says no number. INVALID_ARGUMENT for what is no number,
// and as above.
absl::StatusOr<int64_t> SyntheticImages(absl::string_view uri);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_DATASET_SYNTHETIC_URI_H_
