// A data set that the program draws itself, for trying it out with no data at hand.
#ifndef CYTOPRESS_CORE_DATASET_SYNTHETIC_H_
#define CYTOPRESS_CORE_DATASET_SYNTHETIC_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "core/dataset/dataset.h"

namespace cytopress {

// `images` images of 28 x 28 pixels of eight types of blood cell, about as frequent as
// BloodMNIST's, split 70/10/20 within every type. The same images, seed and version of the program
// give the same bytes on every machine. INVALID_ARGUMENT as CheckSyntheticImages has it;
// RESOURCE_EXHAUSTED when over options.max_bytes. The content hash is not set.
absl::StatusOr<Dataset> DrawDataset(int64_t images, const DatasetOptions& options);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_DATASET_SYNTHETIC_H_
