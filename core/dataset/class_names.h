// What the classes of a data set are called.
#ifndef CYTOPRESS_CORE_DATASET_CLASS_NAMES_H_
#define CYTOPRESS_CORE_DATASET_CLASS_NAMES_H_

#include <optional>
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

// INVALID_ARGUMENT for a name that is empty, not UTF-8, which no file of a model may hold, or there
// twice: classes are meant by their names in recipes and data sets.
absl::Status CheckClassNames(const std::vector<std::string>& names);

// What all spellings of a name share: its letters, those of ASCII as lower-case ones, digits, and
// signs as in "CD4+" and "CD4-", but no hyphen between two letters.
std::string PlainClassName(absl::string_view name);

// The place in `names` of the class that is meant: the one of this very name, else the only one
// with the same plain name; nothing where that is none, or several are meant.
std::optional<int> FindClassName(absl::string_view name, const std::vector<std::string>& names);

// For each of `found` the place in `names` of the class that it means; nothing unless each means
// one of its own, and together they mean all.
std::optional<std::vector<int>> MatchClassNames(const std::vector<std::string>& found,
                                                const std::vector<std::string>& names);

// Sets the class names: the options', else those already set, else the default ones.
// INVALID_ARGUMENT when the options' are not `classes` many, when CheckClassNames has something
// against them, when the name of the data set is not UTF-8, when there is only one class, or when a
// class has no training image. `who` begins the message.
absl::Status SetClassNames(absl::string_view who, int classes, const DatasetOptions& options,
                           Dataset* dataset);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_DATASET_CLASS_NAMES_H_
