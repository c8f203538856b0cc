#include "client/cli/dataset_classes.h"

#include <algorithm>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/truth.h"
#include "core/base/status_macros.h"
#include "core/dataset/class_names.h"
#include "core/registry/model_registry.h"

namespace cytopress {
namespace {

// Whether they are more than the default names.
bool HasNames(const std::vector<std::string>& classes) {
  for (size_t i = 0; i < classes.size(); ++i) {
    if (classes[i] != DefaultClassName(static_cast<int>(i))) return true;
  }
  return false;
}

// The number that the model's job gave to each class of its data: it may have called them by other
// names, and numbered those as its base model does where both have the same names, however spelled.
std::vector<int> NumbersOfJob(const Dataset& dataset, const v1::Model& model) {
  const auto& given = model.provenance().spec().dataset().class_names();
  std::vector<std::string> called = dataset.class_names;
  if (given.size() == dataset.classes()) called.assign(given.begin(), given.end());
  const std::vector<std::string> names(model.class_names().begin(), model.class_names().end());
  std::vector<int> by_position(dataset.classes());
  std::iota(by_position.begin(), by_position.end(), 0);
  return MatchClassNames(called, names).value_or(by_position);
}

}  // namespace

bool IsMadeFrom(const v1::Model& model, const Dataset& dataset) {
  return dataset.content_hash == model.provenance().dataset_hash();
}

bool HasNamelessClasses(const v1::Model& model, const Dataset& dataset) {
  const std::vector<std::string> names(model.class_names().begin(), model.class_names().end());
  return !HasNames(names) &&
         std::find_first_of(names.begin(), names.end(), dataset.class_names.begin(),
                            dataset.class_names.end()) == names.end();
}

absl::StatusOr<std::vector<int>> MatchClasses(const Dataset& dataset, const v1::Model& model,
                                              const std::map<std::string, std::string>& aliases) {
  const std::vector<std::string> names(model.class_names().begin(), model.class_names().end());
  const std::string what = absl::StrCat("data set ", dataset.name, " has the ", dataset.classes(),
                                        " classes ", absl::StrJoin(dataset.class_names, ", "));
  if (dataset.classes() != model.class_names_size()) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, "; model ", ToString(model), " has the ", names.size(), " classes ",
                     absl::StrJoin(names, ", "), ": give the same classes, or name another model",
                     kClassifyInstead));
  }
  CYTOPRESS_RETURN_IF_ERROR(CheckAliases(aliases, names));
  const bool same_data = IsMadeFrom(model, dataset);
  const bool by_number =
      same_data || !HasNames(dataset.class_names) || HasNamelessClasses(model, dataset);
  std::vector<int> numbers(dataset.classes());
  std::iota(numbers.begin(), numbers.end(), 0);
  if (same_data) numbers = NumbersOfJob(dataset, model);
  std::vector<int> matched;
  std::vector<int> owner(names.size(), -1);
  for (int i = 0; i < dataset.classes(); ++i) {
    const std::string& name = dataset.class_names[i];
    const absl::StatusOr<int> found =
        by_number && aliases.count(name) == 0 ? numbers[i] : MatchClass(name, names, aliases);
    if (!found.ok()) {
      return absl::Status(found.status().code(),
                          absl::StrCat(what, ": ", found.status().message()));
    }
    if (owner[*found] >= 0) {
      return absl::InvalidArgumentError(
          absl::StrCat(what, ": both \"", dataset.class_names[owner[*found]], "\" and \"", name,
                       "\" name the model's class ", names[*found], "; its classes are ",
                       absl::StrJoin(names, ", "), ": say which is which with --alias"));
    }
    owner[*found] = i;
    matched.push_back(*found);
  }
  return matched;
}

}  // namespace cytopress
