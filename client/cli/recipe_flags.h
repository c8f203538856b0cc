// The flags that say how a model is made, of the commands that submit jobs.
#ifndef CYTOPRESS_CLIENT_CLI_RECIPE_FLAGS_H_
#define CYTOPRESS_CLIENT_CLI_RECIPE_FLAGS_H_

#include <CLI/CLI.hpp>

#include "client/cli/compress_request.h"

namespace cytopress {

// Where the data and the base model come from, the recipe, and what is put over it. Where
// `flags->sweeps`, without what no sweep takes and without --sparsity and --weights, of which it
// has lists.
void AddRecipeFlags(CLI::App* command, CompressFlags* flags);
// What the model must keep to, in place of those two.
void AddGoalFlags(CLI::App* command, CompressFlags* flags);

}  // namespace cytopress

#endif  // CYTOPRESS_CLIENT_CLI_RECIPE_FLAGS_H_
