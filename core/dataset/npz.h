// Data sets in MedMNIST's format: a .npz with {train,val,test}_{images,labels}.
#ifndef CYTOPRESS_CORE_DATASET_NPZ_H_
#define CYTOPRESS_CORE_DATASET_NPZ_H_

#include <string>

#include "absl/status/statusor.h"
#include "core/dataset/dataset.h"

namespace cytopress {

// Images uint8 (N, height, width) or (N, height, width, 1), which are gray, or (N, height, width,
// 3), labels of any little-endian integer type (N,) or (N, 1), one image size in all splits, every
// class in the training split. All headers and labels are checked before pixels are read. Memory
// beyond the returned data set stays below 32 MB, and is taken only for sizes that the archive can
// hold; only a lie about the number of members may take as much as the file has bytes, until the
// first is read. The content hash is not set. INVALID_ARGUMENT names the member, what was found and
// what is needed; RESOURCE_EXHAUSTED when over options.max_bytes.
absl::StatusOr<Dataset> LoadNpz(const std::string& path, const DatasetOptions& options);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_DATASET_NPZ_H_
