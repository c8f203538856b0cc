// The recipes that have a name.
#ifndef CYTOPRESS_CORE_JOBS_RECIPES_H_
#define CYTOPRESS_CORE_JOBS_RECIPES_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "cytopress/v1/recipe.pb.h"

namespace cytopress {

// "paper", "lossless", "quick" or "dense" filled in; INVALID_ARGUMENT lists the names.
absl::StatusOr<v1::Recipe> NamedRecipe(absl::string_view name);
std::vector<std::string> RecipeNames();

// Everything that is known to keep the accuracy: weights go gradually and are made up for at a high
// learning rate and with the dense model's answers, ranges are clipped where the error is smallest,
// rounding errors compensate each other, statistics are measured again, and confidences are
// calibrated.
v1::Recipe LosslessRecipe();

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_JOBS_RECIPES_H_
