// Which classes of a model those of a data set are.
#ifndef CYTOPRESS_CLIENT_CLI_DATASET_CLASSES_H_
#define CYTOPRESS_CLIENT_CLI_DATASET_CLASSES_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/dataset/dataset.h"
#include "cytopress/v1/model.pb.h"

namespace cytopress {

// For whoever has files of some classes, or no splits.
inline constexpr char kClassifyInstead[] =
    "; to compare all files of a folder with its classes: `cytopress classify --truth folder`";

// Whether the model was made from these images.
bool IsMadeFrom(const v1::Model& model, const Dataset& dataset);

// Whether the model's classes have no names by which those of the data set could be found.
bool HasNamelessClasses(const v1::Model& model, const Dataset& dataset);

// The model's class for each of the data set's: that of an alias if there is one. Else by name,
// because a folder's classes are in alphabetical order; by number where the labels or the model's
// classes have no names; and for the data that the model was made from as its job did.
// INVALID_ARGUMENT or NOT_FOUND where they do not go together, with what to do.
absl::StatusOr<std::vector<int>> MatchClasses(const Dataset& dataset, const v1::Model& model,
                                              const std::map<std::string, std::string>& aliases);

}  // namespace cytopress

#endif  // CYTOPRESS_CLIENT_CLI_DATASET_CLASSES_H_
