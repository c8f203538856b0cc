// A recipe that somebody wrote down as a file.
#ifndef CYTOPRESS_CLIENT_CLI_RECIPE_FILE_H_
#define CYTOPRESS_CLIENT_CLI_RECIPE_FILE_H_

#include <string>

#include "absl/status/statusor.h"
#include "cytopress/v1/recipe.pb.h"

namespace cytopress {

// Reads a v1::Recipe in the JSON mapping of Protocol Buffers; without a name of its own it is
// called after the file. INVALID_ARGUMENT names the line of what is no JSON, the field that does
// not exist and those that do, or the values that a field can have.
absl::StatusOr<v1::Recipe> ReadRecipeFile(const std::string& path);

}  // namespace cytopress

#endif  // CYTOPRESS_CLIENT_CLI_RECIPE_FILE_H_
