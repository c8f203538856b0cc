// What every kind of data set goes through after it was read.
#ifndef CYTOPRESS_CORE_DATASET_FINISH_H_
#define CYTOPRESS_CORE_DATASET_FINISH_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "core/dataset/dataset.h"

namespace cytopress {

// BloodMNIST's classes in label order.
std::vector<std::string> BloodMnistClassNames();

// Sets the class names: the options', else those already set, else "class 0", "class 1", ...
// INVALID_ARGUMENT when the options' are not `classes` many, or are empty or repeated, when a name,
// of a class or of the data set, is not UTF-8, when there is only one class, or when a class has no
// training image. `who` begins the message.
absl::Status CheckClasses(absl::string_view who, int classes, const DatasetOptions& options,
                          Dataset* dataset);

// CANCELLED: DatasetOptions::should_stop said so.
absl::Status LoadingStopped();

// Of the sizes, the class count, and pixels and labels of every split.
std::string ContentHash(const Dataset& dataset);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_DATASET_FINISH_H_
