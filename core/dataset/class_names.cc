#include "core/dataset/class_names.h"

#include <set>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/utf8.h"

namespace cytopress {
namespace {

// INVALID_ARGUMENT unless there are `classes` different names in UTF-8.
absl::Status CheckNames(absl::string_view who, const std::vector<std::string>& names, int classes) {
  if (static_cast<int>(names.size()) != classes) {
    return absl::InvalidArgumentError(absl::StrCat(who, ": class_names has ", names.size(),
                                                   " names; the data set has ", classes,
                                                   " classes and needs as many names"));
  }
  std::set<std::string> seen;
  for (const std::string& name : names) {
    if (name.empty() || !seen.insert(name).second) {
      return absl::InvalidArgumentError(absl::StrCat(who, ": class_names has '", name, "' ",
                                                     name.empty() ? "(an empty name)" : "twice",
                                                     "; names need to be unique"));
    }
    if (!IsUtf8(name)) {
      return absl::InvalidArgumentError(absl::StrCat(
          who, ": the class name '", absl::CHexEscape(name), "' is not UTF-8; write it in UTF-8"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<std::string> BloodMnistClassNames() {
  return {"basophil",   "eosinophil", "erythroblast", "immature granulocyte",
          "lymphocyte", "monocyte",   "neutrophil",   "platelet"};
}

std::string DefaultClassName(int label) { return absl::StrCat("class ", label); }

absl::Status SetClassNames(absl::string_view who, int classes, const DatasetOptions& options,
                           Dataset* dataset) {
  if (!options.class_names.empty()) dataset->class_names = options.class_names;
  if (dataset->class_names.empty()) {
    for (int label = 0; label < classes; ++label) {
      dataset->class_names.push_back(DefaultClassName(label));
    }
  }
  CYTOPRESS_RETURN_IF_ERROR(CheckNames(who, dataset->class_names, classes));
  if (!IsUtf8(dataset->name)) {
    return absl::InvalidArgumentError(absl::StrCat("the name of the data set, '",
                                                   absl::CHexEscape(dataset->name),
                                                   "', is not UTF-8; rename it in UTF-8"));
  }
  if (classes < 2) {
    return absl::InvalidArgumentError(
        absl::StrCat(who, ": it has one class; at least 2 are needed"));
  }
  const std::vector<int64_t> counts = ClassCounts(dataset->train, classes);
  for (int label = 0; label < classes; ++label) {
    if (counts[label] == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat(who, ": class ", label, " ('", dataset->class_names[label],
                       "') has no training image; every class up to the largest label, ",
                       classes - 1, ", needs one"));
    }
  }
  return absl::OkStatus();
}

}  // namespace cytopress
