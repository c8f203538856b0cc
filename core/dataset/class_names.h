// What the classes of a data set are called.
#ifndef CYTOPRESS_CORE_DATASET_CLASS_NAMES_H_
#define CYTOPRESS_CORE_DATASET_CLASS_NAMES_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "core/dataset/dataset.h"

namespace cytopress {

// BloodMNIST's classes in label order.
std::vector<std::string> BloodMnistClassNames();

// "class 0", "class 1", ...: of a label that has no name.
std::string DefaultClassName(int label);

// Sets the class names: the options', else those already set, else the default ones.
// INVALID_ARGUMENT when the options' are not `classes` many, or are empty or repeated, when a name,
// of a class or of the data set, is not UTF-8, when there is only one class, or when a class has no
// training image. `who` begins the message.
absl::Status SetClassNames(absl::string_view who, int classes, const DatasetOptions& options,
                           Dataset* dataset);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_DATASET_CLASS_NAMES_H_
