#include "core/jobs/model_names.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "core/artifact/weight_type.h"

namespace cytopress {

std::string ParentModelName(const std::string& model_name) {
  return absl::StrCat(model_name, "-dense");
}

std::string SweepModelName(const std::string& model_name, double sparsity, v1::WeightType weights) {
  return absl::StrFormat("%s-s%g-%s", model_name, 100 * sparsity, WeightTypeName(weights));
}

std::string GoalTryName(const std::string& model_name, int number) {
  return absl::StrCat(model_name, "-try", number);
}

std::optional<int> GoalTryNumber(absl::string_view name, const std::string& model_name) {
  int number = 0;
  if (!absl::ConsumePrefix(&name, absl::StrCat(model_name, "-try")) ||
      !absl::SimpleAtoi(name, &number) || number < 1) {
    return std::nullopt;
  }
  return number;
}

}  // namespace cytopress
