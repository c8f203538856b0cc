// What a job calls the models that it publishes beside the one it is named for.
#ifndef CYTOPRESS_CORE_JOBS_MODEL_NAMES_H_
#define CYTOPRESS_CORE_JOBS_MODEL_NAMES_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "cytopress/v1/network.pb.h"

namespace cytopress {

// The name of the dense model, "blood-dense" of "blood".
std::string ParentModelName(const std::string& model_name);

// The name of a sweep's model, for example "blood-s80-int4" of "blood" at a sparsity of 0.8.
std::string SweepModelName(const std::string& model_name, double sparsity, v1::WeightType weights);

// The name of a goal's try, counted from 1, for example "blood-try2" of "blood"; and the number
// again of a model with such a name, nothing of others.
std::string GoalTryName(const std::string& model_name, int number);
std::optional<int> GoalTryNumber(absl::string_view name, const std::string& model_name);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_JOBS_MODEL_NAMES_H_
